/** Everything that hangs on a table: nothing in pg_depend that refers to it may go unnoticed (DESIGN 7.5, 7.6). */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { jsonRows } from "./json.js";
import type { DependentInfo } from "./types.js";

const KINDS = [
  "outgoing-foreign-key",
  "incoming-foreign-key",
  "trigger",
  "rule",
  "view",
  "materialized-view",
  "function",
  "policy",
  "publication",
  "extended-statistics",
  "inheritance-child",
  "inheritance-parent",
  "security-label",
  "extension",
  "exclusion-constraint",
  "other",
] as const satisfies readonly DependentInfo["kind"][];

const dependentRow = z.object({
  kind: z.enum(KINDS),
  name: z.string(),
  detail: z.string(),
});

/** True of a publication `p` that is not of a capture from the write-ahead log. */
export const PUBLICATION_NOT_OURS = /*sql*/ `NOT starts_with(p.pubname, 'partway_wal_')`;
/** Partway's own triggers are no dependents; `_` would match any character in LIKE. */
export const NOT_OURS = /*sql*/ `NOT starts_with(t.tgname, 'partway_')`;

/**
 * `tree`: the table and, when it is partitioned, its leaves. `own`: what belongs to it and goes with it: TOAST table,
 * row type and array type, indexes, constraints, defaults, owned sequences. `hanging`: any other object with a
 * pg_depend entry that points at one of these. Needs $1 = the table's oid.
 */
const CLOSURE = /*sql*/ `
  WITH RECURSIVE tree AS (
    SELECT $1::oid AS oid
    UNION
    SELECT c.oid FROM tree p JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
     WHERE c.relispartition
  ), sequences AS (
    SELECT s.oid, CASE d.deptype WHEN 'a' THEN 'serial' ELSE 'identity' END AS kind
      FROM tree
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tree.oid AND d.refobjsubid > 0
       AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  ), own AS (
    SELECT 'pg_class'::regclass AS classid, oid AS objid FROM tree
    UNION ALL
    SELECT 'pg_class'::regclass, c.reltoastrelid FROM tree JOIN pg_class c USING (oid) WHERE c.reltoastrelid <> 0
    UNION ALL
    SELECT 'pg_type'::regclass, c.reltype FROM tree JOIN pg_class c USING (oid) WHERE c.reltype <> 0
    UNION ALL
    SELECT 'pg_type'::regclass, t.typarray FROM tree JOIN pg_class c USING (oid) JOIN pg_type t ON t.oid = c.reltype
     WHERE t.typarray <> 0
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid
      FROM tree JOIN pg_class c USING (oid) JOIN pg_index i ON i.indrelid IN (c.oid, c.reltoastrelid)
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid FROM tree JOIN pg_constraint k ON k.conrelid = tree.oid
    UNION ALL
    SELECT 'pg_attrdef'::regclass, a.oid FROM tree JOIN pg_attrdef a ON a.adrelid = tree.oid
    UNION ALL
    SELECT 'pg_class'::regclass, oid FROM sequences
  ), hanging AS (
    SELECT d.classid, d.objid, d.objsubid,
           bool_or(d.refclassid = 'pg_type'::regclass) AS by_type,
           bool_or(d.refclassid <> 'pg_type'::regclass) AS by_relation,
           bool_and(s.kind IS NOT NULL) AS by_sequence, min(s.kind) AS sequence,
           string_agg(DISTINCT quote_ident(a.attname), ', ') AS columns
      FROM own o
      JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid
      LEFT JOIN pg_attribute a ON d.refclassid = 'pg_class'::regclass AND a.attrelid = d.refobjid
       AND a.attnum = d.refobjsubid AND d.refobjsubid > 0
      LEFT JOIN sequences s ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
     WHERE NOT EXISTS (SELECT FROM own x WHERE x.classid = d.classid AND x.objid = d.objid)
     GROUP BY d.classid, d.objid, d.objsubid
  )`;

const READS = /*sql*/ `coalesce('reads ' || h.columns, 'refers to the table')`;

/** Objects with a catalog of their own, found there: complete whatever pg_depend says. */
const DECLARED = /*sql*/ `
  SELECT CASE WHEN k.contype = 'x' THEN 'exclusion-constraint' ELSE 'outgoing-foreign-key' END AS kind,
         k.conname::text AS name, pg_get_constraintdef(k.oid) AS detail
    FROM tree JOIN pg_constraint k ON k.conrelid = tree.oid AND k.contype IN ('f', 'x') AND k.conparentid = 0
  UNION ALL
  SELECT 'incoming-foreign-key', format('%I on %I.%I', k.conname, n.nspname, c.relname), pg_get_constraintdef(k.oid)
    FROM tree
    JOIN pg_constraint k ON k.confrelid = tree.oid AND k.contype = 'f' AND k.conparentid = 0
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL
  SELECT 'trigger', t.tgname::text, pg_get_triggerdef(t.oid)
    FROM tree JOIN pg_trigger t ON t.tgrelid = tree.oid
   WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND ${NOT_OURS}
  UNION ALL
  SELECT 'rule', r.rulename::text, pg_get_ruledef(r.oid)
    FROM tree JOIN pg_rewrite r ON r.ev_class = tree.oid
   WHERE r.rulename <> '_RETURN'
  UNION ALL
  SELECT 'policy', p.polname::text,
         concat_ws(' ', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
           CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete'
                ELSE 'all' END,
           'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
           'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    FROM tree JOIN pg_policy p ON p.polrelid = tree.oid
  UNION ALL
  SELECT 'extended-statistics', format('%I.%I', n.nspname, s.stxname), pg_get_statisticsobjdef(s.oid)
    FROM tree JOIN pg_statistic_ext s ON s.stxrelid = tree.oid JOIN pg_namespace n ON n.oid = s.stxnamespace
  UNION ALL
  SELECT 'inheritance-child', format('%I.%I', n.nspname, c.relname), 'inherits from the table'
    FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
    JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE NOT c.relispartition
  UNION ALL
  SELECT 'inheritance-parent', format('%I.%I', n.nspname, p.relname),
         CASE WHEN c.relispartition THEN 'the table is its partition' ELSE 'the table inherits from it' END
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace
   WHERE i.inhrelid = $1::oid
  UNION ALL
  SELECT 'security-label', s.provider,
         format('%s on %s', s.label, (pg_identify_object(s.classoid, s.objoid, s.objsubid)).identity)
    FROM own o JOIN pg_seclabel s ON s.classoid = o.classid AND s.objoid = o.objid
  UNION ALL
  SELECT 'publication', p.pubname::text, 'for all tables'
    FROM pg_publication p, pg_class c
   WHERE p.puballtables AND c.oid = $1::oid AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  UNION ALL
  SELECT 'publication', p.pubname::text, 'for the table'
    FROM tree JOIN pg_publication_rel r ON r.prrelid = tree.oid
    JOIN pg_publication p ON p.oid = r.prpubid AND ${PUBLICATION_NOT_OURS}
  UNION ALL
  SELECT 'extension', e.extname::text,
         format('%s %s %s', i.type, i.identity, CASE d.deptype WHEN 'e' THEN 'is a member of it' ELSE 'depends on it' END)
    FROM (SELECT classid, objid FROM own WHERE classid <> 'pg_type'::regclass
          UNION ALL
          SELECT 'pg_trigger'::regclass, t.oid FROM tree JOIN pg_trigger t ON t.tgrelid = tree.oid) o
    JOIN pg_depend d ON d.classid = o.classid AND d.objid = o.objid
     AND d.refclassid = 'pg_extension'::regclass AND d.deptype IN ('e', 'x')
    JOIN pg_extension e ON e.oid = d.refobjid
   CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
  UNION ALL
  SELECT 'other', 'subscription ' || quote_ident(s.subname), 'writes to the table'
    FROM tree JOIN pg_subscription_rel r ON r.srrelid = tree.oid JOIN pg_subscription s ON s.oid = r.srsubid
  UNION ALL
  SELECT 'other', format('not-null constraint %I', k.conname), pg_get_constraintdef(k.oid)
    FROM tree JOIN pg_constraint k ON k.conrelid = tree.oid AND k.contype = 'n' AND NOT k.convalidated`;

/** Publications of a whole schema exist since PostgreSQL 15. */
const OF_SCHEMA = /*sql*/ `
  UNION ALL
  SELECT 'publication', p.pubname::text, format('for tables in schema %I', c.relnamespace::regnamespace::name)
    FROM pg_class c
    JOIN pg_publication_namespace s ON s.pnnspid = c.relnamespace
    JOIN pg_publication p ON p.oid = s.pnpubid
   WHERE c.oid = $1::oid AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'`;

/** What only pg_depend knows. The kinds DECLARED lists are left out when they belong to the table itself. */
const HANGING = /*sql*/ `
  SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized-view' ELSE 'rule' END AS kind,
         CASE WHEN c.relkind IN ('v', 'm') AND r.rulename = '_RETURN' THEN format('%I.%I', n.nspname, c.relname)
              ELSE format('%I on %I.%I', r.rulename, n.nspname, c.relname) END AS name,
         ${READS} AS detail
    FROM hanging h
    JOIN pg_rewrite r ON h.classid = 'pg_rewrite'::regclass AND r.oid = h.objid
    JOIN pg_class c ON c.oid = r.ev_class
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid NOT IN (SELECT oid FROM tree)
  UNION ALL
  SELECT 'function', h.objid::regprocedure::text, ${READS}
    FROM hanging h WHERE h.classid = 'pg_proc'::regclass AND h.by_relation
  UNION ALL
  SELECT 'trigger', format('%I on %I.%I', t.tgname, n.nspname, c.relname), pg_get_triggerdef(t.oid)
    FROM hanging h
    JOIN pg_trigger t ON h.classid = 'pg_trigger'::regclass AND t.oid = h.objid
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE NOT t.tgisinternal AND c.oid NOT IN (SELECT oid FROM tree)
  UNION ALL
  SELECT 'policy', format('%I on %I.%I', p.polname, n.nspname, c.relname), ${READS}
    FROM hanging h
    JOIN pg_policy p ON h.classid = 'pg_policy'::regclass AND p.oid = h.objid
    JOIN pg_class c ON c.oid = p.polrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid NOT IN (SELECT oid FROM tree)
  UNION ALL
  SELECT 'other', format('%s %s', i.type, i.identity),
         CASE WHEN h.by_type THEN 'uses the row type of the table'
              WHEN h.by_sequence THEN format('uses the %s sequence of the table', h.sequence) ELSE ${READS} END
    FROM hanging h CROSS JOIN LATERAL pg_identify_object(h.classid, h.objid, h.objsubid) AS i
   WHERE h.classid NOT IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass,
           'pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass)
     AND NOT (h.classid = 'pg_proc'::regclass AND NOT h.by_type)
     AND NOT (h.classid = 'pg_class'::regclass AND h.objsubid = 0 AND NOT h.by_type
              AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = h.objid AND i.inhparent IN (SELECT oid FROM tree)))
     AND NOT (h.classid = 'pg_constraint'::regclass
              AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = h.objid AND k.contype = 'f'
                             AND k.confrelid IN (SELECT oid FROM tree)))`;

/** The query behind readDependents, for the fingerprint to build on: columns kind, name, detail; $1 = oid. */
export function dependentsSql(serverVersion: number): string {
  const declared = serverVersion >= 150000 ? DECLARED + OF_SCHEMA : DECLARED;
  return `${CLOSURE} SELECT kind, name, detail FROM (${declared} UNION ALL ${HANGING}) AS found
   GROUP BY kind, name, detail ORDER BY kind, name, detail`;
}

/** What hangs on relation `oid`, by kind and name. Partway's own triggers are left out. */
export async function readDependents(
  session: Session,
  oid: string,
  serverVersion: number,
): Promise<DependentInfo[]> {
  return jsonRows(session, dependentRow, dependentsSql(serverVersion), [oid]);
}
