/**
 * Which values the leaves of a grid can hold at all: a bound must be a finite value of the column's type, so infinity,
 * and what lies in the type's last interval, is in no leaf. Pure.
 */
import type { ColumnInfo } from "../catalog/types.js";
import { literal } from "../pg/quote.js";
import { instantText, intervalOf, parseHours, startOf } from "./calendar.js";
import type { Interval, Scheme } from "./types.js";

export type TimeType = "date" | "timestamp" | "timestamptz";

/** The literal's form for each base type that range-time takes. */
export const TIME_TYPES: Record<string, TimeType> = {
  "pg_catalog.date": "date",
  "pg_catalog.timestamp": "timestamp",
  "pg_catalog.timestamptz": "timestamptz",
};

/** What each whole-number type that range-int takes can hold. */
export const LIMITS: Record<string, { least: bigint; largest: bigint }> = {
  "pg_catalog.int2": { least: -(2n ** 15n), largest: 2n ** 15n - 1n },
  "pg_catalog.int4": { least: -(2n ** 31n), largest: 2n ** 31n - 1n },
  "pg_catalog.int8": { least: -(2n ** 63n), largest: 2n ** 63n - 1n },
};

/** Half-open, as literals; `from` null: from the type's least value on. */
export interface Reach {
  from: string | null;
  to: string;
}

/** https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-TABLE */
const ENDS: Record<TimeType, readonly [first: string, last: string]> = {
  date: ["4714-11-24 BC", "5874897-12-31"],
  timestamp: ["4714-11-24 BC", "294276-12-31"],
  timestamptz: ["4714-11-24 BC", "294276-12-31"],
};

/** Numbers of the first interval that begins within the type, and of the one in which the type ends. */
export function intervalsOf(every: Interval, type: TimeType): { first: number; end: number } {
  const [least, last] = ENDS[type].map((text) => parseHours(text) ?? Number.NaN);
  if (least === undefined || last === undefined) throw new Error(`no ends of ${type}`);
  const first = intervalOf(least, every);
  return { first: startOf(first, every) < least ? first + 1 : first, end: intervalOf(last + 23, every) };
}

/** What leaves by `every` can hold of a time type. */
export function timeReach(every: Interval, type: TimeType): Reach {
  const { first, end } = intervalsOf(every, type);
  return {
    from: instantText(startOf(first, every), type),
    to: instantText(startOf(end, every), type),
  };
}

/** What leaves of `step` values can hold of a type that ends with `largest`. */
export function numberReach(step: bigint, largest: bigint): Reach {
  return { from: null, to: String(floorStep(largest, step)) };
}

/** Null for list and hash, and for a column that does not suit the scheme. */
export function reachOf(scheme: Scheme, column: ColumnInfo): Reach | null {
  const type = TIME_TYPES[column.baseType];
  if (scheme.kind === "range-time") return type === undefined ? null : timeReach(scheme.every, type);
  const limits = LIMITS[column.baseType];
  if (scheme.kind !== "range-int" || limits === undefined) return null;
  return numberReach(BigInt(scheme.step), limits.largest);
}

/** The condition that a leaf can hold the value of `column` (quoted); NULL of NULL. */
export function withinSql(column: string, { from, to }: Reach): string {
  const below = `${column} < ${literal(to)}`;
  return from === null ? below : `${column} >= ${literal(from)} AND ${below}`;
}

/** The condition that no leaf can; NULL of NULL. */
export function beyondSql(column: string, { from, to }: Reach): string {
  const above = `${column} >= ${literal(to)}`;
  return from === null ? above : `${column} < ${literal(from)} OR ${above}`;
}

/** Largest multiple of `step` that is not above `value`; right below zero too. */
export function floorStep(value: bigint, step: bigint): bigint {
  const rest = value % step;
  return value - (rest < 0n ? rest + step : rest);
}
