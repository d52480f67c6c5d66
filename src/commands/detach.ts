/** Going on without this terminal: a process of its own resumes what was just stopped here. */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_STATE, openJournal } from "../engine/state-dir.js";
import { EXIT, PartwayError } from "../errors.js";

/** What this process was told and its successor must know; the rest stands in the journal. */
export interface Told {
  state?: string | undefined;
  url?: string | undefined;
  hold?: boolean | undefined;
  workers?: string | undefined;
  batchBlocks?: string | undefined;
  lockTimeout?: string | undefined;
  lockTimeoutMax?: string | undefined;
  lockTries?: string | undefined;
  holdBudget?: string | undefined;
  repair?: boolean | undefined;
  /** Hooks, each `event=command`, that the journal does not have. */
  on?: readonly string[] | undefined;
  hookTimeout?: string | undefined;
}

const FLAGS = {
  workers: "--workers",
  batchBlocks: "--batch-blocks",
  lockTimeout: "--lock-timeout",
  lockTimeoutMax: "--lock-timeout-max",
  lockTries: "--lock-tries",
  holdBudget: "--hold-budget",
  hookTimeout: "--hook-timeout",
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

/**
 * Starts the successor and waits until it drives the migration. Gives what is to be said. Errors: `unexpected` when it
 * ended before.
 */
export async function goOnElsewhere(id: string, told: Told): Promise<string> {
  const output = openOutput(id, told.state);
  const child = spawn(
    process.execPath,
    [...process.execArgv, process.argv[1] ?? "", ...successorArgs(id, told)],
    {
      detached: true,
      stdio: ["ignore", output, output],
      env: { ...process.env, ...(told.url === undefined ? {} : { DATABASE_URL: told.url }) },
    },
  );
  closeSync(output);
  let ended: { code: number | null } | null = null;
  child.once("error", () => {
    ended = { code: null };
  });
  child.once("exit", (code) => {
    ended = { code };
  });
  const follow = `To follow it: partway watch ${id}. What it says: ${outputFile(id, told.state)}`;
  const journal = openJournal(told.state);
  try {
    const hasEnded = (): { code: number | null } | null => ended;
    for (;;) {
      if (journal.migration(id)?.owner?.pid === child.pid) {
        child.unref();
        return `${id} goes on as process ${child.pid}, without this terminal. ${follow}`;
      }
      const end = hasEnded();
      if (end?.code === EXIT.done) return `${id} has come to its end meanwhile. ${follow}`;
      if (end !== null)
        throw new PartwayError("unexpected", {
          what: `the process that was to go on with ${id} ended${end.code === null ? "" : ` with exit code ${end.code}`}: see ${outputFile(id, told.state)}`,
          state: "Nothing is lost: changes are still captured, and the run can be resumed.",
          next: `partway resume ${id}`,
        });
      await sleep(100);
    }
  } finally {
    journal.close();
  }
}
