/** Every statement of backup and restore. */
import type { ColumnInfo, TableInfo } from "../catalog/types.js";
import { ident, identList, literal, qualified } from "../pg/quote.js";
import { rowHash } from "../sync/rowhash.js";
import { dataColumns } from "./manifest.js";

type Table = Pick<TableInfo, "schema" | "name" | "columns">;

/** The lock comes before the snapshot: one older than a TRUNCATE or a rewrite sees nothing (DESIGN 3.5). */
export function lockSql(table: Pick<Table, "schema" | "name">): string {
  return `LOCK TABLE ${qualified(table.schema, table.name)} IN ACCESS SHARE MODE`;
}

export const SNAPSHOT_SQL = /*sql*/ `
SELECT pg_export_snapshot() AS snapshot, current_setting('server_encoding') AS encoding,
       current_setting('server_version_num') AS version,
       to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`.trim();

/** Row count and content hash of a whole table, both as text. */
export function sumSql(table: Table): string {
  return `SELECT count(*)::text AS rows, coalesce(sum(${rowHash(table.columns, "s")}), 0)::text AS hash
  FROM ONLY ${qualified(table.schema, table.name)} AS s`;
}

/** The data in COPY's text format, one row a line. `encoding` is the server's own, so nothing is converted. */
export function copyOutSql(table: Table, encoding: string): string {
  const columns = identList(dataColumns(table.columns));
  return `COPY (SELECT ${columns} FROM ONLY ${qualified(table.schema, table.name)}) TO STDOUT (FORMAT text, ENCODING ${literal(encoding)})`;
}

/** COPY may write the columns of GENERATED ALWAYS AS IDENTITY; no OVERRIDING is needed. */
export function copyInSql(table: Table, encoding: string): string {
  const columns = identList(dataColumns(table.columns));
  return `COPY ${qualified(table.schema, table.name)} (${columns}) FROM STDIN (FORMAT text, ENCODING ${literal(encoding)})`;
}

/**
 * A table that can hold the data and compute the generated columns. Without defaults, checks and identity: they have
 * nothing to say about rows that are there already, and may need objects that are not.
 */
export function scratchTableSql(table: Table): string {
  return createTable(
    table,
    table.columns.map((column) => columnSql(column, null)),
  );
}

/** The table as it is, without indexes: statements for a person who has lost it. */
export function recreateSql(source: TableInfo): string[] {
  const serial = source.sequences.filter((sequence) => sequence.kind === "serial");
  const lines = source.columns.map((column) =>
    columnSql(
      column,
      source.sequences.find((s) => s.column === column.name && s.kind === "identity") ?? null,
      true,
    ),
  );
  const checks = source.checks
    .filter((check) => check.validated)
    .map((check) => `CONSTRAINT ${ident(check.name)} ${check.definition}`);
  return [
    ...serial.map(
      (s) =>
        `CREATE SEQUENCE ${qualified(s.schema, s.name)}${s.definition === undefined ? "" : ` ${s.definition}`}`,
    ),
    createTable(source, [...lines, ...checks]),
    ...source.checks
      .filter((check) => !check.validated)
      .map(
        (check) =>
          `ALTER TABLE ${qualified(source.schema, source.name)} ADD CONSTRAINT ${ident(check.name)} ${check.definition}`,
      ),
    ...serial.map(
      (s) =>
        `ALTER SEQUENCE ${qualified(s.schema, s.name)} OWNED BY ${qualified(source.schema, source.name)}.${ident(s.column)}`,
    ),
  ];
}

function createTable(table: Pick<Table, "schema" | "name">, lines: string[]): string {
  return `CREATE TABLE ${qualified(table.schema, table.name)} (\n  ${lines.join(",\n  ")}\n)`;
}

function columnSql(column: ColumnInfo, identity: { definition?: string } | null, full = false): string {
  const parts = [ident(column.name), column.type];
  if (column.collation !== null) parts.push(`COLLATE ${column.collation}`);
  if (column.generated !== null)
    parts.push(`GENERATED ALWAYS AS (${column.default ?? "NULL"}) ${column.generated.toUpperCase()}`);
  else if (full && column.identity !== null)
    parts.push(
      `GENERATED ${column.identity.toUpperCase()} AS IDENTITY${identity?.definition === undefined ? "" : ` (${identity.definition})`}`,
    );
  else if (full && column.default !== null) parts.push(`DEFAULT ${column.default}`);
  if (column.notNull) parts.push("NOT NULL");
  return parts.join(" ");
}
