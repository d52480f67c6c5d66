/**
 * The short transaction that exchanges the two tables' names, used for cutover and for rollback (DESIGN 3.6, 3.8).
 * The application finds its old names: tables, indexes, constraints, sequences.
 */
import { z } from "zod";
import { LOCK_SQL } from "../pg/locks.js";
import { ident, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { rest } from "./drain.js";
import type { Direction } from "./pairs.js";

/**
 * The renames as one string (one round trip inside the lock). Forward: source -> retired, shadow -> source.
 * Reverse: the new table -> failed, retired -> source. `gone`: indexes that are no longer there to be renamed.
 */
export function renameSql(plan: Plan, direction: Direction, gone: ReadonlySet<string> = NONE_GONE): string {
  const n = plan.names;
  const table = (from: string, to: string) =>
    `ALTER TABLE ${qualified(n.schema, from)} RENAME TO ${ident(to)};`;
  const index = (from: string, to: string) =>
    gone.has(from) ? "" : `ALTER INDEX ${qualified(n.schema, from)} RENAME TO ${ident(to)};`;
  const parts =
    direction === "forward"
      ? [
          table(n.source, n.retired),
          table(n.shadow, n.source),
          ...plan.indexes.flatMap((i) => [
            index(i.finalName, i.retiredName),
            index(i.shadowName, i.finalName),
          ]),
        ]
      : [
          table(n.source, n.failed),
          table(n.retired, n.source),
          ...plan.indexes.flatMap((i) => [
            index(i.finalName, i.shadowName),
            index(i.retiredName, i.finalName),
          ]),
        ];
  return parts.filter((part) => part !== "").join("\n");
}

const NONE_GONE: ReadonlySet<string> = new Set();

/** By table, never by name alone: another table's index may have the name meanwhile (DESIGN 7.4). */
const INDEXES_SQL = /*sql*/ `
SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = $1::oid AND c.relnamespace = $2::regnamespace`;

/** The names under which a rollback expects indexes of the two tables and finds none: dropped or renamed since. */
export async function goneIndexes(session: Session, plan: Plan, newOid: string): Promise<Set<string>> {
  const namesOf = async (oid: string) =>
    new Set(
      (await session.rows(z.object({ name: z.string() }), INDEXES_SQL, [oid, ident(plan.names.schema)])).map(
        (row) => row.name,
      ),
    );
  const [onNew, onRetired] = [await namesOf(newOid), await namesOf(plan.source.oid)];
  return new Set(
    plan.indexes.flatMap((i) => [
      ...(onNew.has(i.finalName) ? [] : [i.finalName]),
      ...(onRetired.has(i.retiredName) ? [] : [i.retiredName]),
    ]),
  );
}

/**
 * Sequences, after the renames. serial: the sequence stays, its owner column moves. identity: each table has its own;
 * the names are exchanged and last_value and is_called carried, so the next value follows the last one used.
 */
export function sequenceSql(plan: Plan, direction: Direction): string {
  const source = qualified(plan.names.schema, plan.names.source);
  return plan.sequences
    .map((s) => {
      const owned = qualified(s.schema, s.name);
      if (s.kind === "serial") return `ALTER SEQUENCE ${owned} OWNED BY ${source}.${ident(s.column)};`;
      const [was, becomes] =
        direction === "forward" ? [s.retiredName, s.shadowName] : [s.shadowName, s.retiredName];
      const old = qualified(s.schema, was);
      return `ALTER SEQUENCE ${owned} RENAME TO ${ident(was)};
ALTER SEQUENCE ${qualified(s.schema, becomes)} RENAME TO ${ident(s.name)};
SELECT setval(${literal(owned)}::regclass, last_value, is_called) FROM ${old};`;
    })
    .join("\n");
}

/** Samples how long anybody has been waiting for one of the tables while the locks are sought and held. */
export class StallWatch {
  #longest = 0;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(observer: Session, oids: string[], pid: number) {
    // The watch is a courtesy: when its connection breaks, what it has seen so far stands.
    this.#running = this.#run(observer, oids, pid).catch(() => this.#stop.abort());
  }

  async #run(observer: Session, oids: string[], pid: number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const row = await observer.one(z.object({ ms: z.coerce.number() }), LOCK_SQL.longestWait, [
        `{${oids.join(",")}}`,
        pid,
      ]);
      this.#longest = Math.max(this.#longest, row.ms);
      await rest(10, this.#stop.signal);
    }
  }

  /** Stops and gives the longest wait seen, ms. */
  async stop(): Promise<number> {
    this.#stop.abort();
    await this.#running;
    return this.#longest;
  }
}

export type NameHolder = "source" | "new" | "neither";

const HOLDER_SQL = /*sql*/ `SELECT to_regclass($1)::oid::text AS oid`;

/** Which table has the application's name: asked of the catalog, never guessed (DESIGN 3.6). */
export async function nameHolder(
  session: Session,
  plan: Plan,
  shadowOid: string | null,
): Promise<NameHolder> {
  const { oid } = await session.one(z.object({ oid: z.string().nullable() }), HOLDER_SQL, [
    qualified(plan.names.schema, plan.names.source),
  ]);
  if (oid === plan.source.oid) return "source";
  return oid !== null && oid === shadowOid ? "new" : "neither";
}

const NEXT_SQL = (sequence: string, table: string, column: string) => /*sql*/ `
SELECT (CASE WHEN q.is_called THEN q.last_value + s.seqincrement ELSE q.last_value END)::text AS next,
       (SELECT max(${column})::text FROM ${table}) AS largest, s.seqincrement::text AS step, s.seqmax::text AS most
  FROM ${sequence} AS q, pg_sequence AS s
 WHERE s.seqrelid = ${literal(sequence)}::regclass AND s.seqincrement > 0 AND NOT s.seqcycle`;

const Next = z.object({
  next: z.string(),
  largest: z.string().nullable(),
  step: z.string(),
  most: z.string(),
});

/** Whose largest value says how far the sequence must be; 'A' || nextval(...) says nothing. */
const COUNTED = new Set(["pg_catalog.int2", "pg_catalog.int4", "pg_catalog.int8"]);

/** Up to so many values are drawn rather than set: the application draws meanwhile, and nothing may go backwards. */
const DRAWN = 10_000n;

/**
 * The next value of each sequence must lie beyond the largest key, because (id, partition key) no longer complains of
 * a second id (DESIGN 7.20). Moves a sequence that lags; returns what it moved, `to` null where the sequence cannot
 * count that far.
 */
export async function assertSequencesAhead(
  session: Session,
  plan: Plan,
): Promise<{ sequence: string; to: string | null }[]> {
  const moved: { sequence: string; to: string | null }[] = [];
  const table = qualified(plan.names.schema, plan.names.source);
  const keys = new Set(plan.key.map((c) => c.name));
  const counted = new Set(plan.source.columns.filter((c) => COUNTED.has(c.baseType)).map((c) => c.name));
  for (const s of plan.sequences.filter((q) => keys.has(q.column) && counted.has(q.column))) {
    const sequence = qualified(s.schema, s.name);
    const row = await session.maybe(Next, NEXT_SQL(sequence, table, ident(s.column)));
    if (row === null || row.largest === null || BigInt(row.next) > BigInt(row.largest)) continue;
    const to = BigInt(row.most) < BigInt(row.largest) ? null : row.largest;
    if (to !== null) await advance(session, literal(sequence), row.next, to, BigInt(row.step));
    moved.push({ sequence: s.name, to });
  }
  return moved;
}

async function advance(session: Session, sequence: string, next: string, to: string, step: bigint) {
  const draws = (BigInt(to) - BigInt(next)) / step + 1n;
  if (draws <= DRAWN)
    await session.query(`SELECT count(nextval(${sequence}::regclass)) FROM generate_series(1, $1::bigint)`, [
      draws.toString(),
    ]);
  else await session.query(`SELECT setval(${sequence}::regclass, $1::bigint, true)`, [to]);
}
