/**
 * The application: a few clients that insert, change and delete any rows, in transactions of their own, and remember
 * what each commit took from and gave to the table. A multiset needs no order, so no row belongs to a client.
 */
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { Session } from "../../src/pg/session.js";
import { sqlState } from "../../src/pg/sqlstate.js";
import { targetOf } from "../support/database.js";
import { rowText } from "./shape.js";

export interface Work {
  url: string;
  /** Quoted, qualified. */
  table: string;
  /** What follows INSERT INTO table AS t: `(at) VALUES (...)`; always possible, at any time of the migration. */
  insert: string;
  /** The application's time zone; UTC unless given. */
  zone?: string;
  /** SET clauses, always possible for any row: `note = note || 'x'`. */
  updates: readonly string[];
  /** Condition on `t`: the rows the clients change and delete; theirs before and after. Default: all of them. */
  mine?: string;
  /** Between two transactions of one client; default 5 ms. */
  thinkMs?: number;
}

export interface Clients {
  /** What the table must hold: row text -> how often. Exact while the clients rest. */
  readonly ledger: ReadonlyMap<string, number>;
  readonly commits: () => number;
  /** Errors an application would see; retried deadlocks and serialization failures are none. */
  readonly errors: readonly string[];
  /** Lets every client finish its transaction and wait. */
  rest(): Promise<void>;
  go(): void;
  /** Lets every client finish its transaction and closes the connections. */
  stop(): Promise<void>;
  /** Resolves when at least `more` further commits have been made. */
  busy(more: number): Promise<void>;
}

const Text = z.object({ row: z.string() });
const RETRY = new Set(["40001", "40P01"]);
/** Between two transactions of one client: an application, not a benchmark. */
const THINK_MS = 5;

/** Reads the table as it is and starts `count` clients. */
export async function startClients(work: Work, count = 3): Promise<Clients> {
  const { url, table, insert, updates, mine = "true", thinkMs = THINK_MS } = work;
  const sessions = await Promise.all(Array.from({ length: count }, () => Session.open(targetOf(url))));
  for (const session of sessions) await inZone(session, work.zone);
  const [first] = sessions;
  if (first === undefined) throw new Error("no client");
  const image = await rowText(first, table);
  const ledger = new Map<string, number>();
  const note = (row: string, by: number) => {
    const now = (ledger.get(row) ?? 0) + by;
    if (now === 0) ledger.delete(row);
    else ledger.set(row, now);
  };
  for (const { row } of await first.rows(Text, `SELECT ${image} AS row FROM ${table} AS t`)) note(row, 1);

  const errors: string[] = [];
  let commits = 0;
  let stopping = false;
  let gate: Promise<void> | null = null;
  let open: () => void = () => undefined;
  const watchers = new Set<() => void>();
  let resting = 0;
  let alive = count;
  let allRest: () => void = () => undefined;

  const change = async (session: Session, n: number): Promise<[string | null, string | null]> => {
    const kind = n % 5;
    if (kind < 2) {
      const { row } = await session.one(
        Text,
        `INSERT INTO ${table} AS t ${insert} RETURNING ${image} AS row`,
      );
      return [null, row];
    }
    const old = await session.maybe(
      Text,
      `SELECT ${image} AS row FROM ${table} AS t WHERE ${mine} ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED`,
    );
    if (old === null) return [null, null];
    const where = `WHERE ${mine} AND ${image} = $1`;
    const done =
      kind === 4
        ? await session.query(`DELETE FROM ${table} AS t ${where} RETURNING ${image} AS row`, [old.row])
        : await session.query(
            `UPDATE ${table} AS t SET ${updates[n % updates.length] ?? ""} ${where} RETURNING ${image} AS row`,
            [old.row],
          );
    if (done.count !== 1) throw new Error(`a row that is locked was met ${done.count} times: ${old.row}`);
    return [old.row, kind === 4 ? null : Text.parse(done.rows[0]).row];
  };

  const client = async (session: Session, at: number) => {
    await session.query(`SELECT setseed(${(at + 1) / 10})`);
    for (let n = at; !stopping; n++) {
      if (gate !== null) {
        resting += 1;
        if (resting === alive) allRest();
        await gate;
        resting -= 1;
        continue;
      }
      try {
        const [minus, plus] = await session.tx(() => change(session, n));
        if (minus !== null) note(minus, -1);
        if (plus !== null) note(plus, 1);
        commits += 1;
        for (const tell of watchers) tell();
        await pause(thinkMs);
      } catch (error) {
        if (!RETRY.has(sqlState(error) ?? "")) {
          errors.push(`${sqlState(error)} ${String(error)}`);
          alive -= 1;
          if (resting === alive) allRest();
          for (const tell of watchers) tell();
          return;
        }
      }
    }
  };
  const running = Promise.all(sessions.map(client));

  return {
    ledger,
    errors,
    commits: () => commits,
    async rest() {
      if (gate !== null || alive === 0) return;
      const all = new Promise<void>((resolve) => {
        allRest = resolve;
      });
      gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      await all;
    },
    go() {
      gate = null;
      open();
    },
    busy(more) {
      const goal = commits + more;
      return new Promise((resolve) => {
        const tell = () => {
          if (commits < goal && errors.length === 0) return;
          watchers.delete(tell);
          resolve();
        };
        watchers.add(tell);
        tell();
      });
    },
    async stop() {
      stopping = true;
      gate = null;
      open();
      await running;
      await Promise.all(sessions.map((session) => session.end()));
    },
  };
}

/** Values are printed as the application's session prints them. */
export async function inZone(session: Session, zone = "UTC"): Promise<void> {
  await session.query("SELECT set_config('TimeZone', $1, false)", [zone]);
}
