/**
 * partway.partition_cold: a row is committed before anything is made for a cold leaf, here or there, so that what a
 * killed run has left is known as its own; it stays, and says where the rows are.
 */
import { z } from "zod";
import { Column } from "../backup/manifest.js";
import { jsonRows } from "../catalog/json.js";
import type { ColumnInfo } from "../catalog/types.js";
import type { Session } from "../pg/session.js";

/** An OID is another one's after a dump and restore: the foreign table is the one that reads the twin. */
const ROW = /*sql*/ `
SELECT k.id, k.table_name::oid::text AS "tableOid", k.leaf::text AS leaf, k.leaf_schema AS schema, k.leaf_name AS name,
       k.bound, k.server, f.oid::text AS "foreignOid", f.relname AS "foreignName", k.how, k.rows::text AS rows,
       k.hash, k.columns, to_char(k.cooled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS "cooledAt",
       k.warmed_at IS NOT NULL AS "isWarm", k.dropped_at IS NOT NULL AS "isDropped"
  FROM partway.partition_cold k LEFT JOIN LATERAL (
       SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_foreign_table t ON t.ftrelid = c.oid JOIN pg_foreign_server s ON s.oid = t.ftserver
        WHERE s.srvname = k.server AND t.ftoptions @> ARRAY['schema_name=' || k.leaf_schema, 'table_name=' || k.leaf_name]
          AND k.warmed_at IS NULL AND (c.oid = k.foreign_table OR
              k.cooled_at IS NOT NULL AND n.nspname = k.leaf_schema AND c.relname = k.leaf_name)
        ORDER BY c.oid = k.foreign_table DESC LIMIT 1) AS f ON true`;

export const COLD_SQL = {
  make: /*sql*/ `
CREATE TABLE partway.partition_cold (
  id text PRIMARY KEY,
  table_name regclass NOT NULL,
  leaf oid NOT NULL,
  leaf_schema text NOT NULL,
  leaf_name text NOT NULL,
  bound text NOT NULL,
  server text NOT NULL,
  how text NOT NULL CHECK (how IN ('attached', 'beside')),
  foreign_table oid,
  rows bigint,
  hash text,
  columns jsonb,
  begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  verified_at timestamptz,
  cooled_at timestamptz,
  warmed_as oid,
  warmed_at timestamptz,
  dropped_at timestamptz)`,
  exists: /*sql*/ `SELECT (to_regclass('partway.partition_cold') IS NOT NULL)::text AS present`,
  ofTable: /*sql*/ `${ROW} WHERE k.table_name = $1::oid::regclass ORDER BY k.begun_at`,
  begin: /*sql*/ `
INSERT INTO partway.partition_cold (id, table_name, leaf, leaf_schema, leaf_name, bound, server, how)
VALUES ($1, $2::oid, $3::oid, $4, $5, $6, $7, $8)`,
  /** What a run that did not come to its end has left is gone. */
  forget: /*sql*/ `DELETE FROM partway.partition_cold WHERE id = $1 AND cooled_at IS NULL`,
  made: /*sql*/ `UPDATE partway.partition_cold SET foreign_table = $2::regclass::oid WHERE id = $1`,
  verified: /*sql*/ `
UPDATE partway.partition_cold SET (rows, hash, columns, verified_at) = ($2::bigint, $3, $4::jsonb, clock_timestamp()) WHERE id = $1`,
  /** What was verified is not true of the leaf, or of its copy, any more. */
  untrue: /*sql*/ `
UPDATE partway.partition_cold SET (rows, hash, columns, verified_at) = (NULL, NULL, NULL, NULL) WHERE id = $1 AND cooled_at IS NULL`,
  cooled: /*sql*/ `UPDATE partway.partition_cold SET cooled_at = clock_timestamp() WHERE id = $1`,
  warmed: /*sql*/ `
UPDATE partway.partition_cold SET (warmed_as, warmed_at, foreign_table, rows, hash)
  = ($2::regclass::oid, clock_timestamp(), NULL, $3::bigint, $4) WHERE id = $1`,
  dropped: /*sql*/ `UPDATE partway.partition_cold SET dropped_at = clock_timestamp() WHERE id = $1`,
  /** Leaves that were brought back, or whose way into the cold was broken off: they do not expire by themselves. */
  keptOf: /*sql*/ `
SELECT i.inhrelid::text AS oid FROM partway.partition_cold k
  JOIN pg_inherits i ON i.inhparent = $1::oid AND (i.inhrelid = k.warmed_as OR i.inhrelid = k.leaf AND k.cooled_at IS NULL)`,
} as const;

const ColdRow = z.object({
  id: z.string(),
  tableOid: z.string(),
  /** OID of the leaf that was. */
  leaf: z.string(),
  /** Of the leaf, and of its twin on the cold server. */
  schema: z.string(),
  name: z.string(),
  bound: z.string(),
  server: z.string(),
  foreignOid: z.string().nullable(),
  foreignName: z.string().nullable(),
  /** A partition of its table, or a table beside it and a part of its view. */
  how: z.enum(["attached", "beside"]),
  rows: z.coerce.number().nullable(),
  hash: z.string().nullable(),
  columns: z.array(Column).nullable(),
  /** Null: the leaf itself is still in its place. */
  cooledAt: z.string().nullable(),
  isWarm: z.boolean(),
  isDropped: z.boolean(),
});
export type ColdRow = z.infer<typeof ColdRow>;

const Present = z.object({ present: z.enum(["true", "false"]) });

/** Every row of the table `oid`, oldest first; none where nothing was ever cooled. */
export async function coldRows(session: Session, oid: string): Promise<ColdRow[]> {
  if ((await session.one(Present, COLD_SQL.exists)).present !== "true") return [];
  return jsonRows(session, ColdRow, COLD_SQL.ofTable, [oid]);
}

/** Those whose rows are on another server now. */
export async function coldLeavesOf(session: Session, oid: string): Promise<ColdRow[]> {
  return (await coldRows(session, oid)).filter(({ cooledAt, isWarm }) => cooledAt !== null && !isWarm);
}

/** A row of what is proven. */
export async function noteVerified(
  session: Session,
  id: string,
  { rows, hash, columns }: { rows: number; hash: string; columns: readonly ColumnInfo[] },
): Promise<void> {
  await session.query(COLD_SQL.verified, [id, rows, hash, JSON.stringify(columns)]);
}
