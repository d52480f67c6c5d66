/**
 * How a range-partitioned table is cut: by calendar interval in UTC, or every so many values. Both are counted in
 * whole positions (hours since 1970-01-01, or the values themselves), so that one arithmetic serves both. Pure.
 */
import type { LeafPart } from "../config/template.js";
import { calendarOf, instantText, intervalOf, parseHours, startOf } from "../plan/calendar.js";
import type { Interval } from "../plan/types.js";

export type TimeType = "date" | "timestamp" | "timestamptz";

export type Grid = { kind: "time"; every: Interval; type: TimeType } | { kind: "number"; step: bigint };

/** What positions mean, whether or not the grid is known. */
export type Axis = { kind: "time"; type: TimeType } | { kind: "number"; largest: bigint };

/** The place of a bound or of now: exact, or only between `low` and `high` (a bound at half past is no whole hour). */
export interface Position {
  low: bigint;
  high: bigint;
}

/** A bound's text as a position; null for infinity and everything else that has none. */
export function positionOf(axis: Axis, text: string): Position | null {
  if (axis.kind === "number") {
    if (!/^-?\d+$/.test(text)) return null;
    return { low: BigInt(text), high: BigInt(text) };
  }
  const hours = parseHours(text);
  if (hours === null) return null;
  const whole = !/[ T]\d\d:(?!00(?::00(?:\.0+)?)?(?:Z|[+-]|$| BC))/.test(text);
  return { low: BigInt(hours), high: BigInt(hours) + (whole ? 0n : 1n) };
}

/** Number of the interval that holds `position`. */
export function indexOf(grid: Grid, position: bigint): bigint {
  if (grid.kind === "time") return BigInt(intervalOf(Number(position), grid.every));
  const rest = position % grid.step;
  return (position - (rest < 0n ? rest + grid.step : rest)) / grid.step;
}

/** Where interval number `index` begins. */
export function startAt(grid: Grid, index: bigint): bigint {
  return grid.kind === "time" ? BigInt(startOf(Number(index), grid.every)) : index * grid.step;
}

/** A position as the text of a bound. */
export function textOf(axis: Axis, position: bigint): string {
  return axis.kind === "time" ? instantText(Number(position), axis.type) : String(position);
}

/** What a leaf's name is made of. */
export function partOf(grid: Grid, from: bigint): LeafPart {
  return grid.kind === "time"
    ? { kind: "range-time", every: grid.every, start: Number(from) }
    : { kind: "range-int", from, step: grid.step };
}

/** `hours` minus so many calendar months, as PostgreSQL subtracts an interval: the day is cut to the month's length. */
export function monthsBefore(hours: number, months: number): number {
  const { day, hour } = calendarOf(hours);
  const index = intervalOf(hours, "month") - months;
  const first = startOf(index, "month");
  const days = (startOf(index + 1, "month") - first) / 24;
  return first + (Math.min(day, days) - 1) * 24 + hour;
}

/** From fine to coarse: a table cut by week is not cut by day, so the order does not matter to what is recognised. */
const INTERVALS: readonly Interval[] = ["hour", "day", "week", "month", "quarter", "year"];

/** A leaf's range in positions; null at an end without a bound. */
export interface Range {
  from: Position | null;
  to: Position | null;
}

/**
 * The grid that most of the ranges stand on: by calendar, or the commonest width of numbers whose bounds are multiples
 * of it. Null when no range stands on one, so that nobody cuts on by guess.
 */
export function recognise(axis: Axis, ranges: readonly Range[]): Grid | null {
  const grids: Grid[] =
    axis.kind === "time"
      ? INTERVALS.map((every) => ({ kind: "time", every, type: axis.type }))
      : [...new Set(ranges.flatMap(widthOf))].map((step) => ({ kind: "number", step }));
  let best: { grid: Grid; fits: number } | null = null;
  for (const grid of grids) {
    const fits = ranges.filter((range) => standsOn(grid, range)).length;
    if (fits > (best?.fits ?? 0)) best = { grid, fits };
  }
  return best?.grid ?? null;
}

function widthOf({ from, to }: Range): bigint[] {
  return from === null || to === null || to.low <= from.low ? [] : [to.low - from.low];
}

/** Whether a range is exactly one interval of the grid. */
export function standsOn(grid: Grid, { from, to }: Range): boolean {
  if (from === null || to === null || from.low !== from.high || to.low !== to.high) return false;
  const index = indexOf(grid, from.low);
  return startAt(grid, index) === from.low && startAt(grid, index + 1n) === to.low;
}
