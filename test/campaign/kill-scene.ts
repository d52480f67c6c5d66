/**
 * What the kill campaign does with one database: a small table that has everything Partway carries, a live writer with
 * an exact ledger, the real command line, killed where the kill switch says, resumed, and every promise checked.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { readManifest } from "../../src/backup/manifest.js";
import { assertUnchanged } from "../../src/backup/verify.js";
import { IMAGE } from "../../src/demo/orders.js";
import {
  compareWithLedger,
  createOrders,
  type Ledger,
  startWriter,
  type Writer,
  type WriterReport,
} from "../../src/demo/writer.js";
import { positionOf } from "../../src/engine/stored-plan.js";
import { messageOf } from "../../src/errors.js";
import { status, verify } from "../../src/inspect.js";
import { ident } from "../../src/pg/quote.js";
import { Session } from "../../src/pg/session.js";
import { SQLSTATE, sqlState } from "../../src/pg/sqlstate.js";
import { Journal } from "../../state/journal.js";
import type { MigrationRecord } from "../../state/journal-rows.js";
import { asAdmin, targetOf } from "../support/database.js";

/** A whole migration in two pieces: its backup (as far as the shadow), and everything else. */
export type Scenario = "backup" | "migrate" | "rollback" | "finalize" | "abort";
export const SCENARIOS: readonly Scenario[] = ["backup", "migrate", "rollback", "finalize", "abort"];

const TABLE = { schema: "public", name: "orders" };

const RUN = [
  ...["run", "orders", "--by", "created_at", "--every", "year", "--ahead", "1", "--yes", "--no-hold"],
  ...["--workers", "2", "--batch-blocks", "16"],
];

interface Facts {
  /** Uninterrupted, before the scenario's own command. */
  before: readonly string[][];
  command: readonly string[];
  /** The journal's last word when it is done. */
  outcome: string;
  /** Where the journal stands once the command's wish has reached it; null: from the first row on. */
  position: string | null;
}

const FACTS: Record<Scenario, Facts> = {
  backup: { before: [], command: [...RUN, "--until", "shadow"], outcome: "stopped", position: null },
  migrate: { before: [], command: [...RUN, "--no-backup"], outcome: "retained", position: null },
  rollback: {
    before: [[...RUN, "--no-backup"]],
    command: ["rollback", "--no-hold"],
    outcome: "rolled-back",
    position: "rollback",
  },
  finalize: {
    before: [[...RUN, "--no-backup"]],
    command: ["finalize", "--force", "orders"],
    outcome: "done",
    position: "drop",
  },
  abort: {
    before: [[...RUN, "--no-backup", "--until", "validate"]],
    command: ["abort"],
    outcome: "aborted",
    position: "abort",
  },
};

/** Every option of a table that needs statements of its own to be carried. */
const DRESS = [
  "DROP INDEX public.orders_customer_id_idx",
  "ALTER TABLE public.orders ADD COLUMN line serial",
  "COMMENT ON TABLE public.orders IS 'what was ordered'",
  "COMMENT ON COLUMN public.orders.note IS 'free text'",
  "COMMENT ON INDEX public.orders_status_created_at_idx IS 'the list of open orders'",
  "COMMENT ON CONSTRAINT orders_pkey ON public.orders IS 'the number on the bill'",
  "COMMENT ON SEQUENCE public.orders_id_seq IS 'drawn by the shop'",
  "ALTER TABLE public.orders ALTER COLUMN status SET STATISTICS 50, ALTER COLUMN status SET (n_distinct = 4)",
  "GRANT SELECT ON public.orders TO pg_monitor",
  "GRANT UPDATE (note) ON public.orders TO pg_monitor",
];

/** A database that stands just before the scenario's command, to be cloned. */
export interface Base {
  scenario: Scenario;
  name: string;
  state: string;
  /** What is in the database before any migration. */
  untouched: readonly string[];
}

export interface Place {
  /** A superuser's URL of the server. */
  server: string;
  /** The bundled command line. */
  cli: string;
  /** Where state directories and logs go. */
  dir: string;
  /** Goes before database names. */
  prefix: string;
  /** How changes are captured; default by triggers. */
  capture?: "trigger" | "wal";
}

export interface Ended {
  code: number | null;
  killed: boolean;
  output: string;
}

/** A run with the kill switch set. */
export interface Watched extends Ended {
  /** The points it came to. */
  labels: string[];
  /** The point it was killed at. */
  diedAt: string | null;
}

/** As an operator types it in this place. */
function typed(place: Place, args: readonly string[]): readonly string[] {
  return place.capture === "wal" && args[0] === "run" ? [...args, "--capture", "wal"] : args;
}

/** A slot belongs to its database and is not cloned with it: what needs one is prepared in the clone. */
function preparedInClone(place: Place, scenario: Scenario): boolean {
  return place.capture === "wal" && scenario === "abort";
}

async function prepareIn(place: Place, scenario: Scenario, scene: { url: string; state: string }) {
  for (const args of FACTS[scenario].before) {
    const { code, output } = await partway(place, scene, args);
    if (code !== 0) throw new Error(`preparing ${scenario}: ${output}`);
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

/** Runs the real command line to its end, whoever ends it. */
function partway(
  place: Place,
  scene: { url: string; state: string },
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [place.cli, ...typed(place, args), "--state", scene.state], {
      env: { PATH: process.env["PATH"], HOME: place.dir, TERM: "dumb", DATABASE_URL: scene.url, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => {
        output += data.toString();
      });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, killed: signal === "SIGKILL", output }));
  });
}

/** Makes the database and brings it to where the scenario begins. */
export async function prepare(place: Place, scenario: Scenario): Promise<Base> {
  const name = `${place.prefix}_${scenario}`;
  await asAdmin(place.server, (admin) => admin.query(`CREATE DATABASE ${ident(name)}`));
  const scene = { url: withDatabase(place.server, name), state: join(place.dir, name) };
  const untouched = await asAdmin(scene.url, async (session) => {
    await createOrders(session, { ...TABLE, rows: 2400, months: 14 });
    for (const sql of DRESS) await session.query(sql);
    return objectsOf(session);
  });
  if (!preparedInClone(place, scenario)) await prepareIn(place, scenario, scene);
  return { scenario, name, state: scene.state, untouched };
}

/** One clone of a base, with its writer. */
export class Run {
  readonly base: Base;
  readonly #place: Place;
  readonly #name: string;
  readonly #scene: { url: string; state: string };
  readonly #writer: Writer;
  readonly #late: { stop(): Promise<void> };
  #logs = 0;
  /** Whoever pauses the writer comes after the one before. */
  #paused: Promise<unknown> = Promise.resolve();

  private constructor(
    place: Place,
    base: Base,
    name: string,
    scene: { url: string; state: string },
    writer: Writer,
  ) {
    this.base = base;
    this.#place = place;
    this.#name = name;
    this.#scene = scene;
    this.#writer = writer;
    this.#late =
      base.scenario === "migrate"
        ? lateRow(scene.url, (work) => this.#whilePaused(({ ledger }) => work(ledger)))
        : { stop: async () => undefined };
  }

  static async open(place: Place, base: Base, number: number): Promise<Run> {
    const name = `${base.name}_${number}`;
    const scene = { url: withDatabase(place.server, name), state: join(place.dir, name) };
    await asAdmin(place.server, (admin) =>
      admin.query(`CREATE DATABASE ${ident(name)} TEMPLATE ${ident(base.name)}`),
    );
    if (existsSync(base.state)) cpSync(base.state, scene.state, { recursive: true });
    if (preparedInClone(place, base.scenario)) await prepareIn(place, base.scenario, scene);
    const writer = await startWriter({
      ...{ url: scene.url, table: TABLE, clients: 2 },
      ...{ statementsPerSecond: 40, seed: number },
    });
    return new Run(place, base, name, scene, writer);
  }

  /** The scenario's command with the kill switch set to `kill`. Gives the labels of the points it came to. */
  async first(kill: string, env: Record<string, string> = {}): Promise<Watched> {
    return this.#switched(FACTS[this.base.scenario].command, kill, env);
  }

  /** What an operator types next, with the kill switch set; null when it has ended. */
  async next(kill: string, env: Record<string, string> = {}): Promise<Watched | null> {
    const args = this.#nextCommand();
    return args === null ? null : this.#switched(args, kill, env);
  }

  async #switched(args: readonly string[], kill: string, env: Record<string, string>): Promise<Watched> {
    this.#logs += 1;
    const log = join(this.#place.dir, `${this.#name}.${this.#logs}.points`);
    const ended = await partway(this.#place, this.#scene, args, {
      PARTWAY_TEST_KILL: kill,
      PARTWAY_TEST_KILL_LOG: log,
      ...env,
    });
    const lines = existsSync(log) ? readFileSync(log, "utf8").split("\n").filter(Boolean) : [];
    rmSync(log, { force: true });
    const died = /^killed (?:before|after): (.*)$/;
    return {
      ...ended,
      labels: lines.filter((line) => !died.test(line)).map((line) => line.slice(line.indexOf(" ") + 1)),
      diedAt: died.exec(lines.at(-1) ?? "")?.[1] ?? null,
    };
  }

  /** By the journal: resume, or the command itself where its wish is not written down; null at the end. */
  #nextCommand(): readonly string[] | null {
    const { command, outcome, position } = FACTS[this.base.scenario];
    const record = migrationIn(this.#scene.state);
    if (record === null) return command;
    if (record.outcome === outcome) return null;
    return position === null || positionOf(record) === position ? ["resume", "--no-hold"] : command;
  }

  /** Resumes to the end, undisturbed. Gives what is wrong; a third try is never needed. */
  async toTheEnd(): Promise<string[]> {
    let said = "";
    for (let attempt = 0; attempt < 3; attempt++) {
      const args = this.#nextCommand();
      if (args === null) return [];
      said = (await partway(this.#place, this.#scene, args)).output;
    }
    return this.#nextCommand() === null ? [] : [`not ended: ${said.slice(-900)}`];
  }

  #whilePaused<T>(work: (report: WriterReport) => Promise<T>): Promise<T> {
    const turn = this.#paused.then(async () => {
      const report = await this.#writer.pause();
      return work(report).finally(() => this.#writer.resume());
    });
    this.#paused = turn.catch(() => undefined);
    return turn;
  }

  /** Pauses the writer and compares every row and value with its ledger. Gives what is wrong. */
  compare(): Promise<string[]> {
    return this.#whilePaused(async (report) => {
      const why = report.errors.map((error) => `application error: ${JSON.stringify(error)}`).slice(0, 3);
      await asAdmin(this.#scene.url, async (session) => {
        const { equal, examples } = await compareWithLedger(session, TABLE, report);
        if (!equal) why.push(`the ledger differs: ${examples.slice(0, 3).join(" | ")}`);
      });
      return why;
    });
  }

  /** Everything that must be true at the end. Gives what is wrong. */
  async check(): Promise<string[]> {
    await this.#late.stop();
    const why = await this.compare();
    await asAdmin(this.#scene.url, async (session) => {
      why.push(...leftovers(this.base, await objectsOf(session), await leavesOf(session)));
    });
    why.push(...strayFiles(this.#scene.state));
    if (this.base.scenario === "backup") why.push(...(await backupFaults(this.#scene.state)));
    if (this.base.scenario === "migrate") {
      const here = { url: this.#scene.url, state: this.#scene.state };
      const { database } = await status(here);
      if (!database.reachable || !database.known || database.rollbackSafe !== true)
        why.push(`rollback is not safe: ${JSON.stringify(database)}`);
      const { equal } = await verify({ ...here, workers: 1 });
      if (!equal) why.push("partway verify: different");
    }
    return why;
  }

  /** After an abort or a rollback: the next migration finds nothing in its way. Gives what is wrong. */
  async again(): Promise<string[]> {
    if (this.base.scenario !== "abort" && this.base.scenario !== "rollback") return [];
    const { code, output } = await partway(this.#place, this.#scene, [
      ...RUN,
      "--no-backup",
      "--until",
      "copy",
    ]);
    return code === 0 ? [] : [`the next migration: exit ${code}: ${output.slice(-900)}`];
  }

  async close(): Promise<void> {
    await this.#late.stop();
    await this.#writer.stop();
    await asAdmin(this.#place.server, (admin) =>
      admin.query(`DROP DATABASE ${ident(this.#name)} WITH (FORCE)`),
    );
    rmSync(this.#scene.state, { recursive: true, force: true });
  }
}

/** The one migration in a state directory; null when there is no journal yet, or nothing in it. */
function migrationIn(state: string): MigrationRecord | null {
  const file = join(state, "journal.db");
  if (!existsSync(file)) return null;
  const journal = Journal.open(file, "read");
  try {
    return journal.migrations()[0] ?? null;
  } finally {
    journal.close();
  }
}

/** Beyond every id the writer draws in a run: the sequence lags behind this one at cutover and is moved. */
const LATE_ID = 1_000_000;

/**
 * A row that no planned leaf takes, written as soon as the shadow is there; the ledger is told. After cutover it would
 * be refused (documented), so then there is none.
 */
function lateRow(
  url: string,
  whilePaused: (work: (ledger: Ledger) => Promise<void>) => Promise<void>,
): { stop(): Promise<void> } {
  const stop = new AbortController();
  const work = async (): Promise<void> => {
    const session = await Session.open(targetOf(url));
    try {
      while (!stop.signal.aborted) {
        const { rows } = await session.query(
          "SELECT to_regclass('public.orders_partitioned')::text AS shadow",
        );
        if (rows[0]?.["shadow"] !== null) break;
        await sleep(20);
      }
      if (stop.signal.aborted) return;
      await whilePaused(async (ledger) => {
        const made = await session.query(
          `INSERT INTO public.orders AS t (id, customer_id, status, created_at)
           VALUES (${LATE_ID}, 1, 'new', now() + interval '5 years') RETURNING ${IMAGE} AS image`,
        );
        ledger.set(LATE_ID, made.rows[0]?.["image"] ?? null);
      });
    } catch (error) {
      if (sqlState(error) !== SQLSTATE.checkViolation) throw error;
    } finally {
      await session.end();
    }
  };
  const done = work().catch((error: unknown) => messageOf(error));
  return {
    stop: async () => {
      stop.abort();
      const failure = await done;
      if (failure !== undefined) throw new Error(`the late row: ${failure}`);
    },
  };
}

/** Relations that are no index, triggers, functions, schemas, slots and publications that are not the system's. */
const OBJECTS_SQL = `
SELECT 'schema ' || nspname AS line FROM pg_namespace WHERE nspname ~ 'partway'
UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
UNION ALL SELECT 'publication ' || pubname FROM pg_publication
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname !~ '^pg_|^information_schema$'
UNION ALL SELECT c.relkind::text || ' ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_|^information_schema$' AND (c.relkind NOT IN ('i', 'I') OR NOT c.relispartition)
ORDER BY 1`;
const Line = z.object({ line: z.string() });

async function objectsOf(session: Session): Promise<string[]> {
  return (await session.rows(Line, OBJECTS_SQL)).map((row) => row.line);
}

async function leavesOf(session: Session): Promise<string[]> {
  const rows = await session.rows(
    Line,
    "SELECT 'r ' || c.relname AS line FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'public.orders'::regclass",
  );
  return rows.map((row) => row.line);
}

/** What is there and should not be, or is not and should be. */
function leftovers(base: Base, found: readonly string[], leaves: readonly string[]): string[] {
  if (base.scenario === "backup") return [];
  if (base.scenario === "migrate") {
    const missing = ["p orders", "r orders_retired", "schema partway"].filter(
      (line) => !found.includes(line),
    );
    return [
      ...missing.map((line) => `missing: ${line}`),
      ...found.filter((line) => /^(slot|publication) /.test(line)).map((line) => `left over: ${line}`),
    ];
  }
  const partitioned = base.untouched.map((line) =>
    line.replace(/^r orders$/, "p orders").replace(/^i /, "I "),
  );
  const expected = base.scenario === "finalize" ? [...partitioned, ...leaves] : base.untouched;
  // The failed table is kept, with its leaves, indexes and sequence, until the operator drops it.
  const ours =
    base.scenario === "rollback"
      ? found.filter((line) => !/_failed|orders_partitioned_id_seq|_partitioned$/.test(line))
      : found;
  return [
    ...ours.filter((line) => !expected.includes(line)).map((line) => `left over: ${line}`),
    ...expected.filter((line) => !ours.includes(line)).map((line) => `missing: ${line}`),
  ];
}

/** The backup that the killed and resumed run has left: whole, and what its manifest says. */
async function backupFaults(state: string): Promise<string[]> {
  const [id, ...others] = readdirSync(join(state, "backups"));
  if (id === undefined || others.length > 0) return [`${others.length + (id === undefined ? 0 : 1)} backups`];
  const dir = join(state, "backups", id);
  const manifest = await readManifest(dir);
  if (manifest === null) return ["the backup has no manifest"];
  await assertUnchanged(dir, manifest, new AbortController().signal);
  return [];
}

/** Drafts and partial files of a process that died. */
function strayFiles(state: string): string[] {
  return readdirSync(state, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.partial$|\.new-/.test(name))
    .map((name) => `stray file: ${name}`);
}

/** Drops what `prepare` made. */
export async function dropBase(place: Place, base: Base): Promise<void> {
  await asAdmin(place.server, (admin) => admin.query(`DROP DATABASE ${ident(base.name)} WITH (FORCE)`));
  rmSync(base.state, { recursive: true, force: true });
}
