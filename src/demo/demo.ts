/**
 * `partway demo`: the whole job on an embedded server under a live writer that knows exactly what the table must hold.
 * The migration runs in its own process, through the same command line a person types, so that it can be killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { EXIT } from "../errors.js";
import { resolveTarget } from "../pg/resolve.js";
import { Session } from "../pg/session.js";
import { type EmbeddedServer, startEmbedded } from "./server.js";
import { compareWithLedger, createOrders, startWriter, type Writer } from "./writer.js";

export interface DemoOptions {
  rows: number;
  /** SIGKILL the migration in the middle of the copy, then resume. */
  interrupt: boolean;
  /** Roll back after cutover and prove it again. */
  rollback: boolean;
  /** Leave server and state directory for the operator to look at, until Ctrl-C. */
  keep: boolean;
  /** postgres package; the tests choose the version. */
  packageName?: string;
  /** Told where the server is: the tests tamper with it. */
  onServer?(url: string): void;
  say(line: string): void;
}

const TABLE = { schema: "public", name: "orders" };
/** How long the application goes on writing after a swap before the proof, ms. */
const AFTER_MS = 3000;

const Event = z.looseObject({ event: z.string() });
const Cutover = z.object({ heldMs: z.number(), longestStallMs: z.number(), tries: z.number() });

/**
 * Runs the demo and gives the exit code: 0 when the proof holds, 1 when it does not, 5 when it was interrupted. Leaves
 * no process, no port and no file behind, however it ends.
 */
export async function demo(options: DemoOptions): Promise<number> {
  const { say } = options;
  const interrupted = new AbortController();
  const onSignal = () => interrupted.abort(new Error("interrupted"));
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    say("starting an embedded PostgreSQL ...");
    const server = await startEmbedded(
      options.packageName === undefined ? {} : { packageName: options.packageName },
    );
    try {
      options.onServer?.(server.superuserUrl);
      interrupted.signal.throwIfAborted();
      return await onServer(server, options, interrupted.signal);
    } finally {
      await server.stop();
    }
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    say("\ninterrupted: the server, its data and every process of the demo are gone");
    return EXIT.stopped;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

async function onServer(server: EmbeddedServer, options: DemoOptions, signal: AbortSignal): Promise<number> {
  const { say, rows } = options;
  const url = server.superuserUrl;
  // In the server's own directory: what watches over that removes it too, even when this process is killed.
  const dir = join(dirname(server.dataDir), "demo");
  const session = await Session.open(await resolveTarget({ url }, {}));
  try {
    say(`making ${TABLE.name} with ${rows.toLocaleString("en-US")} rows ...`);
    // One long statement, which only the server's end can interrupt.
    const stop = () => void server.stop();
    signal.addEventListener("abort", stop);
    await createOrders(session, { ...TABLE, rows, months: 24 });
    signal.removeEventListener("abort", stop);
    signal.throwIfAborted();
    say("starting the application: 4 clients, about 500 statements a second");
    const writer = await startWriter({
      url,
      table: TABLE,
      clients: 4,
      statementsPerSecond: 500,
      seed: Date.now() % 100_000,
    });
    try {
      return await migrate({ url, dir, writer, session, options, signal, lastSwap: null });
    } finally {
      await writer.stop();
    }
  } finally {
    await session.end();
  }
}

interface Scene {
  url: string;
  dir: string;
  writer: Writer;
  session: Session;
  options: DemoOptions;
  signal: AbortSignal;
  /** The newest swap of names, as the migration told it. */
  lastSwap: z.infer<typeof Cutover> | null;
}

async function migrate(scene: Scene): Promise<number> {
  const { options, dir, signal } = scene;
  const { say } = options;
  const how = ["--by", "created_at", "--every", "month", "--yes", "--no-hold"];
  say("\n$ partway run orders --by created_at --every month --yes --no-hold");
  const first = partway(scene, ["run", "orders", ...how, "--batch-blocks", batchBlocks(options.rows)]);
  if (options.interrupt) {
    const killed = await first.killAt((e) => e["event"] === "copy" && Number(e["batchesDone"]) > 0);
    say(
      killed
        ? "\n*** SIGKILL in the middle of the copy ***\n"
        : "\n*** the copy was over before the kill ***\n",
    );
    if (killed) say("$ partway resume");
    const second = killed ? await partway(scene, ["resume", "--no-hold"]).ended : await first.ended;
    if (second.code !== EXIT.done) return failed(say, second.code);
  } else {
    const { code } = await first.ended;
    if (code !== EXIT.done) return failed(say, code);
  }
  say("\nthe application goes on writing into the partitioned table ...");
  await sleep(AFTER_MS, undefined, { signal });
  let ok = await proof(scene, "after cutover");
  if (options.rollback) {
    scene.writer.resume();
    await sleep(AFTER_MS, undefined, { signal });
    say("\n$ partway rollback");
    const { code } = await partway(scene, ["rollback", "--no-hold"]).ended;
    if (code !== EXIT.done) return failed(say, code);
    await sleep(AFTER_MS, undefined, { signal });
    ok = (await proof(scene, "after rollback")) && ok;
  }
  if (options.keep) await stay(scene, dir, signal);
  return ok ? EXIT.done : EXIT.unexpected;
}

/** About thirty batches (a row takes 130 bytes or so), so that there is a middle of the copy to be killed in. */
function batchBlocks(rows: number): string {
  return String(Math.min(8192, Math.max(16, Math.round(rows / 2000))));
}

function failed(say: (line: string) => void, code: number | null): number {
  say(`\nFAILED: partway ended with exit code ${code}`);
  return EXIT.unexpected;
}

/** Stops the writer between transactions and compares every row and value with its ledger. */
async function proof(scene: Scene, when: string): Promise<boolean> {
  const { say } = scene.options;
  const report = await scene.writer.pause();
  const result = await compareWithLedger(scene.session, TABLE, report);
  const { rows } = await scene.session.query(
    "SELECT relkind::text AS kind FROM pg_class WHERE oid = 'public.orders'::regclass",
  );
  const partitioned = rows[0]?.["kind"] === "p";
  const ok = result.equal && report.errors.length === 0;
  say(`
Proof ${when} (orders is ${partitioned ? "partitioned" : "not partitioned"})
  ledger equals table   ${result.equal ? "yes" : "NO"}
  lost ${result.lost}, extra ${result.extra}, changed ${result.changed}
  application           ${report.statements} statements, ${report.commits} commits, ${report.errors.length} errors
  ${partitioned ? "cutover lock held " : "rollback lock held"}    ${ms(scene.lastSwap?.heldMs)}
  longest writer stall  ${ms(report.longestStallMs)}`);
  for (const line of result.examples) say(`  ${line}`);
  for (const { code, message } of report.errors.slice(0, 5)) say(`  error ${code}: ${message}`);
  return ok;
}

function ms(value: number | undefined): string {
  return value === undefined ? "unknown" : `${Math.round(value)} ms`;
}

interface Child {
  ended: Promise<{ code: number | null }>;
  /** SIGKILLs the process at the first event that `when` accepts; false when it ended before. */
  killAt(when: (event: Record<string, unknown>) => boolean): Promise<boolean>;
}

/** The command line, as a person would start it, in a process of its own; its events come back as NDJSON. */
function partway(scene: Scene, args: string[]): Child {
  const { url, dir } = scene;
  const self = fileURLToPath(new URL("../cli.js", import.meta.url));
  const source = fileURLToPath(new URL("../cli.ts", import.meta.url));
  const fromSource = import.meta.url.endsWith(".ts");
  const node = fromSource ? ["--import", createRequire(import.meta.url).resolve("tsx"), source] : [self];
  const child: ChildProcess = spawn(
    process.execPath,
    [...node, ...args, "--json", "--state", join(dir, "state")],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, DATABASE_URL: url },
    },
  );
  let kill: ((event: Record<string, unknown>) => boolean) | null = null;
  let killed = false;
  const onSignal = () => child.kill("SIGKILL");
  scene.signal.addEventListener("abort", onSignal, { once: true });
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const event = Event.parse(JSON.parse(line));
      tell(event, scene);
      if (kill?.(event) === true && !killed) {
        killed = true;
        child.kill("SIGKILL");
      }
    });
  }
  const ended = new Promise<{ code: number | null }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      scene.signal.removeEventListener("abort", onSignal);
      if (scene.signal.aborted) reject(new Error("interrupted"));
      else resolve({ code });
    });
  });
  return {
    ended,
    async killAt(when) {
      kill = when;
      await ended;
      return killed;
    },
  };
}

/** One short line for the events that tell the story. */
function tell(event: Record<string, unknown>, scene: Scene): void {
  const { say } = scene.options;
  const text = (name: string) => String(event[name] ?? "");
  switch (event["event"]) {
    case "phase":
      if (event["status"] === "done")
        say(`  ${text("phase").padEnd(9)} done in ${Math.round(Number(event["ms"]))} ms`);
      return;
    case "copy":
      say(`  copy      ${text("batchesDone")}/${text("batchesTotal")} batches, ${text("rowsDone")} rows`);
      return;
    case "validation":
      say(`  validated ${text("rows")} rows: ${text("result")}`);
      return;
    case "cutover":
      scene.lastSwap = Cutover.parse(event);
      say(`  swapped   lock held ${ms(scene.lastSwap.heldMs)}, tries ${scene.lastSwap.tries}`);
      return;
    case "stopped":
    case "error":
      say(`  ${text("what")}\n  ${text("next")}`);
      return;
    default:
      return;
  }
}

async function stay(scene: Scene, dir: string, signal: AbortSignal): Promise<void> {
  scene.options.say(
    `\nkept until Ctrl-C: psql ${scene.url}\n      partway status --state ${join(dir, "state")} --url ${scene.url}`,
  );
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const alive = setInterval(() => undefined, 60_000);
    signal.addEventListener("abort", () => {
      clearInterval(alive);
      resolve();
    });
  });
}
