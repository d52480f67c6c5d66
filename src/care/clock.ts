/** Where "now" is on a table's axis: the database's clock, or for numbers the largest value in a leaf of the grid. */
import { z } from "zod";
import { ident, literal } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { rangesOf, recogniseTable } from "./decide.js";
import { type Grid, positionOf, type Range, standsOn } from "./grid.js";
import { type CareTable, shownName } from "./table.js";

/** `grid`: the policy's. `now`: the clock's text instead of the database's. Null where the table has no axis. */
export async function positionNow(
  session: Session,
  table: CareTable,
  grid: Grid | null,
  now?: string,
): Promise<bigint | null> {
  const { axis, column } = table;
  if (axis === null || column === null) return null;
  if (axis.kind === "time") {
    const at = positionOf(axis, now ?? table.now);
    if (at === null) throw new Error(`not a time in UTC: ${now ?? table.now}`);
    return at.low;
  }
  for (const range of rangesThatCount(table, grid).toReversed()) {
    const Max = z.object({ most: z.string().nullable() });
    const [low, high] = [range.from, range.to].map((end) => literal(String(end?.low ?? 0n)));
    const key = ident(column);
    // Through the table, whose rights the caller has; the planner reads the one leaf.
    const sql = `SELECT max(${key})::text AS most FROM ${shownName(table)} WHERE ${key} >= ${low} AND ${key} < ${high}`;
    const { most } = await session.one(Max, sql);
    if (most !== null) return BigInt(most);
  }
  // Nothing is in it yet: its first leaf is where it begins.
  return rangesThatCount(table, grid)[0]?.from?.low ?? firstOf(table);
}

/**
 * Leaves whose values say where a table cut by numbers has come to: whole intervals, of its policy or of its leaves.
 * DEFAULT and leaves of another width never count: one wild value in there would make every leaf look old.
 */
export function rangesThatCount(table: CareTable, grid: Grid | null): Range[] {
  const grids = [grid, recogniseTable(table).grid].flatMap((one) => (one === null ? [] : [one]));
  return rangesOf(table).filter((range) => grids.some((one) => standsOn(one, range)));
}

function firstOf(table: CareTable): bigint {
  return table.leaves.find(({ range }) => range?.from != null)?.range?.from?.low ?? 0n;
}
