/**
 * A table under a live writer with an exact ledger, the real command line in child processes, and between it and the
 * server a network that can be hurt at an exact moment. The writer has a way of its own to the server.
 */
import { expect } from "vitest";
import { compareWithLedger, createOrders, startWriter, type Writer } from "../../src/demo/writer.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import {
  buildCli,
  type Ended,
  type Folder,
  freshFolder,
  jsonLines,
  type Line,
  type Started,
} from "../cli/support.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import type { RunningServer } from "../support/server.js";
import { type Act, type Moment, type Network, startNetwork } from "./network.js";

export const TABLE = { schema: "public", name: "orders" };
/** Small batches, few leaves: many commits to be hurt at, little to wait for. */
export const RUN = [
  ...["run", "orders", "--by", "created_at", "--every", "month", "--ahead", "1"],
  ...["--yes", "--no-hold", "--workers", "2", "--batch-blocks", "16", "--json"],
];
export const RESUME = ["resume", "--no-hold", "--json"];
export const HOLD = ["resume", "--hold", "--json"];

/**
 * A command that touched nothing: the server keeps the lease of connections that have vanished, or cannot be reached.
 * What the message says to type beside the command itself; null: another end.
 */
function refused(end: Line): string[] | null {
  if (end.event !== "error" || !/Nothing was touched/.test(String(end["state"]))) return null;
  if (/is being run by another/.test(String(end["what"]))) return ["--takeover"];
  return end["exitCode"] === 2 &&
    /psql with the same settings|run the same command again/.test(String(end["next"]))
    ? []
    : null;
}

/** What the operator types after this end of `typed`. */
function next(end: Line, typed: readonly string[], again: readonly string[]): readonly string[] {
  const more = refused(end);
  return more === null ? again : [...typed.filter((arg) => !more.includes(arg)), ...more];
}

/** One second where the operator's default is ten: what a run bears with is a multiple of it (engine/patience.ts). */
export const IMPATIENT = { PGCONNECT_TIMEOUT: "1" };

export interface Scene {
  server: RunningServer;
  db: TestDatabase;
  network: Network;
  /** The writer's own network. */
  theirs: Network;
  folder: Folder;
  writer: Writer;
  /** The process that runs now, or ran last. */
  process(): Started;
  /** Types `partway <args>`. */
  start(args: readonly string[], env?: Record<string, string>): Started;
  /**
   * Waits for `moment` and acts. A run that ends before (an earlier fault stopped it) must have said what to type, and
   * is resumed with `again`.
   */
  strike(moment: Moment, act: Act, again?: readonly string[]): Promise<void>;
  /** Lets the run come to its end, resuming it when it stops with a message; gives its last event. */
  finish(again?: readonly string[]): Promise<Line>;
  /** Every process so far that stopped with an explanation. */
  stops: Stop[];
  /** The warnings of every process so far. */
  warnings(): string[];
  written(statements: number): Promise<void>;
  /** Pauses the writer, compares every row and value with its ledger; `explained`: SQLSTATEs that the fault explains. */
  proveNothingLost(explained?: readonly string[], on?: string): Promise<void>;
  admin<T>(work: (admin: Session) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface Stop {
  what: string;
  state: string;
  next: string;
}

export interface SceneOptions {
  rows: number;
  /** As what the application connects; default the table's owner, as Partway does. */
  application?: "owner" | "superuser";
  env?: Record<string, string>;
}

export async function openScene(server: RunningServer, options: SceneOptions): Promise<Scene> {
  const built = buildCli();
  const db = await freshDatabase(server);
  const env = { ...IMPATIENT, ...options.env };
  await asAdmin(db.superuserUrl, async (admin) => {
    await createOrders(admin, { ...TABLE, rows: options.rows, months: 2 });
    await admin.query(`ALTER TABLE public.orders OWNER TO ${ident(db.role)}`);
  });
  const network = await startNetwork(db.ownerUrl);
  const theirs = await startNetwork(db.ownerUrl);
  const folder = freshFolder(built.file, network.url(db.ownerUrl));
  const application = options.application === "superuser" ? db.superuserUrl : db.ownerUrl;
  const writer = await startWriter({
    ...{ url: theirs.url(application), table: TABLE, clients: 2 },
    ...{ statementsPerSecond: 120, seed: 7 },
  });
  const all: Started[] = [];
  const last = (): Started => {
    const started = all.at(-1);
    if (started === undefined) throw new Error("nothing was started");
    return started;
  };
  const stops: Stop[] = [];
  const lines: Line[] = [];
  let typed: readonly string[] = [];
  const start = (args: readonly string[], more: Record<string, string> = {}): Started => {
    typed = args;
    const started = folder.start(args, { ...env, ...more });
    all.push(started);
    return started;
  };
  /** What a process that has ended said; throws when it was not an explanation. */
  const heard = ({ code, stdout, stderr }: Ended): Line => {
    const said = jsonLines(stdout) as Line[];
    lines.push(...said);
    const end = said.at(-1);
    if (end === undefined) throw new Error(`exit ${code} without a word: ${stderr}`);
    if (end.event === "finished" || refused(end) !== null) return end;
    expect(end, `exit ${code} of ${typed.join(" ")}: ${stderr}`).toMatchObject({
      event: "stopped",
      state: expect.stringMatching(/Nothing is lost|was only read/),
      next: expect.stringMatching(/partway \w+ orders_/),
    });
    stops.push({ what: String(end["what"]), state: String(end["state"]), next: String(end["next"]) });
    return end;
  };
  return {
    ...{ server, db, network, theirs, folder, writer, stops, start },
    process: last,
    strike: async (moment, act, again = RESUME) => {
      let met = false;
      const acting: Act = (port) => {
        met = true;
        return act(port);
      };
      const over = network.strike(moment, acting).then(() => "over" as const);
      for (let tries = 0; tries < 4; tries++) {
        const first = await Promise.race([over, last().ended]);
        if (first === "over") return;
        // The act itself ended the process: what it said is the act's to judge.
        if (met) {
          await over;
          return;
        }
        const end = heard(first);
        if (end.event === "finished") break;
        start(next(end, typed, again));
      }
      throw new Error(`never came to ${moment.text} ${moment.when}: ${JSON.stringify(lines.slice(-3))}`);
    },
    finish: async (again = RESUME) => {
      network.flow();
      for (let tries = 0; tries < 4; tries++) {
        const end = heard(await last().ended);
        if (end.event === "finished") return end;
        start(next(end, typed, again));
      }
      throw new Error(`stopped again and again: ${JSON.stringify(stops)}`);
    },
    warnings: () =>
      lines
        .filter((line) => line.event === "log" && line["level"] === "warn")
        .map((line) => String(line["message"])),
    written: async (statements) => {
      const before = writer.stats().statements;
      await expect
        .poll(() => writer.stats().statements, { timeout: 90_000, interval: 10 })
        .toBeGreaterThan(before + statements);
    },
    proveNothingLost: async (explained = [], on = db.superuserUrl) => {
      const report = await writer.pause();
      expect(report.errors.filter(({ code }) => !explained.includes(code))).toEqual([]);
      const session = await db.session(on);
      expect(await compareWithLedger(session, TABLE, report)).toEqual({
        ...{ equal: true, lost: 0, extra: 0, changed: 0 },
        examples: [],
      });
      await session.end();
      writer.resume();
    },
    admin: (work) => asAdmin(db.superuserUrl, work),
    close: async () => {
      network.flow();
      await writer.stop();
      await folder.remove();
      await Promise.all([network.stop(), theirs.stop()]);
      await db.drop();
      built.remove();
    },
  };
}
