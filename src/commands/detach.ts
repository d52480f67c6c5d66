/** Going on without this terminal: a process of its own resumes what was just stopped here. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RawThrottle } from "../config/throttle.js";
import { DEFAULT_STATE, openJournal } from "../engine/state-dir.js";
import { EXIT, messageOf, PartwayError } from "../errors.js";

/** What this process was told and its successor must know; the rest stands in the journal. */
export interface Told extends RawThrottle {
  state?: string | undefined;
  url?: string | undefined;
  hold?: boolean | undefined;
  workers?: string | undefined;
  batchBlocks?: string | undefined;
  batchTime?: string | undefined;
  lockTimeout?: string | undefined;
  lockTimeoutMax?: string | undefined;
  lockTries?: string | undefined;
  holdBudget?: string | undefined;
  repair?: boolean | undefined;
  /** Hooks, each `event=command`, that the journal does not have. */
  on?: readonly string[] | undefined;
  hookTimeout?: string | undefined;
  /** Where this process serves metrics: its successor does not. */
  metrics?: string | undefined;
}

/** Holds `--url` on the way to the successor, which takes it out before anything else can see it: hooks have no password. */
const HANDED_URL = "PARTWAY_HANDED_URL";

/** The command line of this process, with the connection that was handed over; `env` has it no more. */
export function takeHandedOver(argv: readonly string[], env: NodeJS.ProcessEnv): string[] {
  const url = env[HANDED_URL];
  delete env[HANDED_URL];
  return url === undefined ? [...argv] : [...argv, "--url", url];
}

/** The environment of the successor. */
export function successorEnv(told: Told, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return told.url === undefined ? env : { ...env, [HANDED_URL]: told.url };
}

const FLAGS = {
  workers: "--workers",
  batchBlocks: "--batch-blocks",
  batchTime: "--batch-time",
  lockTimeout: "--lock-timeout",
  lockTimeoutMax: "--lock-timeout-max",
  lockTries: "--lock-tries",
  holdBudget: "--hold-budget",
  hookTimeout: "--hook-timeout",
  maxReplicaLag: "--max-replica-lag",
  maxBatchTime: "--max-batch-time",
  maxActive: "--max-active",
  maxXminAge: "--max-xmin-age",
  maxWalRate: "--max-wal-rate",
  maxCheckpointWal: "--max-checkpoint-wal",
  maxSlotWal: "--max-slot-wal",
  throttleSql: "--throttle-sql",
  canarySql: "--canary-sql",
  maxCanary: "--max-canary",
  between: "--between",
} as const satisfies { [K in keyof Told]?: string };

/** The arguments of `partway` that go on with migration `id`. The connection is not among them: others see arguments. */
export function successorArgs(id: string, told: Told): string[] {
  const given = Object.entries(FLAGS).flatMap(([name, flag]) => {
    const value = told[name as keyof typeof FLAGS];
    return value === undefined ? [] : [flag, value];
  });
  return [
    ...["resume", id, told.hold === false ? "--no-hold" : "--hold"],
    ...["--state", resolve(told.state ?? DEFAULT_STATE)],
    ...given,
    ...(told.on ?? []).flatMap((hook) => ["--on", hook]),
    ...(told.repair === true ? ["--repair"] : []),
  ];
}

/** Where a process without a terminal writes what it would have shown. */
export function outputFile(id: string, state: string | undefined): string {
  return join(state ?? DEFAULT_STATE, "log", `${id}.out`);
}

/** Opens it for appending; whoever gets the descriptor closes it. */
export function openOutput(id: string, state: string | undefined): number {
  const file = outputFile(id, state);
  mkdirSync(dirname(file), { recursive: true });
  return openSync(file, "a", 0o600);
}

/** Partway itself, as this process was started. */
const PROGRAM = [process.execPath, ...process.execArgv, process.argv[1] ?? ""];
const LOOK_MS = 100;

/**
 * Starts the successor and waits until it drives the migration: its `process` event says that it has journal and lease.
 * Gives what is to be said. `program`: what to start. Errors: `unexpected` when it could not be started, or ended before.
 */
export async function goOnElsewhere(
  id: string,
  told: Told,
  [file = "", ...before]: readonly string[] = PROGRAM,
): Promise<string> {
  const said = outputFile(id, told.state);
  const journal = openJournal(told.state);
  try {
    const since = journal.events(id).at(-1)?.rowid ?? 0;
    const output = openOutput(id, told.state);
    const child = spawn(file, [...before, ...successorArgs(id, told)], {
      ...{ detached: true, stdio: ["ignore", output, output], env: successorEnv(told, process.env) },
    });
    closeSync(output);
    const end = endOf(child);
    const follow = `To follow it: partway watch ${id}. What it says: ${said}`;
    const drives = () =>
      child.pid !== undefined &&
      journal.migration(id)?.owner?.pid === child.pid &&
      journal.events(id, since).some(({ event }) => event.event === "process");
    for (;;) {
      // Read before the journal: who has ended has written its last there.
      const ended = end();
      if (ended?.code === EXIT.done) return `${id} has come to its end meanwhile. ${follow}`;
      if (ended !== null) throw notGoingOn(id, `${ended.how}: see ${said}`);
      if (drives()) {
        child.unref();
        return `${id} goes on as process ${child.pid}, without this terminal. ${withoutMetrics(told)}${follow}`;
      }
      await sleep(LOOK_MS);
    }
  } finally {
    journal.close();
  }
}

/** Looks whether it has ended: `code` is null when it was killed or has never begun. */
function endOf(child: ChildProcess): () => { code: number | null; how: string } | null {
  let ended: ReturnType<ReturnType<typeof endOf>> = null;
  child.once("error", (error) => {
    ended ??= { code: null, how: `could not be started (${messageOf(error)})` };
  });
  child.once("exit", (code, signal) => {
    ended ??= { code, how: code === null ? `ended by ${signal}` : `ended with exit code ${code}` };
  });
  return () => ended;
}

function notGoingOn(id: string, how: string): PartwayError {
  return new PartwayError("unexpected", {
    what: `the process that was to go on with ${id} ${how}`,
    state: "Nothing is lost: changes are still captured, and the run can be resumed.",
    next: `partway resume ${id}`,
  });
}

function withoutMetrics({ metrics }: Told): string {
  return metrics === undefined ? "" : `Metrics at ${metrics} end with this process. `;
}
