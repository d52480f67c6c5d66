/** The rules: is this table worth partitioning, by what, how finely, and how urgent is it. Pure; the same facts, the same advice. */
import { bytes as sizeText } from "../../ui/format.js";
import type { ColumnInfo } from "../catalog/types.js";
import { timeColumns } from "./columns.js";
import { apart, type Cut, cutBy, HARDLY } from "./cut.js";
import type { Measured, TableFacts } from "./facts.js";
import { askedShare, type Growth, growthOf, isQueue, keptDays, totalBytes } from "./measure.js";
import { SLOW_MS } from "./statements.js";
import {
  growthText,
  HIGH,
  isCritical,
  many,
  manyRows,
  type Rule,
  type Urgency,
  urgencyOf,
} from "./urgency.js";

export interface Verdict {
  urgency: Urgency;
  rule: Rule;
  /** One sentence, or two. */
  why: string;
  /** null for what is left alone. */
  cut: Cut | null;
  growth: Growth | null;
  keptDays: number | null;
}

const MILLION = 1e6;
const GB = 1e9;

/**
 * J1: leads and agent_outputs from 1 to 2 million rows on; J2: not below a million. The documents count rows; narrow
 * ones make a small table of a million, so it must have a size too, or reach it.
 */
const WORTH = { rows: MILLION, bytes: 0.5 * GB, months: 24, later: 2 * GB };
/** Whatever its rows: B8 and G2 warn of a leaf of this size. A table by number alone needs it: its leaves drop nothing old. */
const WORTH_BYTES = 10 * GB;
/** Within a year, at today's rate: cutting is cheaper while the table is small. */
const SOON_ROWS = 10 * MILLION;
/** J1: campaigns from 100,000 rows on, if queries have become slow. Below the size an index look-up is not what is slow. */
const SLOW = { rows: 100_000, bytes: 0.1 * GB, calls: 100, share: 0.1 };
/** J2 defers while the queries are fast; but not what will be large within two years. */
const FAST = { share: 0.01, months: 24, bytes: HIGH.bytes };
/** Less than this share of its rows more a month, and nothing deleted. */
const STILL = 0.01;

/** What all rules look at. */
interface Case {
  facts: TableFacts;
  time: ColumnInfo | null;
  growth: Growth | null;
  kept: number | null;
  rows: number;
  bytes: number;
}

/** Asked in this order: what speaks against it whatever its size, by what it could be cut, then how urgent it is. */
export function judge(facts: TableFacts, measured: Measured): Verdict {
  const time = timeColumns(facts)[0] ?? null;
  const name = time?.name ?? null;
  const [growth, kept] = [growthOf(facts, name, measured), keptDays(facts, name)];
  const one: Case = { facts, time, growth, kept, rows: facts.summary.rows ?? 0, bytes: totalBytes(facts) };
  const alone = (rule: Rule, why: string): Verdict => ({
    ...{ urgency: "leave alone" as const, rule, why, cut: null },
    ...{ growth, keptDays: kept },
  });
  if (isQueue(facts))
    return alone(
      "queue",
      `Rows are deleted as fast as they come (${many(facts.summary.activity.deletes)} deletes, ${manyRows(one.rows)} left): a queue is kept small by vacuuming it often, not by leaves.`,
    );
  const slow = slowAndAskedFor(one);
  if (slow !== null) return { ...slow, growth, keptDays: kept };
  const large = isLarge(one);
  const inAYear = one.rows + (kept === null ? 12 * (growth?.rowsPerMonth ?? 0) : 0);
  if (!large && inAYear < SOON_ROWS)
    return alone(
      "small",
      `${manyRows(one.rows)} and ${sizeText(one.bytes)}${growthText(growth)}: one good index does what leaves would.`,
    );
  const cut = cutBy(facts, time, growth, kept);
  if (cut === null)
    return alone(
      "no-column",
      "No column says when a row was made or counts the rows up, and no other one is what most queries ask for: there is nothing to cut it by.",
    );
  const against = isCritical(facts, growth) ? null : speaksAgainst(one, cut);
  if (against !== null) return alone(...against);
  return { ...urgencyOf(facts, growth, kept, large), cut, growth, keptDays: kept };
}

function isLarge({ facts, growth, rows, bytes }: Case): boolean {
  const later = bytes + WORTH.months * (growth?.bytesPerMonth ?? 0);
  const sized = bytes >= WORTH.bytes || later >= WORTH.later || isSlow(facts);
  return bytes >= WORTH_BYTES || (rows >= WORTH.rows && sized);
}

/** Statements have been counted, and enough of the calls are of slow ones. */
function isSlow({ use }: TableFacts): boolean {
  return use !== null && use.calls >= SLOW.calls && use.slowShare >= SLOW.share;
}

/** J1 of the campaigns: asked for by one column that is no time, and slow. */
function slowAndAskedFor({ facts, time, rows, bytes }: Case): Omit<Verdict, "growth" | "keptDays"> | null {
  const { use } = facts;
  if (use === null || !isSlow(facts) || rows < SLOW.rows || bytes < SLOW.bytes) return null;
  if (time !== null && (askedShare(facts, time.name)?.share ?? 0) >= HARDLY) return null;
  const cut = apart(facts);
  if (cut === null) return null;
  return {
    urgency: "medium",
    rule: "slow-and-asked-by-one-column",
    why: `${Math.round(use.slowShare * 100)}% of its calls take ${SLOW_MS} ms or more, and most of them name ${cut.column.name}: each would read one leaf.`,
    cut,
  };
}

function speaksAgainst({ facts, growth, kept, rows, bytes }: Case, cut: Cut): [Rule, string] | null {
  const { use } = facts;
  if (cut.scheme.kind === "range-int" && bytes < WORTH_BYTES)
    return [
      "no-column",
      `No column says when a row was made; leaves by ${cut.column.name} drop nothing old, and help from about ${sizeText(WORTH_BYTES)} on (it has ${sizeText(bytes)}).`,
    ];
  const counted = use !== null && use.calls >= SLOW.calls;
  const share = counted ? (use.named[cut.column.name] ?? 0) : 1;
  if (counted && share < HARDLY && kept === null)
    return [
      "not-asked-for",
      `Of ${many(use.calls)} calls only ${Math.round(share * 100)}% name ${cut.column.name} in WHERE, and nothing old is deleted: the others would have to look into every leaf.`,
    ];
  const byTime = cut.scheme.kind === "range-time";
  if (byTime && growth !== null && growth.rowsPerMonth < rows * STILL && kept === null && bytes < HIGH.bytes)
    return [
      "does-not-grow",
      `It hardly grows (${manyRows(growth.rowsPerMonth)} a month to ${many(rows)}) and nothing old is deleted: leaves by time would not make it smaller.`,
    ];
  const later = bytes + FAST.months * (growth?.bytesPerMonth ?? 0);
  const slowly = growth !== null && growth.rowsPerMonth < HIGH.rowsPerMonth && later < FAST.bytes;
  if (counted && use.slowShare < FAST.share && kept === null && slowly)
    return [
      "fast-enough",
      `Its statements take ${use.meanMs.toFixed(1)} ms on average, nothing old is deleted, and in two years it will be ${sizeText(later)}: wait until one of these changes.`,
    ];
  return null;
}
