/** The partitioned tables that a statement reads, itself or through views: their leaves, and what they are cut by. */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import type { Session } from "../pg/session.js";

const SQL = {
  /** $1: OIDs the statement names; $2: `schema.name` of what its plan scans (functions and views may be inlined). */
  roots: /*sql*/ `
WITH RECURSIVE seen (oid) AS (
  SELECT unnest($1::oid[])
  UNION
  SELECT d.refobjid FROM seen JOIN pg_rewrite w ON w.ev_class = seen.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> seen.oid),
scanned (oid) AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname || '.' || c.relname = ANY ($2::text[]))
SELECT DISTINCT pg_partition_root(all_of.oid)::oid::text AS oid
  FROM (SELECT oid FROM seen UNION SELECT oid FROM scanned) AS all_of
 WHERE pg_partition_root(all_of.oid) IS NOT NULL`,
  table: /*sql*/ `
SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, p.partstrat AS strategy,
       pg_get_partkeydef(c.oid) AS key,
       (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, at)
          LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0) AS columns,
       (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS "allColumns",
       (SELECT coalesce(json_agg(ln.nspname || '.' || l.relname ORDER BY l.oid), '[]')
          FROM pg_partition_tree(c.oid) AS t JOIN pg_class l ON l.oid = t.relid JOIN pg_namespace ln ON ln.oid = l.relnamespace
         WHERE t.isleaf AND t.relid <> c.oid) AS leaves,
       (SELECT coalesce(json_agg(s.typ ORDER BY s.n), '[]') FROM (
          SELECT row_number() OVER (ORDER BY i.inhrelid) AS n, pg_get_expr(l.relpartbound, l.oid) AS typ
            FROM pg_inherits i JOIN pg_class l ON l.oid = i.inhrelid WHERE i.inhparent = c.oid) AS s) AS bounds
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_partitioned_table p ON p.partrelid = c.oid
 WHERE c.oid = ANY ($1::oid[]) ORDER BY 2, 3`,
} as const;

const STRATEGY = { r: "range", l: "list", h: "hash" } as const;

const TableRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  strategy: z.enum(["r", "l", "h"]).transform((letter) => STRATEGY[letter]),
  key: z.string(),
  /** Of the key; null: an expression. */
  columns: z.array(z.string().nullable()),
  allColumns: z.array(z.string()),
  /** `schema.name` of each that holds rows. */
  leaves: z.array(z.string()),
  /** As PostgreSQL prints them, of the first level. */
  bounds: z.array(z.string()),
});

export type CutTable = z.output<typeof TableRow>;

export async function cutTables(
  session: Session,
  named: readonly string[],
  scanned: readonly string[],
): Promise<CutTable[]> {
  const Oid = z.object({ oid: z.string() });
  const roots = await session.rows(Oid, SQL.roots, [[...named], [...scanned]]);
  return jsonRows(session, TableRow, SQL.table, [roots.map(({ oid }) => oid)]);
}
