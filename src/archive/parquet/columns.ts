/**
 * How each column of a leaf stands in a Parquet file: as the logical type that carries every one of its values exactly,
 * so that other tools read it as what it is, or else as the text that PostgreSQL prints. Pure.
 */
import type { SchemaElement } from "hyparquet";
import { z } from "zod";
import type { ColumnInfo } from "../../catalog/types.js";

const PLAIN = ["boolean", "int16", "int32", "int64", "float", "double", "date", "time", "timestamp"] as const;
const MORE = ["timestamptz", "uuid", "bytes", "text"] as const;

/** A column as the manifest has it: what it is called, and what it is stored as. */
export const StoredColumn = z.discriminatedUnion("as", [
  z.object({ name: z.string().min(1), as: z.enum([...PLAIN, ...MORE]) }),
  z.object({
    name: z.string().min(1),
    as: z.literal("decimal"),
    precision: z.int().min(1).max(38),
    scale: z.int().min(0).max(38),
  }),
]);
export type StoredColumn = z.infer<typeof StoredColumn>;
export type StoredAs = StoredColumn["as"];

const BY_TYPE: Readonly<Record<string, Exclude<StoredAs, "decimal">>> = {
  ...{ bool: "boolean", int2: "int16", int4: "int32", int8: "int64", float4: "float", float8: "double" },
  ...{ date: "date", time: "time", timestamp: "timestamp", timestamptz: "timestamptz" },
  ...{ uuid: "uuid", bytea: "bytes" },
};

/** An unconstrained numeric has a scale of its own in every value, and a domain does not tell its own. */
const DECIMAL = /^numeric\((\d+),(\d+)\)$/;

/** The best there is for the column's type; whether its values fit, the server says (`misfitSql`). */
export function wanted({ name, type, baseType }: ColumnInfo): StoredColumn {
  const [, precision, scale] = DECIMAL.exec(type) ?? [];
  if (precision !== undefined && scale !== undefined) {
    const [p, s] = [Number(precision), Number(scale)];
    if (p <= 38 && s <= p) return { name, as: "decimal", precision: p, scale: s };
  }
  const [, known = ""] = /^pg_catalog\.(\w+)$/.exec(baseType) ?? [];
  return { name, as: Object.hasOwn(BY_TYPE, known) ? (BY_TYPE[known] ?? "text") : "text" };
}

/** INT64 holds 18 digits. */
const LONG_DIGITS = 18;

export function isLong({ precision }: { precision: number }): boolean {
  return precision <= LONG_DIGITS;
}

/** `isUtf8`: the text is; that of a SQL_ASCII database is bytes. The converted types are for readers of before 2018. */
function typeOf(column: StoredColumn, isUtf8: boolean): Omit<SchemaElement, "name" | "repetition_type"> {
  switch (column.as) {
    case "boolean":
      return { type: "BOOLEAN" };
    case "int16":
      // Not as a logical type: hyparquet-writer 0.17.0 writes its width as another type than the format says (DuckDB).
      return { type: "INT32", converted_type: "INT_16" };
    case "int32":
      return { type: "INT32" };
    case "int64":
      return { type: "INT64" };
    case "float":
      return { type: "FLOAT" };
    case "double":
      return { type: "DOUBLE" };
    case "date":
      return { type: "INT32", converted_type: "DATE", logical_type: { type: "DATE" } };
    case "time":
      return { type: "INT64", logical_type: { type: "TIME", isAdjustedToUTC: false, unit: "MICROS" } };
    case "timestamp":
      return { type: "INT64", logical_type: { type: "TIMESTAMP", isAdjustedToUTC: false, unit: "MICROS" } };
    case "timestamptz":
      return {
        type: "INT64",
        converted_type: "TIMESTAMP_MICROS",
        logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MICROS" },
      };
    case "uuid":
      return { type: "FIXED_LEN_BYTE_ARRAY", type_length: 16, logical_type: { type: "UUID" } };
    case "bytes":
      return { type: "BYTE_ARRAY" };
    case "text":
      return isUtf8
        ? { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } }
        : { type: "BYTE_ARRAY" };
    case "decimal": {
      const { precision, scale } = column;
      const physical = isLong(column)
        ? ({ type: "INT64" } as const)
        : ({ type: "FIXED_LEN_BYTE_ARRAY", type_length: 16 } as const);
      const logical_type = { type: "DECIMAL", precision, scale } as const;
      return { ...physical, converted_type: "DECIMAL", precision, scale, logical_type };
    }
  }
}

/** The file's schema. Every column may be NULL: what the table says of that is the table's. */
export function schemaOf(columns: readonly StoredColumn[], isUtf8: boolean): SchemaElement[] {
  return [
    { name: "root", num_children: columns.length },
    ...columns.map((column) => ({
      ...{ name: column.name, repetition_type: "OPTIONAL" as const },
      ...typeOf(column, isUtf8),
    })),
  ];
}

/** A database whose text is of no encoding: it goes through as it is. */
export function isText(encoding: string): boolean {
  return encoding !== "SQL_ASCII";
}
