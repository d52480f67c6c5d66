/** By what a table is cut, and how finely. Pure. */
import type { ColumnInfo } from "../catalog/types.js";
import type { Scheme } from "../plan/types.js";
import { askedFor, countedColumn, listValues } from "./columns.js";
import type { TableFacts } from "./facts.js";
import { chooseInterval, chooseModulus, chooseStep, type Flow } from "./interval.js";
import { askedShare, bytesPerRow, DAYS_A_MONTH, type Growth, spanDays, totalBytes } from "./measure.js";

/** Most of the work names this column / hardly any does. */
const MOST_OF_IT = 0.6;
export const HARDLY = 0.05;

export interface Cut {
  scheme: Scheme;
  column: ColumnInfo;
  /** Bytes of one leaf, about. */
  leafBytes: number | null;
  /** Why this column and this size, one sentence. */
  because: string;
}

/** By what, and how finely; null where there is nothing to cut it by. */
export function cutBy(
  facts: TableFacts,
  time: ColumnInfo | null,
  growth: Growth | null,
  kept: number | null,
): Cut | null {
  // Index scans alone cannot tell: an index of (customer, created_at) is scanned for both.
  const asked = time === null ? null : askedShare(facts, time.name);
  const byTimeAsked = asked !== null && (asked.by === "scans" || asked.share >= HARDLY);
  if (time === null || (asked !== null && !byTimeAsked && kept === null)) {
    const one = apart(facts);
    if (one !== null) return one;
  }
  if (time !== null) return byTime(facts, time, growth, kept);
  const counted = countedColumn(facts);
  return counted === null ? null : byNumber(facts, counted);
}

function byTime(facts: TableFacts, column: ColumnInfo, growth: Growth | null, kept: number | null): Cut {
  const span = spanDays(facts, column.name) ?? 0;
  const months = Math.max(1, span / DAYS_A_MONTH);
  const flow: Flow = {
    rowsPerMonth: Math.max(growth?.rowsPerMonth ?? 0, (facts.summary.rows ?? 0) / months),
    bytesPerMonth: Math.max(growth?.bytesPerMonth ?? 0, totalBytes(facts) / months),
    spanDays: span,
    keptDays: kept,
    date: column.baseType === "pg_catalog.date",
  };
  const { every, leafBytes, because } = chooseInterval(flow);
  return {
    scheme: { kind: "range-time", column: column.name, every },
    column,
    leafBytes,
    because: `${column.name} ${described(facts, column)}; ${because}.`,
  };
}

function described(facts: TableFacts, column: ColumnInfo): string {
  const use = askedShare(facts, column.name);
  if (use === null) return "says when a row was made";
  const percent = `${Math.round(use.share * 100)}%`;
  return use.by === "statements"
    ? `is named in WHERE by ${percent} of the table's calls`
    : `says when a row was made (${percent} of the index scans begin with it)`;
}

function byNumber(facts: TableFacts, column: ColumnInfo): Cut {
  const perRow = bytesPerRow(facts);
  const reach = facts.reach[column.name];
  const whole = (text: string | null | undefined) => (/^-?\d+$/.test(text ?? "") ? BigInt(text ?? "0") : 0n);
  const step = chooseStep(perRow, whole(reach?.max) - whole(reach?.min));
  return {
    scheme: { kind: "range-int", column: column.name, step: String(step) },
    column,
    leafBytes: Number(step) * perRow,
    because: `${column.name} counts the rows up, and the table has no time that says when a row was made.`,
  };
}

/** By hash, or by list where the column has few values: for what is asked for by one column that is no time. */
export function apart(facts: TableFacts): Cut | null {
  const asked = askedFor(facts, MOST_OF_IT);
  if (asked === null) return null;
  const { column, share } = asked;
  const values = listValues(facts, column);
  const bytes = totalBytes(facts);
  const modulus = chooseModulus(bytes);
  return {
    scheme:
      values === null
        ? { kind: "hash", column: column.name, modulus }
        : { kind: "list", column: column.name, values },
    column,
    leafBytes: bytes / (values?.length ?? modulus),
    because: `${column.name} is what ${Math.round(share * 100)}% of its work asks for${values === null ? "" : `, and has ${values.length} values`}.`,
  };
}
