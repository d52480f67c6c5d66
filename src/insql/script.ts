/** The whole of `partway install-sql`, as statements of one transaction: what --print shows is what is run. */
import { CARE_SQL } from "../care/store.js";
import { literal } from "../pg/quote.js";
import { STORE_SQL } from "../sync/store.js";
import { ARITHMETIC } from "./arithmetic.js";
import { CHANGES } from "./changes.js";
import { commentSql, createSql, isInner, MARK, type SqlFunction, signature } from "./function.js";
import { REPORTS } from "./reports.js";
import { TABLES } from "./table.js";
import { TASKS } from "./tasks.js";

/** In an order in which PostgreSQL, which reads the bodies in SQL, finds what they call. */
export function functionsOf(version: string): SqlFunction[] {
  const versionOf: SqlFunction = {
    name: "partway_version",
    args: "",
    returns: "text",
    volatility: "IMMUTABLE",
    language: "sql",
    about: "the version of Partway that these functions are of",
    body: `SELECT ${literal(version)}`,
  };
  return [versionOf, ...ARITHMETIC, ...TABLES, ...CHANGES, ...TASKS, ...REPORTS];
}

/** What people call, without the inner ones. */
export function publicFunctions(version: string): SqlFunction[] {
  return functionsOf(version).filter((one) => !isInner(one));
}

const STORE = /*sql*/ `DO $store$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('partway'), 0);
  IF to_regnamespace('partway') IS NULL THEN
    ${STORE_SQL.makeSchema.replaceAll(";", ";\n   ")};
  END IF;
  IF to_regclass('partway.partition_config') IS NULL THEN
    ${CARE_SQL.make.trim()};
  END IF;
END
$store$`;

/** Every function of ours, by its comment. */
const OURS = /*sql*/ `
SELECT p.oid, p.oid::regprocedure::text AS signature, p.proname::text AS name, pg_get_function_arguments(p.oid) AS args,
       pg_get_function_result(p.oid) AS returns, p.proacl AS acl
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_description d ON d.objoid = p.oid
   AND d.classoid = 'pg_proc'::regclass
 WHERE n.nspname = 'partway' AND d.description LIKE '${MARK}%'`;

/**
 * CREATE OR REPLACE changes neither a result nor the names of arguments: such a function goes first, and so does one
 * that is no more. Rights that were given on it are noted, and given again.
 */
function dropChanged(functions: readonly SqlFunction[]): string {
  const rows = functions.map(
    ({ name, args, returns }) => `(${literal(name)}, ${literal(args)}, ${literal(returns)})`,
  );
  return /*sql*/ `DO $drop$
DECLARE
  one record;
BEGIN
  PERFORM set_config('partway.granted', (
    SELECT coalesce(json_agg(json_build_object('signature', o.signature, 'grantee', a.grantee)), '[]')::text
      FROM (${OURS}) AS o, aclexplode(o.acl) AS a WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> 0), true);
  FOR one IN SELECT o.signature FROM (${OURS}) AS o
              WHERE NOT EXISTS (SELECT FROM (VALUES ${rows.join(",\n    ")}) AS v(name, args, returns)
                                 WHERE (v.name, v.args, v.returns) = (o.name, o.args, o.returns)) LOOP
    EXECUTE 'DROP FUNCTION ' || one.signature;
  END LOOP;
END
$drop$`;
}

const GRANT_AGAIN = /*sql*/ `DO $grant$
DECLARE
  one record;
BEGIN
  FOR one IN SELECT g.signature, r.rolname
               FROM json_to_recordset(current_setting('partway.granted')::json) AS g(signature text, grantee oid)
               JOIN pg_roles r ON r.oid = g.grantee
              WHERE to_regprocedure(g.signature) IS NOT NULL LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', one.signature, one.rolname);
  END LOOP;
END
$grant$`;

/** In order. Needs CREATE on schema partway, or on the database where that is not there yet. */
export function installStatements(version: string): string[] {
  const functions = functionsOf(version);
  return [
    STORE,
    dropChanged(functions),
    ...functions.flatMap((one) => [
      createSql(one),
      commentSql(one, version),
      `REVOKE ALL ON FUNCTION ${signature(one)} FROM PUBLIC`,
    ]),
    GRANT_AGAIN,
  ];
}

/** For psql: the same statements, in their transaction. */
export function installScript(version: string): string {
  const head = [
    `-- Partway ${version}: functions in schema partway for the care of partitioned tables. README: In the database.`,
    "-- Run by the owner of the tables: psql -X -v ON_ERROR_STOP=1 -f partway.sql",
  ];
  const statements = [
    "BEGIN",
    "SET LOCAL search_path = pg_catalog, pg_temp",
    ...installStatements(version),
    "COMMIT",
  ];
  return `${head.join("\n")}\n${statements.map((one) => `${one};`).join("\n\n")}\n`;
}

export const SCRIPT_SQL = {
  ours: /*sql*/ `SELECT o.signature FROM (${OURS}) AS o ORDER BY 1`,
  version: /*sql*/ `
SELECT substring(d.description FROM '^${MARK}([^:]+):') AS version
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass
 WHERE n.nspname = 'partway' AND p.proname = 'partway_version' AND d.description LIKE '${MARK}%'`,
} as const;
