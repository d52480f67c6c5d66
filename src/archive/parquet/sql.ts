/** The statements that take a leaf's rows out for a Parquet file, and bring them in. */
import type { ColumnInfo } from "../../catalog/types.js";
import { ident, identList, literal, qualified } from "../../pg/quote.js";
import type { StoredColumn } from "./columns.js";

interface Table {
  schema: string;
  name: string;
}

/** What the type takes in PostgreSQL and has no place in Parquet; null: there is none. */
const MISFIT: Partial<Record<StoredColumn["as"], (column: string) => string>> = {
  date: (column) => `NOT isfinite(${column})`,
  // A day may end with it.
  time: (column) => `${column} = '24:00:00'`,
  timestamp: (column) => `NOT isfinite(${column}) OR ${column} >= '${LATEST}'`,
  timestamptz: (column) => `NOT isfinite(${column}) OR ${column} >= '${LATEST}+00'`,
  decimal: (column) => `${column} = 'NaN'`,
};

/** 2^63 microseconds after 1970 are a few days later; PostgreSQL counts from 2000, 30 years further. */
const LATEST = "294247-01-01 00:00:00";

/** One row: "true" for each of `columns` that holds a value its type has no place for. Null: none can. */
export function misfitSql({ schema, name }: Table, columns: readonly StoredColumn[]): string | null {
  const asked = columns.flatMap((column, at) => {
    const condition = MISFIT[column.as]?.(ident(column.name));
    return condition === undefined
      ? []
      : [`coalesce(bool_or(${condition}), false)::text AS ${ident(misfitName(at))}`];
  });
  return asked.length === 0 ? null : `SELECT ${asked.join(", ")} FROM ONLY ${qualified(schema, name)}`;
}

export function misfitName(column: number): string {
  return `c${column}`;
}

/** Their binary format is their text. */
const SENT_AS_TEXT = new Set(["text", "varchar", "bpchar", "json"].map((type) => `pg_catalog.${type}`));

/**
 * COPY's binary format of the stored types. format() asks the type's own output: a cast to text adds its length to an
 * inet. A composite of NULLs IS NULL, and is none.
 */
export function binaryOutSql(
  { schema, name }: Table,
  columns: readonly StoredColumn[],
  types: readonly Pick<ColumnInfo, "name" | "baseType">[],
): string {
  const baseTypes = new Map(types.map((column) => [column.name, column.baseType]));
  const list = columns.map((column) => {
    const called = ident(column.name);
    if (column.as !== "text" || SENT_AS_TEXT.has(baseTypes.get(column.name) ?? "")) return called;
    return `CASE num_nulls(${called}) WHEN 0 THEN format('%s', ${called}) END`;
  });
  return `COPY (SELECT ${list.join(", ")} FROM ONLY ${qualified(schema, name)}) TO STDOUT (FORMAT binary)`;
}

/** Text of a database without an encoding is neither checked nor converted. */
export function clientEncodingSql(isUtf8: boolean): string {
  return `SET LOCAL client_encoding = ${literal(clientEncoding(isUtf8))}`;
}

/** COPY may write the columns of GENERATED ALWAYS AS IDENTITY. */
export function textInSql(
  { schema, name }: Table,
  columns: readonly StoredColumn[],
  isUtf8: boolean,
): string {
  const into = `${qualified(schema, name)} (${identList(columns.map((column) => column.name))})`;
  return `COPY ${into} FROM STDIN (FORMAT text, ENCODING ${literal(clientEncoding(isUtf8))})`;
}

function clientEncoding(isUtf8: boolean): string {
  return isUtf8 ? "UTF8" : "SQL_ASCII";
}
