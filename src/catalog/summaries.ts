/** Every user table of a database with its size and the server's counters, in one query; the leaves of a partitioned one. */
import { z } from "zod";
import type { LeafFacts, Measured, TableSummary } from "../advise/facts.js";
import type { Session } from "../pg/session.js";
import { jsonRows } from "./json.js";

const row = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["r", "p"]),
  rows: z.number().nullable(),
  heapBytes: z.number(),
  toastBytes: z.number(),
  indexBytes: z.number(),
  activity: z.object({
    inserts: z.number(),
    updates: z.number(),
    hotUpdates: z.number(),
    deletes: z.number(),
    live: z.number(),
    dead: z.number(),
    indexScans: z.number(),
    seqScans: z.number(),
  }),
});

/**
 * Tables of extensions and of Partway are nobody's to partition, and so are temporary tables, leaves, and the children of
 * old-style inheritance that hang on a parent. reltuples is -1 where a table was never analysed.
 */
const TABLES = /*sql*/ `
  SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
         CASE WHEN c.relkind = 'p' THEN NULL
              WHEN c.reltuples >= 0 THEN c.reltuples ELSE nullif(s.n_live_tup, 0) END AS rows,
         coalesce(pg_relation_size(c.oid), 0) AS "heapBytes",
         coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) AS "toastBytes",
         coalesce(pg_indexes_size(c.oid), 0) AS "indexBytes",
         json_build_object(
           'inserts', coalesce(s.n_tup_ins, 0), 'updates', coalesce(s.n_tup_upd, 0),
           'hotUpdates', coalesce(s.n_tup_hot_upd, 0), 'deletes', coalesce(s.n_tup_del, 0),
           'live', coalesce(s.n_live_tup, 0), 'dead', coalesce(s.n_dead_tup, 0),
           'indexScans', coalesce(s.idx_scan, 0), 'seqScans', coalesce(s.seq_scan, 0)) AS activity
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
     AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'partway') AND n.nspname !~ '^pg_(toast|temp)'
     AND ($1::text IS NULL OR n.nspname = $1)
     AND ($2::text[] IS NULL OR c.oid = ANY ($2::text[]::oid[]))
     AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   ORDER BY n.nspname, c.relname`;

/** User tables of `schema` (null: all), or those of `oids`. */
export function readSummaries(
  session: Session,
  { schema, oids }: { schema: string | null; oids: string[] | null },
): Promise<TableSummary[]> {
  return jsonRows(session, row, TABLES, [schema, oids]);
}

const measured = z.object({ now: z.string(), countedDays: z.number().nullable() });

/** Database clock, and since when the counters count. stats_reset is NULL where they were never reset: then nobody knows. */
export async function readMeasured(session: Session): Promise<Omit<Measured, "noStatements">> {
  const [found] = await jsonRows(
    session,
    measured,
    /*sql*/ `
      SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now,
             (SELECT extract(epoch FROM clock_timestamp() - stats_reset)::float8 / 86400
                FROM pg_stat_database WHERE datname = current_database()) AS "countedDays"`,
    [],
  );
  if (found === undefined) throw new Error("a query without FROM gave no row");
  return found;
}

const leafRow = z.object({
  key: z.string(),
  leaves: z.array(
    z.object({ name: z.string(), bounds: z.string(), bytes: z.number(), rows: z.number().nullable() }),
  ),
});

const LEAVES = /*sql*/ `
  SELECT pg_get_partkeydef($1::oid) AS key,
         coalesce((SELECT json_agg(json_build_object(
             'name', c.relname, 'bounds', coalesce(pg_get_expr(c.relpartbound, c.oid), ''),
             'bytes', coalesce(pg_total_relation_size(c.oid), 0),
             'rows', CASE WHEN c.reltuples >= 0 THEN c.reltuples END) ORDER BY c.relname)
           FROM pg_partition_tree($1::oid::regclass) t JOIN pg_class c ON c.oid = t.relid
          WHERE t.isleaf AND t.level > 0), '[]') AS leaves`;

/** The leaves of partitioned table `oid`, of every level. */
export async function readLeafFacts(session: Session, oid: string): Promise<LeafFacts> {
  const [found] = await jsonRows(session, leafRow, LEAVES, [oid]);
  return found ?? { key: "", leaves: [] };
}

/** The migrations that are open in this database by the OID of their source, and of their shadow until cutover. */
export async function readOpenMigrations(session: Session): Promise<Map<string, string>> {
  const usable = await session.maybe(
    z.object({}),
    /*sql*/ `
      SELECT FROM pg_class c WHERE c.oid = to_regclass('partway.migration')
         AND has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')`,
  );
  if (usable === null) return new Map();
  const open = await jsonRows(
    session,
    z.object({ id: z.string(), oids: z.array(z.string().nullable()) }),
    /*sql*/ `
      SELECT id, ARRAY[source_oid::text, CASE WHEN cutover_at IS NULL THEN shadow_oid::text END] AS oids
        FROM partway.migration`,
    [],
  );
  return new Map(
    open.flatMap(({ id, oids }) => oids.flatMap((oid) => (oid === null ? [] : [[oid, id] as const]))),
  );
}
