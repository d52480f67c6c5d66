/**
 * partway.partition_archive: a row is committed before an archive is begun, so that an interrupted one is found again,
 * and stays when the leaf is dropped: it says where the rows are.
 */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import { type ArchiveSettings, archiveSchema } from "../config/schema.js";
import type { Session } from "../pg/session.js";
import { ArchiveManifest } from "./manifest.js";

const stamp = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')`;

/** `schema`: where the leaf is; it may have been moved since. */
const row = (schema = "a.leaf_schema") => /*sql*/ `
SELECT a.id, a.table_name::oid::text AS "tableOid", a.table_name::text AS "table", a.leaf::text AS leaf, ${schema} AS schema,
       a.leaf_name AS name, a.bound, a.settings, a.manifest, ${stamp("a.begun_at")} AS "begunAt",
       ${stamp("a.verified_at")} AS "verifiedAt", ${stamp("a.dropped_at")} AS "droppedAt", ${stamp("a.restored_at")} AS "restoredAt"
  FROM partway.partition_archive a`;

export const ARCHIVE_SQL = {
  make: /*sql*/ `
CREATE TABLE IF NOT EXISTS partway.partition_archive (
  id text PRIMARY KEY,
  table_name regclass NOT NULL,
  leaf oid NOT NULL,
  leaf_schema text NOT NULL,
  leaf_name text NOT NULL,
  bound text NOT NULL,
  settings jsonb NOT NULL,
  manifest jsonb,
  begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  verified_at timestamptz,
  dropped_at timestamptz,
  restored_as oid,
  restored_at timestamptz)`,
  exists: /*sql*/ `SELECT (to_regclass('partway.partition_archive') IS NOT NULL)::text AS present`,
  /** The newest of the leaf, whatever it is called by now, that has not ended in its drop. */
  open: /*sql*/ `${row()}
  JOIN pg_class c ON c.oid = a.leaf
 WHERE a.leaf = $1::oid AND a.dropped_at IS NULL ORDER BY a.begun_at DESC LIMIT 1`,
  /** Begun, and in the way of nothing: leaves of the table that are detached already, by the name they have or had. */
  detached: /*sql*/ `${row("n.nspname")}
  JOIN pg_class c ON c.oid = a.leaf AND NOT c.relispartition
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE a.table_name = $1::oid::regclass AND $2::text IN (a.leaf_name, n.nspname || '.' || a.leaf_name, c.relname, n.nspname || '.' || c.relname) AND a.dropped_at IS NULL ORDER BY a.begun_at DESC LIMIT 1`,
  ofTable: /*sql*/ `${row()} WHERE a.table_name = $1::oid::regclass ORDER BY a.begun_at`,
  /** By its name or the leaf's. */
  named: /*sql*/ `${row()} WHERE a.verified_at IS NOT NULL AND $1 IN (a.id, a.leaf_name, a.leaf_schema || '.' || a.leaf_name) ORDER BY a.begun_at`,
  isEmpty: /*sql*/ `SELECT (NOT EXISTS (SELECT FROM partway.partition_archive))::text AS present`,
  drop: /*sql*/ "DROP TABLE partway.partition_archive",
  begin: /*sql*/ `
INSERT INTO partway.partition_archive (id, table_name, leaf, leaf_schema, leaf_name, bound, settings)
VALUES ($1, $2::oid, $3::oid, $4, $5, $6, $7::jsonb)`,
  /** What was verified is not true of the leaf, or not there, any more. */
  untrue: /*sql*/ `UPDATE partway.partition_archive SET (manifest, verified_at) = (NULL, NULL) WHERE id = $1`,
  /** The same, and it is made under another id: the files of this one stay as they are. */
  again: /*sql*/ `
UPDATE partway.partition_archive SET (id, leaf_schema, leaf_name, manifest, verified_at) = ($2, $3, $4, NULL, NULL) WHERE id = $1`,
  verified: /*sql*/ `
UPDATE partway.partition_archive SET (manifest, verified_at) = ($2::jsonb, clock_timestamp()) WHERE id = $1`,
  dropped: /*sql*/ `UPDATE partway.partition_archive SET dropped_at = clock_timestamp() WHERE id = $1`,
  restored: /*sql*/ `
UPDATE partway.partition_archive SET (restored_as, restored_at) = ($2::regclass::oid, clock_timestamp()) WHERE id = $1`,
  /** An archive that another database has made gets a row here: its leaf is not to expire, either. */
  attached: /*sql*/ `
INSERT INTO partway.partition_archive AS a
       (id, table_name, leaf, leaf_schema, leaf_name, bound, settings, dropped_at, restored_as, restored_at)
VALUES ($1, $2::oid, $3::regclass::oid, $4, $5, $6, $7::jsonb, clock_timestamp(), $3::regclass::oid, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET (table_name, restored_as, restored_at)
  = (excluded.table_name, excluded.restored_as, excluded.restored_at)`,
  /** Leaves that were brought back: they do not expire a second time by themselves. */
  restoredOf: /*sql*/ `
SELECT a.restored_as::text AS oid
  FROM partway.partition_archive a JOIN pg_inherits i ON i.inhrelid = a.restored_as AND i.inhparent = $1::oid`,
} as const;

const ArchiveRow = z.object({
  id: z.string(),
  tableOid: z.string(),
  table: z.string(),
  /** OID of the leaf. */
  leaf: z.string(),
  schema: z.string(),
  name: z.string(),
  bound: z.string(),
  settings: archiveSchema,
  /** Null: not verified yet. */
  manifest: ArchiveManifest.nullable(),
  begunAt: z.string(),
  verifiedAt: z.string().nullable(),
  droppedAt: z.string().nullable(),
  restoredAt: z.string().nullable(),
});
export type ArchiveRow = z.infer<typeof ArchiveRow>;

const Present = z.object({ present: z.enum(["true", "false"]) });

async function isThere(session: Session): Promise<boolean> {
  return (await session.one(Present, ARCHIVE_SQL.exists)).present === "true";
}

async function find(session: Session, sql: string, params: string[]): Promise<ArchiveRow[]> {
  return (await isThere(session)) ? jsonRows(session, ArchiveRow, sql, params) : [];
}

/** The archive of the leaf `oid` that is under way, or made and not followed by the drop; null: none. */
export async function openArchive(session: Session, oid: string): Promise<ArchiveRow | null> {
  return (await find(session, ARCHIVE_SQL.open, [oid]))[0] ?? null;
}

/** The archive under way of the detached leaf called `name`. */
export async function detachedArchive(
  session: Session,
  table: string,
  name: string,
): Promise<ArchiveRow | null> {
  return (await find(session, ARCHIVE_SQL.detached, [table, name]))[0] ?? null;
}

/** Of the table `oid`, oldest first. */
export function archivesOf(session: Session, oid: string): Promise<ArchiveRow[]> {
  return find(session, ARCHIVE_SQL.ofTable, [oid]);
}

/** Verified archives of that id, or of leaves of that name, oldest first. */
export function archivesNamed(session: Session, name: string): Promise<ArchiveRow[]> {
  return find(session, ARCHIVE_SQL.named, [name]);
}

export async function beginArchive(
  session: Session,
  row: Pick<ArchiveRow, "id" | "leaf" | "schema" | "name" | "bound"> & { table: string },
  settings: ArchiveSettings,
): Promise<void> {
  const { id, table, leaf, schema, name, bound } = row;
  await session.query(ARCHIVE_SQL.begin, [id, table, leaf, schema, name, bound, JSON.stringify(settings)]);
}

/** Away with the table where it says of no archive where it is: that nobody else would know. */
export async function dropEmptyArchives(session: Session): Promise<void> {
  if (!(await isThere(session))) return;
  if ((await session.one(Present, ARCHIVE_SQL.isEmpty)).present === "true")
    await session.query(ARCHIVE_SQL.drop);
}
