/** What a smoke check expects and whether what it found is that. Pure. */
import type { Expectation } from "./types.js";

export interface Found {
  rows: number;
  /** More rows were there than were read. */
  more: boolean;
  /** First column of the first row, as text; null: SQL's NULL; undefined: no row. */
  value: string | null | undefined;
}

/** Rows that must be read to decide. */
export function rowsNeeded(expect: Expectation): number {
  if (expect === "no error") return Number.POSITIVE_INFINITY;
  if ("rows" in expect) return expect.rows + 1;
  return "atLeast" in expect ? expect.atLeast : 2;
}

/** `3 rows`, `at least 1 row`, `42`. */
export function expectedText(expect: Expectation): string {
  if (expect === "no error") return "no error";
  if ("rows" in expect) return rowsText(expect.rows);
  if ("atLeast" in expect) return `at least ${rowsText(expect.atLeast)}`;
  return valueText(expect.equals);
}

export function foundText(expect: Expectation, found: Found): string {
  const rows = `${found.more ? "more than " : ""}${rowsText(found.more ? found.rows - 1 : found.rows)}`;
  if (expect === "no error" || "rows" in expect) return rows;
  if ("atLeast" in expect) return found.rows >= expect.atLeast ? expectedText(expect) : rows;
  return found.rows === 1 ? valueText(asWanted(expect.equals, found.value ?? null)) : rows;
}

export function isMet(expect: Expectation, found: Found): boolean {
  if (expect === "no error") return true;
  if ("rows" in expect) return found.rows === expect.rows && !found.more;
  if ("atLeast" in expect) return found.rows >= expect.atLeast;
  return found.rows === 1 && !found.more && equals(expect.equals, found.value ?? null);
}

/** By value where both are numbers (3 and 3.00), as PostgreSQL prints it otherwise. */
function equals(wanted: string | number | boolean | null, value: string | null): boolean {
  if (wanted === null || value === null) return wanted === value;
  if (typeof wanted === "boolean") return value === (wanted ? "t" : "f");
  if (typeof wanted === "number") return value.trim() !== "" && Number(value) === wanted;
  return value === wanted;
}

/** PostgreSQL's t and f, where true or false was asked for. */
function asWanted(wanted: unknown, value: string | null): string | null {
  if (typeof wanted !== "boolean") return value;
  return value === "t" ? "true" : value === "f" ? "false" : value;
}

function rowsText(n: number): string {
  return `${n} ${n === 1 ? "row" : "rows"}`;
}

function valueText(value: string | number | boolean | null): string {
  if (value === null) return "NULL";
  const text = String(value);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
