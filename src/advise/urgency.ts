/** How urgent a table is that is worth partitioning, and the figures that decide it. Pure. */
import { bytes as sizeText } from "../../ui/format.js";
import type { TableFacts } from "./facts.js";
import { deadShare, type Growth, totalBytes } from "./measure.js";
import { SLOW_MS } from "./statements.js";

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

const MILLION = 1e6;
const GB = 1e9;
export const CRITICAL = { rowsPerMonth: 20 * MILLION, bytesPerMonth: 10 * GB, bytes: 200 * GB };
/** J7: 50 to 100 million rows a year are what the first document prepares for. */
export const HIGH = { rowsPerMonth: 2.5 * MILLION, bytesPerMonth: GB, bytes: 50 * GB, rows: 50 * MILLION };
/** A share of slow calls that is worth a word. */
const NOTICED = 0.05;
/** Autovacuum at its defaults begins at a fifth. */
const DEAD = { share: 0.2, rows: MILLION };

/** Grows or is so large that each week makes it harder. */
export function isCritical(facts: TableFacts, growth: Growth | null): boolean {
  return (
    (growth?.rowsPerMonth ?? 0) >= CRITICAL.rowsPerMonth ||
    (growth?.bytesPerMonth ?? 0) >= CRITICAL.bytesPerMonth ||
    totalBytes(facts) >= CRITICAL.bytes
  );
}

/** `large`: it is worth it today; else it will be. `kept`: days that rows seem to be kept, null where none is deleted. */
export function urgencyOf(
  facts: TableFacts,
  growth: Growth | null,
  kept: number | null,
  large: boolean,
): { urgency: Urgency; rule: Rule; why: string } {
  const bytes = totalBytes(facts);
  const rows = facts.summary.rows ?? 0;
  const size = `${manyRows(rows)}, ${sizeText(bytes)}`;
  const said = `${size}${growthText(growth)}${slowText(facts)}`;
  const deleted =
    kept === null
      ? ""
      : ` Rows older than about ${Math.round(kept)} days are deleted one by one; with leaves that is one DROP.`;
  const is = (urgency: Urgency, rule: Rule, why: string) => ({ urgency, rule, why: `${why}${deleted}` });
  if (isCritical(facts, growth))
    return is(
      "critical",
      bytes >= CRITICAL.bytes ? "large" : "grows-fast",
      `${said}: every week that passes makes vacuum, index builds and the migration itself longer.`,
    );
  const dead = deadShare(facts);
  if (kept !== null && dead >= DEAD.share && rows >= DEAD.rows)
    return is(
      "high",
      "deleted-row-by-row",
      `${size}, of which ${Math.round(dead * 100)}% dead: vacuum does not keep up.`,
    );
  const fast =
    (growth?.rowsPerMonth ?? 0) >= HIGH.rowsPerMonth || (growth?.bytesPerMonth ?? 0) >= HIGH.bytesPerMonth;
  if (fast || bytes >= HIGH.bytes || rows >= HIGH.rows)
    return is(
      "high",
      fast ? "grows-fast" : "large",
      `${said}: vacuum and index builds of the whole are felt.`,
    );
  if (!large)
    return is(
      "medium",
      "grows-into-it",
      `${said}: it will be large within a year, and cutting it now is quick.`,
    );
  return is("medium", kept === null ? "worth-it" : "deleted-row-by-row", `${said}: worth it, without hurry.`);
}

function slowText({ use }: TableFacts): string {
  if (use === null || use.slowShare < NOTICED) return "";
  return `, ${Math.round(use.slowShare * 100)}% of its calls take ${SLOW_MS} ms or more`;
}

/** `, 420,000 rows (168 MB) more a month`, or nothing. */
export function growthText(growth: Growth | null): string {
  if (growth === null) return "";
  return `, ${manyRows(growth.rowsPerMonth)} (${sizeText(growth.bytesPerMonth)}) more a month`;
}

/** `5,000`, `2.1 million`: numbers as people say them. */
export function many(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} billion`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} million`;
  return Math.round(n).toLocaleString("en-US");
}

export function manyRows(n: number): string {
  return `${many(n)} ${Math.round(n) === 1 ? "row" : "rows"}`;
}
