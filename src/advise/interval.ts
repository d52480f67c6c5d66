/** How finely to cut: leaves of a sensible size, and not too many. Pure. */
import { bytes as sizeText } from "../../ui/format.js";
import { AHEAD } from "../config/request.js";
import type { Interval } from "../plan/types.js";
import { DAYS_A_MONTH } from "./measure.js";

const GB = 1e9;
/** Above this a leaf is warned about (FEATURES G2, B8): it no longer is vacuumed, indexed and dropped in little time. */
export const LARGE_LEAF = 10 * GB;
/** Below this a leaf and its indexes fit in the memory of most servers; finer where that is cheap. */
export const HANDY_LEAF = 2 * GB;
/** Leaves over retention and ahead: more cost planning and locks (README, Limits). */
export const MOST_LEAVES = 1_000;
/** So many cost nothing that is noticed. */
export const FEW_LEAVES = 200;
/** A leaf of fewer rows is not worth a table. */
const LEAST_ROWS = 30_000;
/** Dropping the oldest leaf keeps rows longer than asked by at most this share of the time they are kept. */
const KEPT_LEAVES = 6;

const ORDER = ["year", "quarter", "month", "week", "day", "hour"] as const satisfies readonly Interval[];
export const DAYS: Record<Interval, number> = {
  year: 365.25,
  quarter: 3 * DAYS_A_MONTH,
  month: DAYS_A_MONTH,
  week: 7,
  day: 1,
  hour: 1 / 24,
};

export interface Flow {
  rowsPerMonth: number;
  bytesPerMonth: number;
  /** Days from the oldest row to the newest. */
  spanDays: number;
  /** How long rows are kept, days; null: nothing is deleted. */
  keptDays: number | null;
  /** The column is a date: no hours. */
  date: boolean;
}

export interface IntervalChoice {
  every: Interval;
  leafBytes: number;
  leafRows: number;
  /** Over what is there, and ahead. */
  leaves: number;
  /** Why it is this one, as it follows "one leaf a week: ". */
  because: string;
}

/** The interval for a table that `flow` runs through: a month unless a reason makes it finer or coarser. */
export function chooseInterval(flow: Flow): IntervalChoice {
  const least = ORDER.length - (flow.date ? 2 : 1);
  let at: number = ORDER.indexOf("month");
  let because = "a month's rows make a leaf of a sensible size";
  const sized = (index: number) => measure(flow, ORDER[index] ?? "month");
  while (at < least && tooLarge(sized(at), sized(at + 1))) {
    because = `a leaf of a ${ORDER[at]} would be ${sizeText(sized(at).leafBytes)}`;
    at += 1;
  }
  while (
    at < least &&
    flow.keptDays !== null &&
    DAYS[ORDER[at] ?? "month"] > flow.keptDays / KEPT_LEAVES &&
    sized(at + 1).leafRows >= LEAST_ROWS
  ) {
    because = `rows are kept for about ${Math.round(flow.keptDays)} days, and dropped a leaf at a time`;
    at += 1;
  }
  while (at > 0 && flow.keptDays === null && tooSmall(sized(at), sized(at - 1))) {
    because = `a leaf of a ${ORDER[at]} would hold ${Math.round(sized(at).leafRows)} rows only`;
    at -= 1;
  }
  while (at > 0 && sized(at).leaves > MOST_LEAVES) {
    because = `leaves of a ${ORDER[at]} would be ${sized(at).leaves}`;
    at -= 1;
  }
  return { ...sized(at), because };
}

function tooLarge(now: Omit<IntervalChoice, "because">, finer: Omit<IntervalChoice, "because">): boolean {
  if (now.leafBytes > LARGE_LEAF) return finer.leaves <= MOST_LEAVES;
  return now.leafBytes > HANDY_LEAF && finer.leaves <= FEW_LEAVES;
}

/** Few rows; wide ones may still be a leaf's worth. */
function tooSmall(now: Omit<IntervalChoice, "because">, coarser: Omit<IntervalChoice, "because">): boolean {
  return now.leafRows < LEAST_ROWS && coarser.leafBytes <= HANDY_LEAF;
}

function measure(flow: Flow, every: Interval): Omit<IntervalChoice, "because"> {
  const share = DAYS[every] / DAYS_A_MONTH;
  return {
    every,
    leafBytes: flow.bytesPerMonth * share,
    leafRows: flow.rowsPerMonth * share,
    leaves: Math.ceil(flow.spanDays / DAYS[every]) + 1 + AHEAD[every],
  };
}

/** Leaves by hash: a power of two, so that twice the rows of today make leaves of a handy size. */
export function chooseModulus(bytes: number): number {
  const wanted = (2 * bytes) / HANDY_LEAF;
  return Math.min(64, Math.max(8, 2 ** Math.ceil(Math.log2(Math.max(1, wanted)))));
}

/** Values a leaf by range of whole numbers: 1, 2 or 5 with zeros, about a handy leaf, not above MOST_LEAVES leaves. */
export function chooseStep(bytesPerRow: number, span: bigint): bigint {
  const rows = Math.max(100_000, HANDY_LEAF / Math.max(1, bytesPerRow));
  const step = BigInt(Math.floor(rows));
  const least = span / BigInt(MOST_LEAVES) + 1n;
  return round125(step > least ? step : least);
}

/** The least of 1, 2, 5, 10, 20 ... that is not below `n`. */
function round125(n: bigint): bigint {
  for (let unit = 1n; ; unit *= 10n)
    for (const digit of [1n, 2n, 5n]) if (digit * unit >= n) return digit * unit;
}
