/** What each column of a leaf is stored as: asked of the server before anything is written, in the export's snapshot. */
import { z } from "zod";
import { dataColumns } from "../../backup/manifest.js";
import type { ColumnInfo } from "../../catalog/types.js";
import { messageOf, PartwayError } from "../../errors.js";
import type { Session } from "../../pg/session.js";
import { SQLSTATE, sqlState } from "../../pg/sqlstate.js";
import { isText, type StoredColumn, wanted } from "./columns.js";
import { binaryOutSql, clientEncodingSql, misfitName, misfitSql } from "./sql.js";
import type { Writing } from "./write.js";

export interface ParquetPlan extends Pick<Writing, "columns" | "isUtf8" | "tooLong"> {
  /** As the manifest has it. */
  stored: StoredColumn[];
  /** Gives the rows, in COPY's binary format. */
  sql: string;
}

const THERE = "The leaf and its rows are there; nothing was dropped.";
const AS_CSV = "Archive it as CSV: --format csv, or without `format` in the policy.";

/** A column of which one value has no place in its type (infinity, 24:00, NaN) is stored as text. */
export async function planParquet(
  session: Session,
  table: { schema: string; name: string; columns: readonly ColumnInfo[] },
  encoding: string,
): Promise<ParquetPlan> {
  const isUtf8 = isText(encoding);
  const names = new Set(dataColumns(table.columns));
  const types = table.columns.filter(({ name }) => names.has(name));
  const best = types.map(wanted);
  const asked = misfitSql(table, best);
  const misfits = asked === null ? {} : await session.one(z.record(z.string(), z.string()), asked);
  const stored = best.map((column, at): StoredColumn => {
    return misfits[misfitName(at)] === "true" ? { name: column.name, as: "text" } : column;
  });
  await session.query(clientEncodingSql(isUtf8));
  const tooLong = () =>
    new PartwayError("refused", {
      what: `a row of the leaf ${table.name} is too long for Parquet, where a row has to be in memory whole`,
      state: THERE,
      next: AS_CSV,
    });
  return { columns: stored, stored, isUtf8, tooLong, sql: binaryOutSql(table, stored, types) };
}

/** Text in Parquet is UTF-8, and not every character of every encoding is one of it; CSV is written in the database's own. */
export function notAsUtf8(error: unknown, { name }: { name: string }): unknown {
  const code = sqlState(error);
  if (code !== SQLSTATE.untranslatable && code !== SQLSTATE.notInRepertoire) return error;
  const what = `the leaf ${name} has a text that cannot be written as UTF-8, which Parquet asks for: ${messageOf(error)}`;
  return new PartwayError("refused", { what, state: THERE, next: AS_CSV }, { cause: error });
}

/** For whoever finds the file without its manifest: what each column is of in PostgreSQL, and stored as. */
export function saidOf({ stored }: ParquetPlan, columns: readonly ColumnInfo[]): object[] {
  return stored.map((column) => ({
    ...column,
    type: columns.find(({ name }) => name === column.name)?.type,
  }));
}
