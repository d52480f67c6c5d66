/** What the plan needs to know of the data: the reach of the partition column, what cannot be placed, a sample. */
import { z } from "zod";
import { badInput, PartwayError } from "../errors.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { reachOf, withinSql } from "../plan/reach.js";
import type { Scheme, Survey } from "../plan/types.js";
import { hiddenByPolicies } from "./hidden.js";
import type { ColumnInfo, TableInfo } from "./types.js";

/** Rows the sample aims at: enough to see a leaf that holds 0.1 % of the table, cheap on any size. */
const SAMPLE_ROWS = 30_000;
/** One more than a list scheme may have (Survey.distinct). */
const DISTINCT_LIMIT = 1001;

const TIME_TYPES = new Set(["pg_catalog.date", "pg_catalog.timestamp", "pg_catalog.timestamptz"]);
const INTEGER_TYPES = new Set(["pg_catalog.int2", "pg_catalog.int4", "pg_catalog.int8"]);

/** How far the partition column reaches, and whether some rows have no place in a range. */
interface Reach {
  min: string | null;
  max: string | null;
  nullRows: boolean;
  infiniteRows: boolean;
}

const flag = z.enum(["t", "f"]).transform((value) => value === "t");
const nullable = z.string().nullable();

/**
 * Reads what `scheme` needs to know of the rows of `table`. Values are text as the session shows them, and sessions
 * are pinned to UTC: `2026-01-01 00:00:00+00`. A column whose type does not suit the scheme has no min, max or
 * sample; refusing it is the plan's affair. `rest`: a DEFAULT leaf takes what no leaf can hold, so min and max are of
 * the other rows, and the sample has infinite values too. Errors: bad-input for a column the table does not have, refused when the
 * role may not see every row. Without SELECT nothing is read: the plan names the grant.
 */
export async function survey(
  session: Session,
  table: TableInfo,
  scheme: Scheme,
  rest = false,
): Promise<Survey> {
  const { now } = await session.one(
    z.object({ now: z.string() }),
    `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now`,
  );
  const empty = { min: null, max: null, nullRows: false, infiniteRows: false };
  // What cannot be looked at: the plan refuses each of them, and says why.
  const unreadable = !table.rights.selectTable || hiddenByPolicies(table);
  if (unreadable || !["r", "p", "m"].includes(table.kind))
    return { now, ...empty, distinct: [], sample: { values: [], fraction: 1 }, rows: 0 };
  const column = findColumn(table, scheme.column);
  try {
    const distinct = scheme.kind === "list" ? await readDistinct(session, table, column) : [];
    const reach = await readReach(session, table, column, scheme, rest);
    const sample = await readSample(session, table, column, scheme, rest);
    return { now, ...reach, distinct, ...sample };
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.insufficientPrivilege) throw error;
    throw new PartwayError(
      "refused",
      {
        what: `role "${table.rights.role}" may not read every row of ${relationOf(table)}: ${
          error instanceof Error ? error.message : String(error)
        }`,
        state: "Nothing was touched.",
        next: `Connect as ${ident(table.owner)}, the table's owner, and run the same command again.`,
      },
      { cause: error },
    );
  }
}

function findColumn(table: TableInfo, name: string): ColumnInfo {
  const column = table.columns.find((c) => c.name === name);
  if (column !== undefined) return column;
  throw badInput(
    `${relationOf(table)} has no column "${name}"`,
    `Choose one of: ${table.columns.map((c) => `${c.name} (${c.type})`).join(", ")}.`,
  );
}

const relationOf = (table: TableInfo) => qualified(table.schema, table.name);

/** Can the planner read the smallest value, or the NULLs, of this column from an index? */
function hasLeadingIndex(table: TableInfo, column: ColumnInfo): boolean {
  return table.indexes.some(
    (i) => i.method === "btree" && i.valid && !i.partial && i.plain && i.columns[0] === column.name,
  );
}

/**
 * With an index on the column each fact is one probe; without one they are aggregates of a single pass. Infinite
 * values are left out of min and max, since no leaf can be named after them.
 */
async function readReach(
  session: Session,
  table: TableInfo,
  column: ColumnInfo,
  scheme: Scheme,
  rest: boolean,
): Promise<Reach> {
  const col = ident(column.name);
  const from = `FROM ${relationOf(table)}`;
  const time = TIME_TYPES.has(column.baseType);
  const ranged = scheme.kind.startsWith("range") && (time || INTEGER_TYPES.has(column.baseType));
  const reach = rest ? reachOf(scheme, column) : null;
  const finite =
    reach !== null
      ? withinSql(col, reach)
      : time
        ? `${col} > '-infinity' AND ${col} < 'infinity'`
        : `${col} IS NOT NULL`;
  const infinite = `${col} IN ('-infinity', 'infinity')`;
  const row = z.object({ min: nullable, max: nullable, nulls: flag, infinite: flag });
  const asked = {
    extremes: ranged,
    nulls: !column.notNull,
    infinite: ranged && time,
  };
  if (!Object.values(asked).includes(true))
    return { min: null, max: null, nullRows: false, infiniteRows: false };
  const probe = hasLeadingIndex(table, column) || !ranged;
  const found = await session.one(
    row,
    probe
      ? `SELECT ${asked.extremes ? `(SELECT min(${col}) ${from} WHERE ${finite})::text` : "NULL"} AS min,
                ${asked.extremes ? `(SELECT max(${col}) ${from} WHERE ${finite})::text` : "NULL"} AS max,
                ${asked.nulls ? `EXISTS (SELECT ${from} WHERE ${col} IS NULL)` : "false"} AS nulls,
                ${asked.infinite ? `EXISTS (SELECT ${from} WHERE ${infinite})` : "false"} AS infinite`
      : `SELECT min(${col}) FILTER (WHERE ${finite})::text AS min,
                max(${col}) FILTER (WHERE ${finite})::text AS max,
                coalesce(bool_or(${col} IS NULL), false) AS nulls,
                ${asked.infinite ? `coalesce(bool_or(${infinite}), false)` : "false"} AS infinite ${from}`,
  );
  return { min: found.min, max: found.max, nullRows: found.nulls, infiniteRows: found.infinite };
}

/**
 * The distinct values in order, at most DISTINCT_LIMIT. Along an index it steps from value to value, which costs one
 * probe a value instead of a pass over the table. json has no equality, hence no distinct values.
 */
async function readDistinct(session: Session, table: TableInfo, column: ColumnInfo): Promise<string[]> {
  if (!column.hasBtree) return [];
  const col = ident(column.name);
  const from = `FROM ${relationOf(table)}`;
  const rows = await session.rows(
    z.object({ value: z.string() }),
    hasLeadingIndex(table, column)
      ? `WITH RECURSIVE step AS (
           (SELECT ${col} AS value ${from} WHERE ${col} IS NOT NULL ORDER BY ${col} LIMIT 1)
           UNION ALL
           SELECT (SELECT ${col} ${from} WHERE ${col} > step.value ORDER BY ${col} LIMIT 1)
             FROM step WHERE step.value IS NOT NULL
         ) SELECT value::text AS value FROM step WHERE value IS NOT NULL LIMIT ${DISTINCT_LIMIT}`
      : `SELECT d.value::text AS value
           FROM (SELECT DISTINCT ${col} AS value ${from} WHERE ${col} IS NOT NULL LIMIT ${DISTINCT_LIMIT}) AS d
          ORDER BY d.value`,
  );
  return rows.map(({ value }) => value);
}

/** The planner's row estimate: density of the last statistics times the size of today. */
async function plannedRows(session: Session, table: TableInfo): Promise<number> {
  const { rows } = await session.query(`EXPLAIN (FORMAT JSON) SELECT FROM ${relationOf(table)}`);
  const plan: unknown = JSON.parse(rows[0]?.["QUERY PLAN"] ?? "[]");
  const [top] = z.array(z.object({ Plan: z.object({ "Plan Rows": z.number() }) })).parse(plan);
  return top?.Plan["Plan Rows"] ?? 0;
}

/** About SAMPLE_ROWS rows of whole random blocks; NULL, and without `rest` infinite values, count as rows but are no values. */
async function readSample(
  session: Session,
  table: TableInfo,
  column: ColumnInfo,
  scheme: Scheme,
  rest: boolean,
): Promise<{ sample: Survey["sample"]; rows: number }> {
  const known = table.estimatedRows > 0 || (table.estimatedRows === 0 && table.blocks === 0);
  if (scheme.kind === "hash" && known)
    return { sample: { values: [], fraction: 1 }, rows: table.estimatedRows };
  const fraction = Math.min(1, SAMPLE_ROWS / Math.max(1, await plannedRows(session, table)));
  const sampled = await session.rows(
    z.object({ value: nullable }),
    `SELECT ${ident(column.name)}::text AS value
       FROM ${relationOf(table)} TABLESAMPLE SYSTEM ($1::text::float8)`,
    [String(fraction * 100)],
  );
  const infinite = TIME_TYPES.has(column.baseType) && !rest ? ["infinity", "-infinity"] : [];
  const values = sampled.flatMap(({ value }) => (value === null || infinite.includes(value) ? [] : [value]));
  return {
    sample: { values: scheme.kind === "hash" ? [] : values, fraction },
    rows: known ? table.estimatedRows : Math.round(sampled.length / fraction),
  };
}
