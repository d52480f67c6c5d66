/** What is read of the table whose old rows are to be moved, and of the archive table where it is there already. */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import type { Session } from "../pg/session.js";

const column = z.object({
  name: z.string(),
  type: z.string(),
  collation: z.string().nullable(),
  generated: z.boolean(),
  identity: z.boolean(),
});
export type Column = z.output<typeof column>;

const relation = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.string(),
  owner: z.string(),
  role: z.string(),
  serverVersion: z.number(),
  columns: z.array(column),
  /** The one column it is cut by, in ranges; null otherwise. */
  cutBy: z.string().nullable(),
  /** Triggers that would fire for the move: a DELETE here, an INSERT there. */
  deleteTriggers: z.array(z.string()),
  insertTriggers: z.array(z.string()),
  rules: z.array(z.string()),
  /** Foreign keys that change the rows of other tables when one here is deleted. */
  cascades: z.array(z.string()),
  publications: z.array(z.string()),
  /** `p` durable, `u` unlogged, `t` temporary: of the tables that hold its rows. */
  persistence: z.array(z.string()),
});
export type Relation = z.output<typeof relation>;

/** Of the table, and of each leaf below it: a trigger or a foreign key may stand on one of them alone. */
const ALL = /*sql*/ `(SELECT c.oid UNION SELECT t.relid::oid FROM pg_partition_tree(c.oid) AS t)`;
/** And those above it, which a key of the whole table stands on. */
const ABOVE = /*sql*/ `(SELECT a.relid::oid FROM pg_partition_ancestors(c.oid) AS a)`;
const triggers = (event: number) => /*sql*/ `
  (SELECT coalesce(json_agg(DISTINCT g.tgname), '[]') FROM pg_trigger g
    WHERE g.tgrelid IN ${ALL} AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & ${event} <> 0)`;

const RELATION = /*sql*/ `
SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       pg_get_userbyid(c.relowner) AS owner, current_user AS role,
       current_setting('server_version_num')::int AS "serverVersion",
       (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                 'collation', (SELECT l.oid::regcollation::text FROM pg_collation l WHERE l.oid = a.attcollation),
                 'generated', a.attgenerated <> '', 'identity', a.attidentity <> '') ORDER BY a.attnum), '[]')
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT a.attname FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
         WHERE p.partrelid = c.oid AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attnum > 0) AS "cutBy",
       ${triggers(8)} AS "deleteTriggers", ${triggers(4)} AS "insertTriggers",
       (SELECT coalesce(json_agg(DISTINCT w.rulename), '[]') FROM pg_rewrite w WHERE w.ev_class IN ${ALL}) AS rules,
       (SELECT coalesce(json_agg(DISTINCT format('%s of %s', k.conname, k.conrelid::regclass)), '[]') FROM pg_constraint k
         WHERE k.contype = 'f' AND (k.confrelid IN ${ALL} OR k.confrelid IN ${ABOVE}) AND k.confdeltype IN ('c', 'n', 'd')
           AND k.conparentid = 0) AS cascades,
       (SELECT coalesce(json_agg(DISTINCT b.pubname), '[]') FROM pg_publication_tables b
         WHERE EXISTS (SELECT FROM pg_class x JOIN pg_namespace xn ON xn.oid = x.relnamespace
                        WHERE (x.oid IN ${ALL} OR x.oid IN ${ABOVE})
                          AND xn.nspname = b.schemaname AND x.relname = b.tablename)) AS publications,
       (SELECT coalesce(json_agg(DISTINCT x.relpersistence), '[]') FROM pg_class x
         WHERE x.oid IN ${ALL} AND x.relkind <> 'p') AS persistence
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace`;

/** Null: there is none. */
export async function readRelation(
  session: Session,
  which: { oid: string } | { schema: string; name: string },
): Promise<Relation | null> {
  const [condition, params] =
    "oid" in which
      ? ["c.oid = $1::oid", [which.oid]]
      : ["n.nspname = $1 AND c.relname = $2", [which.schema, which.name]];
  const [found] = await jsonRows(session, relation, `${RELATION} WHERE ${condition}`, params);
  return found ?? null;
}

const part = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.string(),
  /** 8 kB. */
  blocks: z.number(),
  /** A btree that begins with the column: old rows are found by it. */
  indexed: z.boolean(),
});
/** A table that holds rows itself: the table, or each of its leaves. */
export type Part = z.output<typeof part>;

const PARTS = /*sql*/ `
SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks,
       EXISTS (SELECT FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum = i.indkey[0]
                WHERE i.indrelid = c.oid AND m.amname = 'btree' AND i.indisvalid AND i.indpred IS NULL) AS indexed
  FROM (SELECT $1::oid AS relid WHERE (SELECT relkind FROM pg_class WHERE oid = $1::oid) <> 'p'
        UNION SELECT t.relid::oid FROM pg_partition_tree($1::oid) AS t WHERE t.isleaf) AS t
  JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind <> 'p' ORDER BY c.oid`;

export function readParts(session: Session, oid: string, byColumn: string): Promise<Part[]> {
  return jsonRows(session, part, PARTS, [oid, byColumn]);
}

/** What has that name, and the tables it reads where it is a view; null: nothing has it. */
export async function readView(
  session: Session,
  schema: string,
  name: string,
): Promise<{ kind: string; reads: string[] } | null> {
  const View = z.object({ kind: z.string(), reads: z.array(z.string()) });
  const [found] = await jsonRows(
    session,
    View,
    /*sql*/ `
SELECT c.relkind AS kind, (SELECT coalesce(json_agg(DISTINCT d.refobjid::text), '[]')
    FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
     AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid WHERE w.ev_class = c.oid) AS reads
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, name],
  );
  return found ?? null;
}
