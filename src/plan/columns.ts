/** Small facts about columns and values that several parts of the plan need. */
import type { ColumnInfo, TableInfo } from "../catalog/types.js";
import type { Plan } from "./types.js";

/** The column that was typed: exactly, else in lower case (as psql folds it), else null. */
export function findColumn(table: TableInfo, typed: string): ColumnInfo | null {
  const byName = (name: string) => table.columns.find((column) => column.name === name);
  return byName(typed) ?? byName(typed.toLowerCase()) ?? null;
}

/** The column that the table is cut by. Errors: a plan that was refused for having none. */
export function partitionColumn({ source, partitionBy }: Pick<Plan, "source" | "partitionBy">): ColumnInfo {
  const name = partitionBy[0]?.name;
  const column = source.columns.find((c) => c.name === name);
  if (column === undefined) throw new Error("the plan has no partition column; it was refused");
  return column;
}

const INTEGERS = new Set(["pg_catalog.int2", "pg_catalog.int4", "pg_catalog.int8"]);

export function isInteger(column: ColumnInfo): boolean {
  return INTEGERS.has(column.baseType);
}

export function isTime(column: ColumnInfo): boolean {
  return ["pg_catalog.date", "pg_catalog.timestamp", "pg_catalog.timestamptz"].includes(column.baseType);
}

/**
 * A list value in the text the server prints for it, so that `007` and `7` or `t` and `true` are one value.
 * Only for types where the text differs from the value; everything else is its own text.
 */
export function canonical(value: string, column: ColumnInfo): string {
  if (isInteger(column) && /^\s*[+-]?\d+\s*$/.test(value))
    return BigInt(value.trim().replace(/^\+/, "")).toString();
  if (column.baseType === "pg_catalog.bool") {
    const word = value.trim().toLowerCase();
    if (["t", "true", "yes", "on", "1"].includes(word)) return "true";
    if (["f", "false", "no", "off", "0"].includes(word)) return "false";
  }
  if (column.baseType === "pg_catalog.uuid") return value.trim().toLowerCase();
  return value;
}
