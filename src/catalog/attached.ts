/** What stands on a table or reads it and has to go over to the new one: definitions as SQL, ready to be run again. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { NOT_OURS, PUBLICATION_NOT_OURS } from "./dependents.js";
import type { Attached } from "./types.js";

/** Stands for the table's own name in a trigger's definition, so that both sides' can be compared. */
export const TABLE = "<table>";

const names = z.array(z.string()).nullable();

const attachedRow = z.object({
  foreignKeys: z.array(
    z.object({
      name: z.string(),
      definition: z.string(),
      validated: z.boolean(),
      parent: z.string(),
      onRoot: z.boolean(),
      leaves: z.array(z.string()),
      comment: z.string().nullable(),
    }),
  ),
  incomingKeys: z.array(
    z.object({
      name: z.string(),
      child: z.string(),
      childKind: z.string(),
      self: z.boolean(),
      definition: z.string(),
      validated: z.boolean(),
      columns: z.array(z.string()),
      childColumns: z.array(z.string()),
      comment: z.string().nullable(),
    }),
  ),
  triggers: z.array(
    z.object({
      name: z.string(),
      definition: z.string(),
      enabled: z.enum(["O", "D", "R", "A"]),
      row: z.boolean(),
      before: z.boolean(),
      transition: z.boolean(),
      comment: z.string().nullable(),
    }),
  ),
  policies: z.array(
    z.object({
      name: z.string(),
      table: z.string(),
      own: z.boolean(),
      permissive: z.boolean(),
      command: z.enum(["ALL", "SELECT", "INSERT", "UPDATE", "DELETE"]),
      roles: z.array(z.string()),
      using: z.string().nullable(),
      check: z.string().nullable(),
      comment: z.string().nullable(),
    }),
  ),
  views: z.array(
    z.object({ name: z.string(), definition: z.string(), options: names, groupsByKey: z.boolean() }),
  ),
  functions: z.array(z.object({ name: z.string(), definition: z.string(), groupsByKey: z.boolean() })),
  publications: z.array(
    z.object({
      name: z.string(),
      viaRoot: z.boolean(),
      columns: names,
      where: z.string().nullable(),
    }),
  ),
  statistics: z.array(
    z.object({
      schema: z.string(),
      name: z.string(),
      tail: z.string(),
      target: z.number().nullable(),
      comment: z.string().nullable(),
    }),
  ),
});

/** Rows of one list as JSON, in a fixed order. */
const list = (sql: string) =>
  /*sql*/ `(SELECT coalesce(json_agg(row_to_json(q) ORDER BY q::text), '[]') FROM (${sql}) AS q)`;

const QUALIFIED = /*sql*/ `format('%I.%I', n.nspname, c.relname)`;

/** pg_get_constraintdef says NOT VALID, which is a state and no part of what the constraint demands. */
const DEFINITION = /*sql*/ `regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')`;

const FOREIGN_KEYS = /*sql*/ `
  SELECT k.conname AS name, min(${DEFINITION}) AS definition, bool_and(k.convalidated) AS validated,
         min(p.parent) AS parent, bool_or(k.conrelid = $1::oid) AS "onRoot",
         array_remove(array_agg(CASE WHEN k.conrelid <> $1::oid THEN ${QUALIFIED} END ORDER BY c.relname), NULL) AS leaves,
         max(obj_description(k.oid, 'pg_constraint')) AS comment
    FROM tree
    JOIN pg_constraint k ON k.conrelid = tree.oid AND k.contype = 'f' AND k.conparentid = 0 AND k.confrelid <> $1::oid
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   CROSS JOIN LATERAL (SELECT format('%I.%I', pn.nspname, pc.relname) AS parent
                         FROM pg_class pc JOIN pg_namespace pn ON pn.oid = pc.relnamespace WHERE pc.oid = k.confrelid) AS p
   GROUP BY k.conname`;

const INCOMING = /*sql*/ `
  SELECT k.conname AS name, ${QUALIFIED} AS child, c.relkind AS "childKind", k.conrelid = $1::oid AS self,
         ${DEFINITION} AS definition, k.convalidated AS validated,
         ARRAY(SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY AS f(attnum, at)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = f.attnum ORDER BY f.at) AS columns,
         ARRAY(SELECT format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
                 FROM unnest(k.conkey) WITH ORDINALITY AS f(attnum, at)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = f.attnum ORDER BY f.at) AS "childColumns",
         obj_description(k.oid, 'pg_constraint') AS comment
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE k.confrelid = $1::oid AND k.contype = 'f' AND k.conparentid = 0`;

const TRIGGERS = /*sql*/ `
  SELECT t.tgname AS name,
         overlay(d.text PLACING ' ON ${TABLE} ' FROM position(d.it IN d.text) FOR length(d.it)) AS definition,
         t.tgenabled AS enabled, t.tgtype & 1 = 1 AS row, t.tgtype & 2 = 2 AS before,
         t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL AS transition,
         obj_description(t.oid, 'pg_trigger') AS comment
    FROM pg_trigger t
   CROSS JOIN LATERAL (SELECT pg_get_triggerdef(t.oid) AS text, format(' ON %s ', t.tgrelid::regclass) AS it) AS d
   WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND ${NOT_OURS}`;

const POLICIES = /*sql*/ `
  SELECT p.polname AS name, ${QUALIFIED} AS table, p.polrelid = $1::oid AS own, p.polpermissive AS permissive,
         CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
              ELSE 'ALL' END AS command,
         ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END
                 FROM unnest(p.polroles) AS u(r)) AS roles,
         pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid) AS check,
         obj_description(p.oid, 'pg_policy') AS comment
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE p.polrelid = $1::oid
      OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM read))`;

/** A select list beyond GROUP BY's columns rests on the primary key, which will be another one. */
const groupsByKey = (classid: string, objid: string) => /*sql*/ `
  EXISTS (SELECT FROM pg_depend g JOIN pg_constraint k ON k.oid = g.refobjid AND k.conrelid = $1::oid
           WHERE g.classid = '${classid}'::regclass AND g.objid = ${objid} AND g.refclassid = 'pg_constraint'::regclass)`;

/** Not those of a session: nobody else may replace them, and the plan refuses them as unknown. */
const VIEWS = /*sql*/ `
  SELECT ${QUALIFIED} AS name, pg_get_viewdef(c.oid) AS definition, c.reloptions AS options,
         ${groupsByKey("pg_rewrite", "r.oid")} AS "groupsByKey"
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE r.rulename = '_RETURN' AND n.nspname !~ '^pg_temp_'
     AND r.oid IN (SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_rewrite'::regclass
                      AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM read))`;

const FUNCTIONS = /*sql*/ `
  SELECT p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS definition,
         ${groupsByKey("pg_proc", "p.oid")} AS "groupsByKey"
    FROM pg_proc p
   WHERE p.prokind IN ('f', 'p')
     AND p.oid IN (SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                      AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM read))`;

/** Row filters and column lists exist since PostgreSQL 15. */
const publications = (serverVersion: number) => /*sql*/ `
  SELECT p.pubname AS name, p.pubviaroot AS "viaRoot",
         ${
           serverVersion >= 150000
             ? /*sql*/ `(SELECT array_agg(a.attname ORDER BY a.attnum) FROM unnest(r.prattrs) AS u(attnum)
                  JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = u.attnum) AS columns,
         pg_get_expr(r.prqual, r.prrelid) AS where`
             : "NULL::text[] AS columns, NULL::text AS where"
         }
    FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
   WHERE r.prrelid = $1::oid AND ${PUBLICATION_NOT_OURS}`;

/** pg_get_statisticsobjdef: CREATE STATISTICS schema.name (kinds) ON columns FROM schema.table. -1: the default target. */
const STATISTICS = /*sql*/ `
  SELECT n.nspname AS schema, s.stxname AS name, nullif(s.stxstattarget, -1) AS target,
         left(whole.tail, -length(format(' FROM %s', s.stxrelid::regclass))) AS tail,
         obj_description(s.oid, 'pg_statistic_ext') AS comment
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
   CROSS JOIN LATERAL (SELECT substr(pg_get_statisticsobjdef(s.oid),
           length(format('CREATE STATISTICS %I.%I', n.nspname, s.stxname)) + 1) AS tail) AS whole
   WHERE s.stxrelid = $1::oid`;

/** `read`: the table $1 and the sequences it owns, which its readers may name as well. */
export const READ = /*sql*/ `
       read AS (SELECT $1::oid AS oid
                UNION
                SELECT d.objid FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                 WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                   AND d.refobjid = $1::oid AND d.deptype IN ('a', 'i'))`;

const sql = (serverVersion: number) => /*sql*/ `
  WITH tree AS (SELECT $1::oid AS oid UNION SELECT relid FROM pg_partition_tree($1::oid::regclass)),
       ${READ}
  SELECT json_build_object(
    'foreignKeys', ${list(FOREIGN_KEYS)}, 'incomingKeys', ${list(INCOMING)}, 'triggers', ${list(TRIGGERS)},
    'policies', ${list(POLICIES)}, 'views', ${list(VIEWS)}, 'functions', ${list(FUNCTIONS)},
    'publications', ${list(publications(serverVersion))}, 'statistics', ${list(STATISTICS)})::text AS info`;

/** Everything attached to relation `oid`; its own triggers, policies and foreign keys and whatever reads it elsewhere. */
export async function readAttached(session: Session, oid: string, serverVersion: number): Promise<Attached> {
  const { info } = await session.one(z.object({ info: z.string() }), sql(serverVersion), [oid]);
  const value: unknown = JSON.parse(info);
  return attachedRow.parse(value);
}
