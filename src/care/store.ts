/**
 * What the care keeps in schema `partway`. partition_config is the one source of truth for policies: `partway adopt`
 * writes it, an UPDATE by hand is honoured at the next run, and every run reads it anew.
 */
import { z } from "zod";
import { ARCHIVE_SQL } from "../archive/store.js";
import { jsonRows } from "../catalog/json.js";
import { COLD_SQL } from "../cold/store.js";
import { type PartitionPolicy, partitionPolicySchema } from "../config/schema.js";
import { badInput, type PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import { STORE_SQL } from "../sync/store.js";

const LEAVING = /*sql*/ `
SELECT l.leaf::text AS oid, l.leaf_name AS name, l.bound, l.then_drop AS "thenDrop", c.oid IS NOT NULL AS "isThere",
       coalesce(c.relispartition, false) AS attached, coalesce(i.inhdetachpending, false) AS pending,
       coalesce(n.nspname, '') AS schema, coalesce(c.relname, '') AS "nameNow"
  FROM partway.partition_leaving l
  LEFT JOIN pg_class c ON c.oid = l.leaf AND c.relkind IN ('r', 'p') LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = l.table_name::oid
 WHERE l.table_name = $1::oid::regclass ORDER BY l.at`;

export const CARE_SQL = {
  /** Not to_regclass: who has waited for the other maker would be answered from a cache that is older than the wait. */
  exists: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'partway' AND c.relname = 'partition_config')::text AS present`,
  /** Made before there were archives. */
  isOld: /*sql*/ `
SELECT (count(*) < 2)::text AS present FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'partway' AND (c.relname = 'partition_archive' OR c.relname = 'partition_config'
       AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'archive'))`,
  renew: /*sql*/ `
ALTER TABLE partway.partition_config ADD COLUMN IF NOT EXISTS archive jsonb,
  DROP CONSTRAINT IF EXISTS partition_config_expired_check,
  ADD CONSTRAINT partition_config_expired_check CHECK (expired IN ('detach', 'drop', 'archive'))`,
  make: /*sql*/ `
CREATE TABLE partway.partition_config (
  table_name regclass PRIMARY KEY,
  every text CHECK (every IN ('hour', 'day', 'week', 'month', 'quarter', 'year')),
  step bigint CHECK (step > 0),
  leaf text,
  ahead integer CHECK (ahead BETWEEN 0 AND 1000),
  retention text,
  expired text NOT NULL DEFAULT 'detach' CHECK (expired IN ('detach', 'drop', 'archive')),
  archive jsonb,
  thresholds jsonb NOT NULL DEFAULT '{}',
  enabled boolean NOT NULL DEFAULT true,
  last_maintenance timestamptz,
  CHECK (every IS NULL OR step IS NULL));
CREATE TABLE partway.partition_leaving (
  leaf oid PRIMARY KEY,
  table_name regclass NOT NULL,
  leaf_name text NOT NULL,
  bound text NOT NULL,
  then_drop boolean NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE partway.partition_metadata (
  table_name regclass NOT NULL,
  leaf regclass NOT NULL,
  bound text NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  last_analyze timestamptz,
  last_vacuum timestamptz,
  recorded_at timestamptz NOT NULL,
  PRIMARY KEY (table_name, leaf))`,
  read: /*sql*/ `
SELECT c.table_name::oid::text AS oid, c.table_name::text AS shown, r.oid IS NOT NULL AS "isThere",
       json_strip_nulls(json_build_object('every', c.every, 'step', c.step::text, 'leaf', c.leaf, 'ahead', c.ahead,
         'retention', c.retention, 'expired', c.expired, 'archive', to_jsonb(c) -> 'archive', 'thresholds', c.thresholds, 'enabled', c.enabled)) AS policy,
       to_char(c.last_maintenance AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS "lastMaintenance"
  FROM partway.partition_config c LEFT JOIN pg_class r ON r.oid = c.table_name::oid
 ORDER BY 2`,
  write: /*sql*/ `
INSERT INTO partway.partition_config AS c (table_name, every, step, leaf, ahead, retention, expired, thresholds, enabled, archive)
VALUES ($1::oid, $2, $3::bigint, $4, $5::int, $6, $7, $8::jsonb, $9::boolean, $10::jsonb)
ON CONFLICT (table_name) DO UPDATE SET (every, step, leaf, ahead, retention, expired, thresholds, enabled, archive)
  = (excluded.every, excluded.step, excluded.leaf, excluded.ahead, excluded.retention, excluded.expired,
     excluded.thresholds, excluded.enabled, excluded.archive)`,
  /** Asked by every run, so in one query: is there a migration at all, and what is on its way out. */
  standing: /*sql*/ `
SELECT to_regclass('partway.migration') IS NOT NULL AS migrations,
       to_regclass('partway.partition_archive') IS NOT NULL AS archives,
       to_regclass('partway.partition_cold') IS NOT NULL AS cold,
       (SELECT coalesce(json_agg(row_to_json(l)), '[]') FROM (${LEAVING}) AS l) AS leaving`,
  leave: /*sql*/ `
INSERT INTO partway.partition_leaving (leaf, table_name, leaf_name, bound, then_drop) VALUES ($1::oid, $2::oid, $3, $4, $5::boolean)
ON CONFLICT (leaf) DO UPDATE SET (table_name, leaf_name, bound, then_drop, at)
  = (excluded.table_name, excluded.leaf_name, excluded.bound, excluded.then_drop, excluded.at)`,
  /** Asked while the leaf is locked: is it still the table that was noted, and no other's leaf by now? */
  ours: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = $1::oid AND n.nspname = $2 AND c.relname = $3 AND NOT c.relispartition)::text AS present`,
  /** What the table of that OID is called by now. */
  called: /*sql*/ `
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relispartition::text AS attached
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid`,
  /** Where a detach has come to; no row: it is done. */
  detaching: /*sql*/ `
SELECT inhdetachpending::text AS present FROM pg_inherits WHERE inhrelid = $1::oid AND inhparent = $2::oid`,
  referenced: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::oid)::text AS present`,
  left: /*sql*/ `DELETE FROM partway.partition_leaving WHERE leaf = $1::oid`,
  /** When the run was, and its leaves; theirs only where something has changed. */
  metadata: /*sql*/ `
WITH maintained AS (
  UPDATE partway.partition_config SET last_maintenance = clock_timestamp() WHERE table_name = $1::oid::regclass),
now AS (
  SELECT i.inhparent, i.inhrelid, pg_get_expr(c.relpartbound, c.oid) AS bound,
         coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint) AS rows,
         (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0) FROM pg_partition_tree(c.oid) AS t)::bigint AS bytes,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::oid),
gone AS (
  DELETE FROM partway.partition_metadata m WHERE m.table_name = $1::oid::regclass
     AND NOT EXISTS (SELECT FROM now WHERE now.inhrelid = m.leaf::oid) RETURNING 1)
INSERT INTO partway.partition_metadata AS m
SELECT inhparent, inhrelid, bound, rows, bytes, analyzed, vacuumed, clock_timestamp() FROM now
ON CONFLICT (table_name, leaf) DO UPDATE
   SET (bound, rows, bytes, last_analyze, last_vacuum, recorded_at)
     = (excluded.bound, excluded.rows, excluded.bytes, excluded.last_analyze, excluded.last_vacuum, excluded.recorded_at)
 WHERE (m.bound, m.rows, m.bytes, m.last_analyze, m.last_vacuum)
    IS DISTINCT FROM (excluded.bound, excluded.rows, excluded.bytes, excluded.last_analyze, excluded.last_vacuum)`,
  hasMigrations: /*sql*/ `SELECT (to_regclass('partway.migration') IS NOT NULL)::text AS present`,
  openMigration: /*sql*/ `SELECT id FROM partway.migration WHERE $1::oid IN (source_oid, shadow_oid)`,
  /** A dropped table's policy must not wait for another table that gets its oid. */
  forget: /*sql*/ `
WITH gone AS (
  DELETE FROM partway.partition_config c WHERE NOT EXISTS (SELECT FROM pg_class r WHERE r.oid = c.table_name::oid)),
known AS (
  DELETE FROM partway.partition_metadata m WHERE NOT EXISTS (SELECT FROM pg_class r WHERE r.oid = m.table_name::oid))
DELETE FROM partway.partition_leaving l WHERE NOT EXISTS (SELECT FROM pg_class r WHERE r.oid = l.leaf)`,
  healthExists: /*sql*/ `SELECT (to_regclass('partway.partition_health') IS NOT NULL)::text AS present`,
  makeHealth: /*sql*/ `
CREATE TABLE partway.partition_health (
  table_name regclass PRIMARY KEY,
  status text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  knownHealth: /*sql*/ `SELECT table_name::oid::text AS oid, status FROM partway.partition_health`,
  keepHealth: /*sql*/ `
INSERT INTO partway.partition_health AS h (table_name, status) VALUES ($1::oid, $2)
ON CONFLICT (table_name) DO UPDATE SET (status, changed_at) = (excluded.status, excluded.changed_at)`,
  forgetHealth: /*sql*/ `
DELETE FROM partway.partition_health h WHERE NOT EXISTS (SELECT FROM pg_class r WHERE r.oid = h.table_name::oid)`,
  lockHealth: /*sql*/ `SELECT pg_try_advisory_lock(hashtext('partway health'), 0)::text AS held`,
  lock: /*sql*/ `SELECT pg_try_advisory_lock(hashtext('partway maintain'), 0)::text AS held`,
  holder: /*sql*/ `
SELECT l.pid::text AS pid FROM pg_locks l
 WHERE l.locktype = 'advisory' AND l.granted AND l.objid = 0
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = (hashtext('partway maintain')::bigint & 4294967295)::oid`,
} as const;

/** The answer to a question of CARE_SQL that is yes or no. */
export const Present = z.object({ present: z.enum(["true", "false"]) });

export type StoredPolicy = StoredTable & StoredText;

/** `wrong`: why the row cannot be read. */
type StoredText = { policy: PartitionPolicy; wrong: null } | { policy: null; wrong: PartwayError };

interface StoredTable {
  oid: string;
  /** As regclass prints it; the number when the table is gone. */
  shown: string;
  isThere: boolean;
  lastMaintenance: string | null;
}

const StoredRow = z.object({
  oid: z.string(),
  shown: z.string(),
  isThere: z.boolean(),
  policy: z.unknown(),
  lastMaintenance: z.string().nullable(),
});

async function present(session: Session, sql: string): Promise<boolean> {
  return (await session.one(Present, sql)).present === "true";
}

/** Makes schema and tables where they are not there yet, or not as they are today. */
export async function makeCareStore(session: Session): Promise<void> {
  if (!(await present(session, CARE_SQL.isOld))) return;
  await session.tx(async () => {
    await session.query(STORE_SQL.oneMaker);
    if (!(await present(session, CARE_SQL.isOld))) return;
    if (!(await present(session, STORE_SQL.schemaExists))) await session.query(STORE_SQL.makeSchema);
    await session.query((await present(session, CARE_SQL.exists)) ? CARE_SQL.renew : CARE_SQL.make);
    await session.query(ARCHIVE_SQL.make);
  });
}

/** What health has told; made when it is first asked to tell. */
export async function makeHealthStore(session: Session): Promise<void> {
  await makeOnce(session, CARE_SQL.healthExists, CARE_SQL.makeHealth);
}

/** Makes a table of the schema `partway`, and the schema, where they are not there yet. */
export async function makeOnce(session: Session, exists: string, statement: string): Promise<void> {
  if (await present(session, exists)) return;
  await session.tx(async () => {
    await session.query(STORE_SQL.oneMaker);
    if (await present(session, exists)) return;
    if (!(await present(session, STORE_SQL.schemaExists))) await session.query(STORE_SQL.makeSchema);
    await session.query(statement);
  });
}

/** Every policy, by the table's name. A row that cannot be read is that table's error, not the others'. */
export async function readPolicies(session: Session): Promise<StoredPolicy[]> {
  if (!(await present(session, CARE_SQL.exists))) return [];
  const rows = await jsonRows(session, StoredRow, CARE_SQL.read, []);
  return rows.map((row) => {
    const parsed = partitionPolicySchema.safeParse(row.policy);
    if (parsed.success) return { ...row, policy: parsed.data, wrong: null };
    const wrong = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
    const error = badInput(
      `partway.partition_config, row ${row.shown}: ${wrong}`,
      `Correct the row by UPDATE, or write it anew with all its options: partway adopt ${row.shown}`,
    );
    return { ...row, policy: null, wrong: error };
  });
}

/** Writes the policy of the table `oid`. */
export async function writePolicy(session: Session, oid: string, policy: PartitionPolicy): Promise<void> {
  const { every, step, leaf, ahead, retention, expired, archive, thresholds, enabled } = policy;
  await session.query(CARE_SQL.write, [
    oid,
    ...[every ?? null, step ?? null, leaf ?? null, ahead ?? null, retention ?? null],
    ...[expired ?? "detach", JSON.stringify(thresholds ?? {}), enabled ?? true],
    archive === undefined ? null : JSON.stringify(archive),
  ]);
}

const LeavingRow = z.object({
  oid: z.string(),
  name: z.string(),
  bound: z.string(),
  thenDrop: z.boolean(),
  isThere: z.boolean(),
  /** A leaf, of this table or of another by now. */
  attached: z.boolean(),
  /** Of this table. */
  pending: z.boolean(),
  schema: z.string(),
  /** It may have been renamed since. */
  nameNow: z.string(),
});
/** A leaf that was on its way out: what a run that was killed has left. */
export type Leaving = z.infer<typeof LeavingRow>;

const Standing = z.object({
  migrations: z.boolean(),
  archives: z.boolean(),
  cold: z.boolean(),
  leaving: z.array(LeavingRow),
});

export interface Standing {
  /** The migration that the table takes part in, under its own name or as the new table; null: none. */
  migration: string | null;
  leaving: Leaving[];
  /** OIDs of leaves that were brought back from an archive or the cold, or are on their way into it: they do not expire a second time by themselves. */
  restored: ReadonlySet<string>;
}

/** What has to be known before anything is done with a table in care. */
export async function readStanding(session: Session, oid: string): Promise<Standing> {
  const [row] = await jsonRows(session, Standing, CARE_SQL.standing, [oid]);
  if (row === undefined) throw new Error("a query that must return one row returned none");
  const { migrations, archives, cold, leaving } = row;
  const backOf = (sql: string) => session.rows(z.object({ oid: z.string() }), sql, [oid]);
  const back = archives ? await backOf(ARCHIVE_SQL.restoredOf) : [];
  if (cold) back.push(...(await backOf(COLD_SQL.keptOf)));
  const restored = new Set(back.map((one) => one.oid));
  return { migration: migrations ? await openMigration(session, oid) : null, leaving, restored };
}

async function openMigration(session: Session, oid: string): Promise<string | null> {
  const open = await session.maybe(z.object({ id: z.string() }), CARE_SQL.openMigration, [oid]);
  return open?.id ?? null;
}

/** The same alone, where there may be no table in care at all. */
export async function migrationOf(session: Session, oid: string): Promise<string | null> {
  return (await present(session, CARE_SQL.hasMigrations)) ? openMigration(session, oid) : null;
}
