/** What the facts say of a table over time: how fast it grows, whether it is pruned, what its statements ask for. Pure. */
import { parseHours } from "../plan/calendar.js";
import type { Measured, TableFacts } from "./facts.js";

export const DAYS_A_MONTH = 30.44;
/** The counters of a shorter time show a day of the week rather than a rate. */
const FEW_DAYS = 7;
/** A table from which hardly anything is deleted is not pruned. */
const PRUNED_SHARE = 0.2;
const YEAR_DAYS = 366;

export interface Growth {
  rowsPerMonth: number;
  bytesPerMonth: number;
  basis: string;
}

export const totalBytes = ({ summary: s }: TableFacts): number => s.heapBytes + s.toastBytes + s.indexBytes;

/** Bytes that one row takes with its share of the indexes. */
export function bytesPerRow(facts: TableFacts): number {
  const rows = facts.summary.rows ?? 0;
  return rows > 0 ? totalBytes(facts) / rows : 0;
}

/** Days between the oldest and the newest value of a time column; null where they are not known. */
export function spanDays(facts: TableFacts, column: string): number | null {
  const reach = facts.reach[column];
  const [min, max] = [hours(reach?.min), hours(reach?.max)];
  return min === null || max === null ? null : Math.max(0, max - min) / 24;
}

/**
 * New rows a month: by the server's counters where they cover a week at least, and by the age of the youngest quarter of
 * the rows (`column`, by its histogram); by the lower one where both are known and nothing is deleted, because a restore
 * counts as inserts. null where neither is known.
 */
export function growthOf(facts: TableFacts, column: string | null, measured: Measured): Growth | null {
  const perRow = bytesPerRow(facts);
  const of = (rowsPerDay: number, basis: string): Growth => {
    const rowsPerMonth = rowsPerDay * DAYS_A_MONTH;
    return { rowsPerMonth, bytesPerMonth: rowsPerMonth * perRow, basis };
  };
  const { inserts, deletes } = facts.summary.activity;
  const span = column === null ? null : spanDays(facts, column);
  // A table that is younger than the counters has not been counted for longer than it is there.
  const days = Math.min(measured.countedDays ?? 0, Math.max(FEW_DAYS, span ?? Number.POSITIVE_INFINITY));
  const counted =
    days >= FEW_DAYS && inserts > 0
      ? of(
          inserts / days,
          `${Math.round(inserts).toLocaleString("en-US")} inserts counted in ${Math.round(days)} days`,
        )
      : null;
  const quarter = column === null ? null : youngestQuarter(facts, column);
  const aged =
    quarter === null
      ? null
      : of(
          quarter.rows / quarter.days,
          `by ${column}: a quarter of the rows is of the last ${shortDays(quarter.days)}`,
        );
  if (counted === null || aged === null) return counted ?? aged;
  return deletes === 0 && aged.rowsPerMonth < counted.rowsPerMonth ? aged : counted;
}

function youngestQuarter(facts: TableFacts, column: string): { rows: number; days: number } | null {
  const histogram = facts.columns[column]?.histogram ?? [];
  const rows = facts.summary.rows ?? 0;
  const from = hours(histogram[Math.floor((histogram.length - 1) * 0.75)]);
  const to = hours(histogram.at(-1));
  if (histogram.length < 5 || from === null || to === null || rows === 0) return null;
  const days = (to - from) / 24;
  return days <= 0 ? null : { rows: rows / 4, days };
}

function shortDays(days: number): string {
  return days < 2 ? `${Math.max(1, Math.round(days * 24))} hours` : `${Math.round(days)} days`;
}

/**
 * How long rows seem to be kept, days: the age of the oldest one, where deletes are a fifth of the inserts at least.
 * null: nothing is deleted, or it is not known.
 */
export function keptDays(facts: TableFacts, column: string | null): number | null {
  const { inserts, deletes } = facts.summary.activity;
  if (column === null || deletes === 0 || deletes < inserts * PRUNED_SHARE) return null;
  return spanDays(facts, column);
}

/** Rows come and go: as many deletes as inserts, and many times more of them than rows that are there. */
export function isQueue(facts: TableFacts): boolean {
  const { inserts, deletes } = facts.summary.activity;
  const rows = facts.summary.rows ?? 0;
  return inserts > 0 && deletes >= inserts * 0.8 && rows * 20 < inserts;
}

/** Share of dead rows, 0 to 1. */
export function deadShare({ summary: { activity } }: TableFacts): number {
  const all = activity.live + activity.dead;
  return all === 0 ? 0 : activity.dead / all;
}

export interface ColumnUse {
  share: number;
  /** `statements`: calls that name it in WHERE; `scans`: index scans through an index that begins with it. */
  by: "statements" | "scans";
}

/** How much of the table's work asks for this column; null where nothing has been counted. */
export function askedShare(facts: TableFacts, column: string): ColumnUse | null {
  if (facts.use !== null && facts.use.calls > 0)
    return { share: facts.use.named[column] ?? 0, by: "statements" };
  const all = Object.values(facts.scans).reduce((sum, n) => sum + n, 0);
  if (all === 0) return null;
  const led = facts.table.indexes
    .filter((index) => index.columns[0] === column)
    .reduce((sum, index) => sum + (facts.scans[index.name] ?? 0), 0);
  return { share: led / all, by: "scans" };
}

/** The oldest or newest value lies years from all others: a mistake that would stretch the leaves. Its text, or null. */
export function outlier(facts: TableFacts, column: string, now: string): string | null {
  const reach = facts.reach[column];
  const histogram = facts.columns[column]?.histogram ?? [];
  const [min, max, clock] = [hours(reach?.min), hours(reach?.max), hours(now)];
  const second = hours(histogram[1]);
  const year = YEAR_DAYS * 24;
  if (min !== null && second !== null && second - min > 5 * year) return reach?.min ?? null;
  if (max !== null && clock !== null && max - clock > 5 * year) return reach?.max ?? null;
  return null;
}

function hours(text: string | null | undefined): number | null {
  return text === null || text === undefined ? null : parseHours(text);
}
