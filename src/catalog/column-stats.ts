/** What the server knows of a table's values without reading them: pg_stats, scans by index, and probes of indexes. */
import { z } from "zod";
import type { ColumnStats, Reach } from "../advise/facts.js";
import { OWN } from "../advise/statements.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { isInteger, isTime } from "../plan/columns.js";
import { hiddenByPolicies } from "./hidden.js";
import { jsonRows } from "./json.js";
import type { ColumnInfo, TableInfo } from "./types.js";

/** A probe of an index is one page or a few; with many dead entries at its end it may be more, and then it is left. */
const PROBE_MS = 1_000;

const statsRow = z.object({
  name: z.string(),
  nullFraction: z.number(),
  distinct: z.number(),
  correlation: z.number().nullable(),
  histogram: z.array(z.string()).nullable(),
  values: z.array(z.string()).nullable(),
  infinite: z.boolean(),
});
type Stats = z.infer<typeof statsRow>;

/** $3: columns whose histogram is wanted. Common values are all values when there are as many and their shares make 1. */
const STATS = /*sql*/ `
  SELECT attname AS name, null_frac AS "nullFraction", n_distinct AS distinct, correlation,
         CASE WHEN attname = ANY ($3::text[]) THEN array_remove(array_remove(
           histogram_bounds::text::text[], 'infinity'), '-infinity') END AS histogram,
         CASE WHEN n_distinct BETWEEN 2 AND 50 AND array_length(most_common_freqs, 1) = n_distinct
               AND null_frac = 0 AND (SELECT sum(f) FROM unnest(most_common_freqs) AS f) > 0.999
              THEN most_common_vals::text::text[] END AS values,
         attname = ANY ($3::text[])
           AND (coalesce(most_common_vals::text::text[] && ARRAY['infinity', '-infinity'], false)
                OR coalesce(histogram_bounds::text::text[] && ARRAY['infinity', '-infinity'], false)) AS infinite
    FROM pg_stats
   WHERE schemaname = $1 AND tablename = $2 AND NOT inherited`;

const scanRow = z.object({ name: z.string(), scans: z.number() });

const SCANS = /*sql*/ `
  SELECT indexrelname AS name, idx_scan AS scans FROM pg_stat_all_indexes WHERE relid = $1::oid`;

export interface ColumnFacts {
  columns: Record<string, ColumnStats>;
  reach: Record<string, Reach>;
  scans: Record<string, number>;
}

/**
 * Reads nothing of the table but ends of indexes, each with a time limit; the session's statement_timeout is changed.
 * Must not run inside a transaction: a probe that fails would end it.
 */
export async function readColumnFacts(session: Session, table: TableInfo): Promise<ColumnFacts> {
  const ranged = table.columns.filter((column) => isTime(column) || isInteger(column));
  const found = await jsonRows(session, statsRow, STATS, [
    table.schema,
    table.name,
    ranged.map((column) => column.name),
  ]);
  const scans = await jsonRows(session, scanRow, SCANS, [table.oid]);
  const reach: [string, Reach][] = [];
  for (const column of ranged) {
    const stats = found.find((one) => one.name === column.name);
    reach.push([column.name, (await probe(session, table, column)) ?? fromStats(stats)]);
  }
  return {
    columns: Object.fromEntries(found.map(({ name, infinite: _, ...stats }) => [name, stats])),
    reach: Object.fromEntries(reach),
    scans: Object.fromEntries(scans.map(({ name, scans: n }) => [name, n])),
  };
}

function fromStats(stats: Stats | undefined): Reach {
  const { histogram = null, infinite = false } = stats ?? {};
  return { min: histogram?.[0] ?? null, max: histogram?.at(-1) ?? null, infinite, from: "statistics" };
}

const reachRow = z.object({
  min: z.string().nullable(),
  max: z.string().nullable(),
  infinite: z.enum(["t", "f"]).transform((value) => value === "t"),
});

/** Both ends of a btree that begins with the column; null where there is none, or it may not or cannot be read in time. */
async function probe(session: Session, table: TableInfo, column: ColumnInfo): Promise<Reach | null> {
  const led = table.indexes.some(
    (i) => i.method === "btree" && i.valid && !i.partial && i.plain && i.columns[0] === column.name,
  );
  if (!led || !table.rights.selectTable || hiddenByPolicies(table)) return null;
  const col = ident(column.name);
  const time = isTime(column);
  const finite = time ? `${col} > '-infinity' AND ${col} < 'infinity'` : `${col} IS NOT NULL`;
  const from = `FROM ${qualified(table.schema, table.name)}`;
  const infinite = time ? `EXISTS (SELECT ${from} WHERE ${col} IN ('-infinity', 'infinity'))` : "false";
  await session.query("SELECT set_config('statement_timeout', $1, false)", [String(PROBE_MS)]);
  try {
    const found = await session.one(
      reachRow,
      `${OWN} SELECT (SELECT min(${col}) ${from} WHERE ${finite})::text AS min,
              (SELECT max(${col}) ${from} WHERE ${finite})::text AS max, ${infinite} AS infinite`,
    );
    return { ...found, from: "index" };
  } catch (error) {
    const state = sqlState(error) ?? "";
    const late = [SQLSTATE.queryCanceled, SQLSTATE.lockNotAvailable, SQLSTATE.insufficientPrivilege];
    if (!late.some((known) => known === state)) throw error;
    return null;
  } finally {
    if (!session.lost) await session.query("SELECT set_config('statement_timeout', '0', false)");
  }
}
