/**
 * Values for a statement's parameters. With the real ones unknown, a column's come from the middle of its statistics:
 * leaves are then left out as they are for the application, and both tables are judged by the same values. Pure.
 */
import type { ParamUse } from "./shape.js";

/** From pg_stats: two neighbouring values from the middle, one near the end; null where there are none. */
export interface ColumnValues {
  middle: string | null;
  next: string | null;
  late: string | null;
}

/** A value for each parameter, in order, as text; null is NULL. `types`: as the server inferred them. */
export function chooseValues(
  types: readonly string[],
  uses: readonly ParamUse[],
  columns: ReadonlyMap<string, ColumnValues>,
): (string | null)[] {
  return types.map((type, at) => {
    const mine = uses.filter(({ number }) => number === at + 1);
    if (mine.some(({ op }) => op === "limitCount")) return "10";
    if (mine.some(({ op }) => op === "limitOffset")) return "0";
    for (const { column, op } of mine) {
      const known = column === null ? undefined : columns.get(column);
      if (column === null || known === undefined) continue;
      const value = valueFor(op, known, bounds(column, uses));
      if (value !== null) return type.endsWith("[]") ? `{${quoted(value)}}` : value;
    }
    return dummy(type);
  });
}

function valueFor(
  op: string,
  known: ColumnValues,
  { below, above }: ReturnType<typeof bounds>,
): string | null {
  if ((op === "<" || op === "<=") && above) return known.next;
  // Only a lower bound: most often the newest rows are asked for.
  if ((op === ">" || op === ">=") && !below) return known.late;
  return known.middle;
}

/** Whether the statement bounds the column from below and from above by parameters. */
function bounds(column: string, uses: readonly ParamUse[]): { below: boolean; above: boolean } {
  const has = (...ops: string[]) => uses.some((use) => use.column === column && ops.includes(use.op));
  return { above: has(">", ">="), below: has("<", "<=") };
}

const quoted = (value: string): string => `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

function dummy(type: string): string | null {
  if (/^(smallint|integer|bigint|numeric|real|double precision)$/.test(type)) return "1";
  if (type === "boolean") return "true";
  if (type === "interval") return "1 day";
  if (type === "date" || type.startsWith("timestamp")) return "now";
  // A field of extract and date_trunc as well, which do not take any text.
  if (type === "text") return "day";
  return null;
}
