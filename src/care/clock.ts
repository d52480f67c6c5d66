/** Where "now" is on a table's axis: the database's clock, or for numbers the largest value that a leaf with an end holds. */
import { z } from "zod";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { positionOf } from "./grid.js";
import { type CareTable, shownName } from "./table.js";

/** `now`: the clock's text instead of the database's. Null where the table has no axis. */
export async function positionNow(session: Session, table: CareTable, now?: string): Promise<bigint | null> {
  const { axis, column } = table;
  if (axis === null || column === null) return null;
  if (axis.kind === "time") {
    const at = positionOf(axis, now ?? table.now);
    if (at === null) throw new Error(`not a time in UTC: ${now ?? table.now}`);
    return at.low;
  }
  const Max = z.object({ most: z.string().nullable() });
  const { most } = await session.one(
    Max,
    `SELECT max(${ident(column)})::text AS most FROM ${shownName(table)}`,
  );
  // One wild value in DEFAULT, or in a leaf without end, must not make every leaf look old.
  const ends = table.leaves.flatMap(({ range }) => (range?.to == null ? [] : [range.to.low]));
  const last = ends.reduce<bigint | null>((high, end) => (high === null || end > high ? end : high), null);
  if (most !== null) return last === null || BigInt(most) < last ? BigInt(most) : last - 1n;
  // Nothing is in it yet: its first leaf is where it begins.
  return table.leaves.find(({ range }) => range?.from != null)?.range?.from?.low ?? 0n;
}
