/** The rules: is this table worth partitioning, by what, how finely, and how urgent is it. Pure; the same facts, the same advice. */
import type { ColumnInfo } from "../catalog/types.js";
import { isInteger } from "../plan/columns.js";
import { timeColumns } from "./columns.js";
import { apart, type Cut, cutBy, HARDLY } from "./cut.js";
import type { Measured, TableFacts } from "./facts.js";
import { gigabytes } from "./interval.js";
import { askedShare, deadShare, type Growth, growthOf, isQueue, keptDays, totalBytes } from "./measure.js";

export type Urgency = "critical" | "high" | "medium" | "leave alone";

/** Which rule decided; FEATURES J names the documents they come from. */
export type Rule =
  | "grows-fast"
  | "large"
  | "deleted-row-by-row"
  | "worth-it"
  | "grows-into-it"
  | "slow-and-asked-by-one-column"
  | "small"
  | "queue"
  | "no-column"
  | "not-asked-for"
  | "does-not-grow"
  | "fast-enough";

export interface Verdict {
  urgency: Urgency;
  rule: Rule;
  /** One sentence. */
  why: string;
  /** null for what is left alone. */
  cut: Cut | null;
  growth: Growth | null;
  keptDays: number | null;
}

const MILLION = 1e6;
const GB = 1e9;

/** J1: leads and agent_outputs from 1 to 2 million rows on; J2: not below a million. */
const WORTH_ROWS = MILLION;
/** Wide rows: B8 and G2 warn of a leaf of this size, so a table of it is worth cutting. */
const WORTH_BYTES = 10 * GB;
/** Within a year, at today's rate: cutting is cheaper while the table is small. */
const SOON_ROWS = 10 * MILLION;
/** J1: campaigns from 100,000 rows on, if queries have become slow; J2: slow is above 200 ms. */
const SLOW = { rows: 100_000, ms: 200, calls: 100 };
const CRITICAL = { rowsPerMonth: 20 * MILLION, bytesPerMonth: 10 * GB, bytes: 200 * GB };
/** J7: 50 to 100 million rows a year are what the first document prepares for. */
const HIGH = { rowsPerMonth: 2.5 * MILLION, bytesPerMonth: GB, bytes: 50 * GB, rows: 50 * MILLION };
/** Autovacuum at its defaults begins at a fifth. */
const DEAD = 0.2;
/** J2 defers while the queries are fast; but not what will be large within two years. */
const LARGE_SOON = { months: 24, bytes: 50 * GB };
/** Less than this share of its rows more a month, and nothing deleted. */
const STILL = 0.01;

/** Asked in this order: what speaks against it whatever its size, by what it could be cut, then how urgent it is. */
export function judge(facts: TableFacts, measured: Measured): Verdict {
  const [time] = timeColumns(facts);
  const growth = growthOf(facts, time?.name ?? null, measured);
  const kept = keptDays(facts, time?.name ?? null);
  const alone = (rule: Rule, why: string): Verdict => ({
    ...{ urgency: "leave alone" as const, rule, why, cut: null },
    ...{ growth, keptDays: kept },
  });
  const rows = facts.summary.rows ?? 0;
  const bytes = totalBytes(facts);
  if (isQueue(facts))
    return alone(
      "queue",
      `Rows are deleted as fast as they come (${many(facts.summary.activity.deletes)} deletes, ${many(rows)} rows left): a queue is kept small by vacuuming it often, not by leaves.`,
    );
  const slow = slowAndAskedFor(facts, time ?? null);
  if (slow !== null) return { ...slow, growth, keptDays: kept };
  const inAYear = rows + 12 * (growth?.rowsPerMonth ?? 0) * (kept === null ? 1 : 0);
  const large = rows >= WORTH_ROWS || bytes >= WORTH_BYTES;
  if (!large && inAYear < SOON_ROWS)
    return alone(
      "small",
      `${many(rows)} rows and ${gigabytes(bytes)}${soFar(growth)}: one good index does what leaves would.`,
    );
  const cut = cutBy(facts, time ?? null, growth, kept);
  if (cut === null)
    return alone(
      "no-column",
      "No column says when a row was made or counts the rows up, and no other one is what most queries ask for: there is nothing to cut it by.",
    );
  const against = speaksAgainst(facts, cut, growth, kept);
  if (against !== null) return alone(...against);
  return { ...urgencyOf(facts, growth, kept, large), cut, growth, keptDays: kept };
}

function soFar(growth: Growth | null): string {
  return growth === null ? "" : `, ${many(growth.rowsPerMonth)} more a month`;
}

/** J1 of the campaigns: asked for by one column that is no time, and slow. */
function slowAndAskedFor(
  facts: TableFacts,
  time: ColumnInfo | null,
): Omit<Verdict, "growth" | "keptDays"> | null {
  const { use, summary } = facts;
  const rows = summary.rows ?? 0;
  if (use === null || use.calls < SLOW.calls || use.meanMs < SLOW.ms || rows < SLOW.rows) return null;
  if (time !== null && (askedShare(facts, time.name)?.share ?? 0) >= HARDLY) return null;
  const cut = apart(facts);
  if (cut === null) return null;
  return {
    urgency: "medium",
    rule: "slow-and-asked-by-one-column",
    why: `Its statements take ${Math.round(use.meanMs)} ms on average, and most of them name ${cut.column.name}: each would read one leaf.`,
    cut,
  };
}

function speaksAgainst(
  facts: TableFacts,
  cut: Cut,
  growth: Growth | null,
  kept: number | null,
): [Rule, string] | null {
  const { use } = facts;
  const bytes = totalBytes(facts);
  const rows = Math.max(1, facts.summary.rows ?? 0);
  const measured = use !== null && use.calls >= SLOW.calls;
  const critical = isCritical(facts, growth);
  if (critical) return null;
  const share = measured ? (use.named[cut.column.name] ?? 0) : 1;
  if (share < HARDLY && kept === null)
    return [
      "not-asked-for",
      `Of ${many(use?.calls ?? 0)} calls only ${Math.round(share * 100)}% name ${cut.column.name} in WHERE, and nothing old is deleted: the others would have to look into every leaf.`,
    ];
  const still = growth !== null && growth.rowsPerMonth < rows * STILL && kept === null;
  if (still && bytes < HIGH.bytes && !isInteger(cut.column))
    return [
      "does-not-grow",
      `It hardly grows (${many(growth.rowsPerMonth)} rows a month to ${many(rows)}) and nothing old is deleted: leaves by time would not make it smaller.`,
    ];
  const later = bytes + LARGE_SOON.months * (growth?.bytesPerMonth ?? 0);
  if (
    measured &&
    use.meanMs < SLOW.ms &&
    kept === null &&
    later < LARGE_SOON.bytes &&
    growth !== null &&
    growth.rowsPerMonth < HIGH.rowsPerMonth
  )
    return [
      "fast-enough",
      `Its statements take ${use.meanMs.toFixed(1)} ms on average, nothing old is deleted, and in two years it will be ${gigabytes(later)}: wait until one of these changes.`,
    ];
  return null;
}

function isCritical(facts: TableFacts, growth: Growth | null): boolean {
  return (
    (growth?.rowsPerMonth ?? 0) >= CRITICAL.rowsPerMonth ||
    (growth?.bytesPerMonth ?? 0) >= CRITICAL.bytesPerMonth ||
    totalBytes(facts) >= CRITICAL.bytes
  );
}

function urgencyOf(
  facts: TableFacts,
  growth: Growth | null,
  kept: number | null,
  large: boolean,
): Pick<Verdict, "urgency" | "rule" | "why"> {
  const bytes = totalBytes(facts);
  const rows = facts.summary.rows ?? 0;
  const size = `${many(rows)} rows, ${gigabytes(bytes)}`;
  const more =
    growth === null
      ? ""
      : `, ${many(growth.rowsPerMonth)} rows (${gigabytes(growth.bytesPerMonth)}) more a month`;
  const fast = isCritical(facts, growth);
  const deleted =
    kept === null
      ? ""
      : ` Rows older than about ${Math.round(kept)} days are deleted one by one; with leaves that is one DROP.`;
  if (fast)
    return {
      urgency: "critical",
      rule: bytes >= CRITICAL.bytes ? "large" : "grows-fast",
      why: `${size}${more}: every week that passes makes vacuum, index builds and the migration itself longer.${deleted}`,
    };
  if (kept !== null && deadShare(facts) >= DEAD && rows >= WORTH_ROWS)
    return {
      urgency: "high",
      rule: "deleted-row-by-row",
      why: `${size}, of which ${Math.round(deadShare(facts) * 100)}% dead: vacuum does not keep up.${deleted}`,
    };
  const high =
    (growth?.rowsPerMonth ?? 0) >= HIGH.rowsPerMonth || (growth?.bytesPerMonth ?? 0) >= HIGH.bytesPerMonth;
  if (high || bytes >= HIGH.bytes || rows >= HIGH.rows)
    return {
      urgency: "high",
      rule: high ? "grows-fast" : "large",
      why: `${size}${more}: large enough that vacuum and index builds of the whole are felt.${deleted}`,
    };
  if (!large)
    return {
      urgency: "medium",
      rule: "grows-into-it",
      why: `${size}${more}: it will be large within a year, and cutting it now is quick.${deleted}`,
    };
  return {
    urgency: "medium",
    rule: kept === null ? "worth-it" : "deleted-row-by-row",
    why: `${size}${more}: worth it, without hurry.${deleted}`,
  };
}

/** `5,000,000`, `2.1 million`: rows as people say them. */
export function many(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} billion`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} million`;
  return Math.round(n).toLocaleString("en-US");
}
