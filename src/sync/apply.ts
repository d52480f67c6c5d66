/**
 * Apply (DESIGN 3.4), written once for both directions: take log rows, oldest first, and in one transaction on ONE
 * snapshot delete their pairs from the lagging side, insert the live rows that have those pairs, and delete exactly
 * those log rows. It copies the present, not the past, so it is idempotent and convergent.
 */
import { z } from "zod";
import type { Lease } from "../pg/lease.js";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { Plan } from "../plan/types.js";
import { isKeyed } from "../wal/identity.js";
import {
  keyEquals,
  markSql,
  overriding,
  pairEquals,
  pairList,
  pairMatchesLive,
  type Sides,
  writableList,
} from "./pairs.js";

/** A TRUNCATE marker was found: the lagging side must be rebuilt, never an order guessed (DESIGN 3.4). */
export class TruncateSeen extends Error {}

/** A unique index of the lagging side refused a row (SQLSTATE 23505). */
export class UniqueConflict extends Error {
  constructor(cause: unknown) {
    super("a unique index of the lagging side refused a row", { cause });
  }
}

export interface ApplySql {
  pick: string;
  /** Only where log rows may have a key alone: what stands under it, whatever its partition key. Before `remove`. */
  gone?: string;
  remove: string;
  insert: string;
  forget: string;
}

/**
 * The statements for the whole log, without the ids of its rows: in one snapshot the log's rows are the same to each
 * of them, and the ids of a log that nobody applied for a day fit neither into memory nor into one parameter (1 GB).
 */
export type WholeSql = Omit<ApplySql, "pick"> & { marker: string };

/**
 * The four statements. `$1` is the array of log row ids; pick takes a limit.
 * `skip`: in reverse, keys that stand twice on the live side cannot go under the old unique key; they stay in the log
 * (verdict: not safe) while everything else goes on.
 */
export function applySql(plan: Plan, sides: Sides, skip: boolean): ApplySql {
  const { log } = sides;
  const mine = "partway_seq = ANY ($1::uuid[])";
  return {
    pick: `SELECT l.partway_seq::text AS seq, l.partway_op::text AS op FROM ${log} AS l
 WHERE true${skip ? notTwice(plan, sides) : ""} ORDER BY l.partway_seq LIMIT $1::bigint`,
    ...refreshSql(plan, sides, `${log} AS l WHERE ${mine}`),
  };
}

/** The same for the whole log; only in a transaction of one snapshot. */
export function wholeSql(plan: Plan, sides: Sides, skip: boolean): WholeSql {
  const { log } = sides;
  return {
    marker: `SELECT FROM ${log} WHERE partway_op = 't' LIMIT 1`,
    ...refreshSql(plan, sides, `${log} AS l WHERE true${skip ? notTwice(plan, sides) : ""}`),
  };
}

/** `l` is a log row whose key does not stand twice on the live side. */
function notTwice(plan: Plan, { live }: Sides): string {
  const same = plan.key.map((c) => `s.${ident(c.name)} = l.${ident(c.name)}`).join(" AND ");
  return `\n   AND NOT EXISTS (SELECT FROM ${live} AS s WHERE ${same} OFFSET 1)`;
}

/** Delete the dirty pairs, insert the live rows, forget the log rows; `rows` says which: `<log> AS l WHERE ...`. */
function refreshSql(plan: Plan, sides: Sides, rows: string): Omit<ApplySql, "pick"> {
  const { live, lagging } = sides;
  const dirty = `SELECT DISTINCT ${pairList(plan, "l")} FROM ${rows}`;
  // The new table's partition columns are NOT NULL: a plain = prunes its leaves, IS NOT DISTINCT FROM reads them all.
  const isLive = (sides.direction === "forward" ? pairMatchesLive : pairEquals)(plan, "s", "d");
  // Sorted by partition key the inserts visit one leaf after the other: twice as fast (DESIGN 3.4).
  const order = plan.partitionBy.map((c) => `d.${ident(c.name)}`).join(", ");
  return {
    ...(sides.direction === "forward" && isKeyed(plan) ? { gone: goneSql(plan, lagging, rows) } : {}),
    remove: `DELETE FROM ${lagging} AS t USING (${dirty}) AS d WHERE ${pairEquals(plan, "t", "d")}`,
    insert: `INSERT INTO ${lagging} (${writableList(plan)}) ${overriding(plan)}
SELECT ${writableList(plan, "s")} FROM (${dirty}) AS d JOIN ${live} AS s ON ${isLive}
 ORDER BY ${order}`,
    forget: `DELETE FROM ${rows}`,
  };
}

/**
 * The write-ahead log tells of a row that goes its key alone (op `k`), and of one that was updated only where it is now
 * (`u`). Its key is looked for in every leaf, but not where the row is seen to have stayed in its place: the lagging
 * side has one row a key, since log rows are applied in the order of the commits.
 */
function goneSql(plan: Plan, lagging: string, rows: string): string {
  const keys = plan.key.map((c) => `l.${ident(c.name)}`).join(", ");
  return `DELETE FROM ${lagging} AS t USING (SELECT DISTINCT ${keys} FROM ${rows}
   AND (l.partway_op = 'k' OR l.partway_op = 'u'
        AND NOT EXISTS (SELECT FROM ${lagging} AS x WHERE ${pairEquals(plan, "x", "l")}))) AS d WHERE ${keyEquals(plan, "t", "d")}`;
}

/**
 * The planner costs the nested loop as if every leaf were probed and picks a scan of everything: 1,800 keys a second
 * instead of 20,000 (DESIGN 8). The pair in the predicate prunes at run time.
 */
export const APPLY_SETTINGS = [
  "SET LOCAL enable_hashjoin = off",
  "SET LOCAL enable_mergejoin = off",
  "SET LOCAL enable_seqscan = off",
].join("; ");

/** Back to the server's own, for what follows an apply in the same transaction. */
export const APPLY_SETTINGS_OFF = APPLY_SETTINGS.replaceAll("= off", "TO DEFAULT");

const Picked = z.object({ seq: z.string(), op: z.string() });

/**
 * The body of an apply, inside a transaction the caller has begun (REPEATABLE READ, or any under exclusive locks).
 * Returns the number of log rows applied. `tag` names the prepared statements on this session.
 */
export async function applyInside(
  session: Session,
  sql: ApplySql,
  limit: number,
  tag: string,
): Promise<number> {
  const picked = (await session.query(sql.pick, [limit], `${tag}_pick`)).rows.map((row) => Picked.parse(row));
  if (picked.some((row) => row.op === "t")) throw new TruncateSeen("the live side was truncated");
  if (picked.length === 0) return 0;
  const ids = `{${picked.map((row) => row.seq).join(",")}}`;
  await refresh(async () => {
    if (sql.gone !== undefined) await session.query(sql.gone, [ids], `${tag}_gone`);
    await session.query(sql.remove, [ids], `${tag}_remove`);
    await session.query(sql.insert, [ids], `${tag}_insert`);
  });
  await session.query(sql.forget, [ids], `${tag}_forget`);
  return picked.length;
}

/** Runs what writes to the lagging side. Errors: UniqueConflict for what one of its unique indexes refuses. */
export async function refresh(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (sqlState(error) === SQLSTATE.uniqueViolation) throw new UniqueConflict(error);
    throw error;
  }
}

/** The whole log at once, in a transaction of one snapshot. Returns the number of log rows applied. */
async function applyWholeInside(session: Session, sql: WholeSql): Promise<number> {
  if ((await session.query(sql.marker)).rows.length > 0)
    throw new TruncateSeen("the live side was truncated");
  await refresh(async () => {
    if (sql.gone !== undefined) await session.query(sql.gone);
    await session.query(sql.remove);
    await session.query(sql.insert);
  });
  return (await session.query(sql.forget)).count;
}

export interface ApplyOptions {
  plan: Plan;
  sides: Sides;
  lease: Lease;
  limit: number;
}

/** No limit: the whole log on one snapshot. */
export const WHOLE_LOG = 2_000_000_000;

/**
 * One apply transaction. Returns the log rows applied; 0 when the log is empty. Both sides are locked in ACCESS SHARE
 * before the snapshot: to one older than a rewriting ALTER TABLE a table is empty, and rows would be deleted, or stay.
 */
export function applyOnce(session: Session, options: ApplyOptions, skip = false): Promise<number> {
  const { plan, sides, lease, limit } = options;
  return lease.tx(
    session,
    async () => {
      await session.query(`${markSql(plan)}; ${APPLY_SETTINGS}`);
      if (limit === WHOLE_LOG) return applyWholeInside(session, wholeSql(plan, sides, skip));
      const tag = `apply_${sides.direction}${skip ? "_skip" : ""}`;
      return applyInside(session, applySql(plan, sides, skip), limit, tag);
    },
    { isolation: "repeatable read", lock: applyLock(sides) },
  );
}

/**
 * Has the statements of an apply planned on this session, by an apply of no rows: a drain that found the log empty has
 * not run them, and with a thousand leaves planning takes longer than what they do.
 */
export function planApply(session: Session, options: Omit<ApplyOptions, "limit">): Promise<void> {
  const { plan, sides, lease } = options;
  const { pick, gone, remove, insert, forget } = applySql(plan, sides, false);
  const tag = `apply_${sides.direction}`;
  return lease.tx(
    session,
    async () => {
      // No mark: it writes no row.
      await session.query(APPLY_SETTINGS);
      await session.query(pick, [0], `${tag}_pick`);
      if (gone !== undefined) await session.query(gone, ["{}"], `${tag}_gone`);
      await session.query(remove, ["{}"], `${tag}_remove`);
      await session.query(insert, ["{}"], `${tag}_insert`);
      await session.query(forget, ["{}"], `${tag}_forget`);
    },
    { lock: applyLock(sides) },
  );
}

/** With every leaf: a rewrite of a single leaf does not lock the parent (found by the model, test/model). */
function applyLock({ live, lagging }: Sides): string {
  return `LOCK TABLE ${live}, ${lagging} IN ACCESS SHARE MODE`;
}

/**
 * One step of catching up, with the ladder for unique conflicts of DESIGN 3.4: the batch; on 23505 the whole log on
 * one snapshot (another dirty row outside the batch may hold the value); in reverse, where the old key is stricter
 * than the pair, the whole log without the keys that stand twice.
 */
export async function applyStep(session: Session, options: ApplyOptions): Promise<number> {
  const whole = { ...options, limit: WHOLE_LOG };
  try {
    return await applyOnce(session, options);
  } catch (error) {
    if (!(error instanceof UniqueConflict)) throw error;
  }
  try {
    return await applyOnce(session, whole);
  } catch (error) {
    if (!(error instanceof UniqueConflict) || options.sides.direction === "forward") throw error;
  }
  return applyOnce(session, whole, true);
}

/** Rows waiting in a change log, counted up to `cap` (a long log need not be read whole to know that it is long). */
export async function backlog(session: Session, log: string, cap = 100_000): Promise<number> {
  const Count = z.object({ n: z.coerce.number() });
  return (await session.one(Count, `SELECT count(*)::text AS n FROM (SELECT FROM ${log} LIMIT ${cap}) AS l`))
    .n;
}
