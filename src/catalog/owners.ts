/**
 * Whose objects a migration alters besides its own table, and what a role may do with them: foreign keys of and to
 * other tables, whatever reads the table, publications, statistics, and what an earlier migration of somebody else left
 * in schema partway. One row an object.
 */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { READ } from "./attached.js";
import { NOT_OURS } from "./dependents.js";
import { jsonRows } from "./json.js";

const altered = z.object({
  kind: z.enum([
    "child-table",
    "parent-table",
    "policy-table",
    "view",
    "function",
    "publication",
    "statistics",
    "trigger-function",
    "ledger",
    "leaf",
    "care-table",
    "tablespace",
  ]),
  /** As SQL writes it. */
  name: z.string(),
  owner: z.string(),
  /** A superuser's own powers are not inherited by members. */
  ownerIsSuperuser: z.boolean(),
  /** May one of the roles do what the owner may? (pg_has_role USAGE) */
  member: z.boolean(),
  /** The schema it is in; null for a publication. */
  schema: z.string().nullable(),
  /** May one of the roles name objects there, and make some (which replacing one asks for)? */
  usage: z.boolean(),
  create: z.boolean(),
  /** May the table's owner make objects there? Statistics are made anew and given to it. */
  tableOwnerCreates: z.boolean(),
  /** Rights on it that do without its owner, and that none of the roles has. */
  lacking: z.array(z.string()),
});
export type AlteredInfo = z.output<typeof altered>;

const standing = z.object({
  /** Member of the table's owner with what ALTER TABLE asks for, and (since 16) ALTER TABLE OWNER TO. */
  owns: z.boolean(),
  /** USAGE and CREATE on the table's schema. */
  createInSchema: z.boolean(),
  createInDatabase: z.boolean(),
  /** USAGE and CREATE; null: schema partway is not there. */
  partwaySchema: z.boolean().nullable(),
});

/** What a set of roles may do, taken together. */
export type Powers = z.output<typeof standing> & { altered: AlteredInfo[] };

const frame = z.object({
  serverVersion: z.number(),
  database: z.string(),
  schema: z.string(),
  name: z.string(),
  owner: z.string(),
  ownerIsSuperuser: z.boolean(),
  /** USAGE and CREATE on the table's schema: what it must own there has to be given to it. */
  ownerCreates: z.boolean(),
  /** Rights on its own table that the owner has taken from itself. */
  ownerLacks: z.array(z.string()),
  role: z.string(),
  exists: z.boolean(),
  superuser: z.boolean(),
  /** NOINHERIT roles do not have their memberships' rights. */
  inherits: z.boolean(),
  bypassesRowSecurity: z.boolean(),
  forcedRowSecurity: z.boolean(),
  /** Roles it is a member of in any way. */
  memberOf: z.array(z.string()),
});

/** What `role` may do as it is, and what it could with nothing but the memberships it needs. */
export type GrantFacts = z.output<typeof frame> & { purpose: Purpose; now: Powers; granted: Powers };

/** What the role is to do with the table: turn it into a partitioned one, or look after one that is. */
export type Purpose = "migrate" | "maintain";

const FRAME = /*sql*/ `
  SELECT current_setting('server_version_num')::int AS "serverVersion", current_database() AS database,
         n.nspname AS schema, c.relname AS name, o.rolname AS owner, o.rolsuper AS "ownerIsSuperuser",
         has_schema_privilege(o.oid, n.oid, 'USAGE') AND has_schema_privilege(o.oid, n.oid, 'CREATE') AS "ownerCreates",
         ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p
                WHERE NOT has_table_privilege(o.oid, c.oid, p)) AS "ownerLacks",
         asked.role, r.oid IS NOT NULL AS exists, coalesce(r.rolsuper, false) AS superuser,
         coalesce(r.rolinherit, true) AS inherits, coalesce(r.rolbypassrls, false) AS "bypassesRowSecurity",
         c.relrowsecurity AND c.relforcerowsecurity AS "forcedRowSecurity",
         ARRAY(SELECT m.rolname::text FROM pg_roles m WHERE m.oid <> r.oid AND pg_has_role(r.oid, m.oid, 'MEMBER'))
           AS "memberOf"
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_roles o ON o.oid = c.relowner
   CROSS JOIN LATERAL (SELECT coalesce($2::text, current_user::text) AS role) AS asked
    LEFT JOIN pg_roles r ON r.rolname = asked.role
   WHERE c.oid = $1::oid`;

/** $2: roles, 'public' among them where PUBLIC alone counts. pg_has_role does not know that name. */
const anyRole = (condition: string) =>
  /*sql*/ `EXISTS (SELECT FROM unnest($2::text[]) AS r(name) WHERE ${condition})`;
const member = (oid: string, how = "USAGE") =>
  /*sql*/ `EXISTS (SELECT FROM unnest($2::text[]) AS u(name) JOIN pg_roles r ON r.rolname = u.name
            WHERE pg_has_role(r.oid, ${oid}, '${how}'))`;

const standingSql = (serverVersion: number) => /*sql*/ `
  SELECT ${member("c.relowner")}${serverVersion >= 160_000 ? ` AND ${member("c.relowner", "SET")}` : ""} AS owns,
         ${anyRole("has_schema_privilege(r.name, c.relnamespace, 'USAGE')")}
           AND ${anyRole("has_schema_privilege(r.name, c.relnamespace, 'CREATE')")} AS "createInSchema",
         ${anyRole("has_database_privilege(r.name, current_database(), 'CREATE')")} AS "createInDatabase",
         (SELECT ${anyRole("has_schema_privilege(r.name, p.oid, 'USAGE')")}
             AND ${anyRole("has_schema_privilege(r.name, p.oid, 'CREATE')")}
            FROM pg_namespace p WHERE p.nspname = 'partway') AS "partwaySchema"
    FROM pg_class c WHERE c.oid = $1::oid`;

/** LOCK TABLE asks for one of UPDATE, DELETE and TRUNCATE, since 17 MAINTAIN does (LockTableAclCheck). */
const lockRights = (serverVersion: number) =>
  serverVersion >= 170_000
    ? { any: "UPDATE, DELETE, TRUNCATE, MAINTAIN", least: "MAINTAIN" }
    : { any: "UPDATE, DELETE, TRUNCATE", least: "UPDATE" };

const QUALIFIED = /*sql*/ `format('%I.%I', n.nspname, c.relname)`;
const readBy = (classid: string, objid: string) => /*sql*/ `
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${classid}'::regclass AND d.objid = ${objid}
             AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM read))`;

const OBJECTS = /*sql*/ `
  SELECT 'child-table' AS kind, ${QUALIFIED} AS name, c.relowner AS owner, c.relnamespace AS nsp,
         NULL::oid AS parent, NULL::int2[] AS keys, NULL::oid AS executes
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE k.confrelid = $1::oid AND k.contype = 'f' AND k.conparentid = 0 AND k.conrelid <> $1::oid
  UNION
  SELECT 'parent-table', ${QUALIFIED}, c.relowner, c.relnamespace, c.oid, k.confkey, NULL
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE k.conrelid = $1::oid AND k.contype = 'f' AND k.conparentid = 0 AND k.confrelid <> $1::oid
  UNION
  SELECT 'policy-table', ${QUALIFIED}, c.relowner, c.relnamespace, NULL, NULL, NULL
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE p.polrelid <> $1::oid AND ${readBy("pg_policy", "p.oid")}
  UNION
  SELECT 'view', ${QUALIFIED}, c.relowner, c.relnamespace, NULL, NULL, NULL
    FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class AND c.relkind = 'v' JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE w.rulename = '_RETURN' AND ${readBy("pg_rewrite", "w.oid")}
  UNION
  SELECT 'function', p.oid::regprocedure::text, p.proowner, p.pronamespace, NULL, NULL, NULL
    FROM pg_proc p WHERE p.prokind IN ('f', 'p') AND ${readBy("pg_proc", "p.oid")}
  UNION
  SELECT 'publication', quote_ident(p.pubname), p.pubowner, NULL, NULL, NULL, NULL
    FROM pg_publication_rel l JOIN pg_publication p ON p.oid = l.prpubid WHERE l.prrelid = $1::oid
  UNION
  SELECT 'statistics', format('%I.%I', n.nspname, s.stxname), s.stxowner, s.stxnamespace, NULL, NULL, NULL
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = $1::oid
  UNION
  SELECT 'trigger-function', t.tgfoid::regprocedure::text, p.proowner, p.pronamespace, NULL, NULL, t.tgfoid
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
   WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND ${NOT_OURS}
  UNION
  SELECT 'ledger', ${QUALIFIED}, c.relowner, c.relnamespace, NULL, NULL, NULL
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'partway' AND c.relname IN ('migration', 'ledger') AND c.relkind = 'r'`;

/** What maintenance touches beside the partitioned table. `rights`: those that do without the object's owner. */
const MAINTAINED = /*sql*/ `
  SELECT 'leaf' AS kind, ${QUALIFIED} AS name, c.relowner AS owner, c.relnamespace AS nsp,
         NULL::oid AS parent, NULL::int2[] AS keys, NULL::oid AS executes, NULL::text[] AS rights
    FROM pg_partition_tree($1::oid) AS t JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE t.relid <> $1::oid
  UNION
  SELECT 'trigger-function', t.tgfoid::regprocedure::text, p.proowner, p.pronamespace, NULL, NULL, t.tgfoid, NULL
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
   WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgtype & 1 = 1
  UNION
  SELECT 'tablespace', quote_ident(s.spcname), s.spcowner, NULL, NULL, NULL, NULL, ARRAY['CREATE']
    FROM pg_partition_tree($1::oid) AS t JOIN pg_class c ON c.oid = t.relid JOIN pg_tablespace s ON s.oid = c.reltablespace
  UNION
  SELECT 'care-table', ${QUALIFIED}, c.relowner, c.relnamespace, NULL, NULL, NULL,
         CASE c.relname WHEN 'migration' THEN ARRAY['SELECT'] ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'partway' AND c.relkind = 'r' AND c.relname IN
         ('partition_config', 'partition_leaving', 'partition_metadata', 'partition_health', 'partition_archive', 'partition_cold',
          'jobs', 'job_runs', 'migration')`;

const TOUCHED: Record<Purpose, string> = {
  migrate: /*sql*/ `SELECT o.*, NULL::text[] AS rights FROM (${OBJECTS}) AS o`,
  maintain: MAINTAINED,
};

const alteredSql = (serverVersion: number, purpose: Purpose) => {
  const lock = lockRights(serverVersion);
  const references = anyRole(
    "(has_table_privilege(r.name, q.parent, 'REFERENCES') OR NOT EXISTS (SELECT FROM unnest(q.keys) AS k(attnum) WHERE NOT has_column_privilege(r.name, q.parent, k.attnum, 'REFERENCES')))",
  );
  return /*sql*/ `
  WITH ${READ}
  SELECT q.kind, q.name, o.rolname AS owner, o.rolsuper AS "ownerIsSuperuser", ${member("q.owner")} AS member,
         q.nsp::regnamespace::name AS schema,
         q.nsp IS NULL OR ${anyRole("has_schema_privilege(r.name, q.nsp, 'USAGE')")} AS usage,
         q.nsp IS NULL OR ${anyRole("has_schema_privilege(r.name, q.nsp, 'CREATE')")} AS create,
         q.nsp IS NULL OR (has_schema_privilege(t.relowner, q.nsp, 'USAGE')
           AND has_schema_privilege(t.relowner, q.nsp, 'CREATE')) AS "tableOwnerCreates",
         array_remove(ARRAY[
           CASE WHEN q.parent IS NOT NULL AND NOT ${references} THEN 'REFERENCES' END,
           CASE WHEN q.parent IS NOT NULL AND NOT ${anyRole(`has_table_privilege(r.name, q.parent, '${lock.any}')`)}
                THEN '${lock.least}' END,
           CASE WHEN q.executes IS NOT NULL AND NOT ${anyRole("has_function_privilege(r.name, q.executes, 'EXECUTE')")}
                THEN 'EXECUTE' END], NULL)
           || ARRAY(SELECT p FROM unnest(q.rights) AS p WHERE NOT ${anyRole(`CASE q.kind
                WHEN 'tablespace' THEN has_tablespace_privilege(r.name, (SELECT s.oid FROM pg_tablespace s WHERE quote_ident(s.spcname) = q.name), p)
                ELSE has_table_privilege(r.name, q.name, p) END`)}) AS lacking
    FROM (${TOUCHED[purpose]}) AS q JOIN pg_roles o ON o.oid = q.owner JOIN pg_class t ON t.oid = $1::oid
   ORDER BY q.kind, q.name`;
};

async function powers(
  session: Session,
  oid: string,
  roles: readonly string[],
  version: number,
  purpose: Purpose,
): Promise<Powers> {
  const params = [oid, `{${roles.map((role) => JSON.stringify(role)).join(",")}}`];
  const [first] = await jsonRows(session, standing, standingSql(version), params);
  if (first === undefined) throw new Error(`relation ${oid} disappeared while its owners were read`);
  return { ...first, altered: await jsonRows(session, altered, alteredSql(version, purpose), params) };
}

/** What a migration, or maintenance, of relation `oid` alters and what `role` (null: the connected one) may do with it. */
export async function readGrantFacts(
  session: Session,
  oid: string,
  role: string | null = null,
  purpose: Purpose = "migrate",
): Promise<GrantFacts> {
  const [facts] = await jsonRows(session, frame, FRAME, [oid, role]);
  if (facts === undefined) throw new Error(`relation ${oid} disappeared while its owners were read`);
  const { serverVersion } = facts;
  const now = await powers(session, oid, facts.exists ? [facts.role] : ["public"], serverVersion, purpose);
  // What the role gets by its memberships need not be given to it once more; a superuser's powers it does not get.
  const owners = [
    { owner: facts.owner, ownerIsSuperuser: facts.ownerIsSuperuser },
    ...now.altered.filter(({ kind }) => byOwner(kind)),
  ].flatMap(({ owner, ownerIsSuperuser }) => (ownerIsSuperuser ? [] : [owner]));
  const granted = await powers(session, oid, ["public", ...new Set(owners)], serverVersion, purpose);
  return { ...facts, purpose, now, granted };
}

/** Is it altered as its owner, or does a right on it do? */
export function byOwner(kind: AlteredInfo["kind"]): boolean {
  return !["parent-table", "trigger-function", "care-table", "tablespace"].includes(kind);
}
