/** What has to stand in this database for a cold leaf to be read: the wrapper, the foreign server, user mappings. */
import { z } from "zod";
import { type CareTable, shownName } from "../care/table.js";
import { jsonRows } from "../catalog/json.js";
import { PartwayError } from "../errors.js";
import { ident, literal } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";

export const LOCAL_SQL = {
  /** Roles are those that a query through the table may run as, owners of views on it among them. */
  look: /*sql*/ `
SELECT current_user AS role, pg_get_userbyid(c.relowner) AS owner, c.relrowsecurity AS "rowSecurity",
       current_setting('server_version_num')::int AS version,
       EXISTS (SELECT FROM pg_foreign_data_wrapper WHERE fdwname = 'postgres_fdw') AS "hasWrapper",
       (SELECT w.fdwname::text FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE s.srvname = $2) AS wrapper,
       coalesce((SELECT has_server_privilege(s.oid, 'USAGE') FROM pg_foreign_server s WHERE s.srvname = $2), false) AS "mayUse",
       coalesce((SELECT array_agg(m.usename::text) FROM pg_user_mappings m WHERE m.srvname = $2), '{}') AS mapped,
       (SELECT coalesce(json_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_roles r
         WHERE r.oid IN (SELECT v.relowner FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid JOIN pg_class v ON v.oid = w.ev_class
                         WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = c.oid AND v.oid <> c.oid)
            OR r.rolcanlogin AND NOT r.rolsuper AND (has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
               OR has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE'))) AS readers,
       (SELECT coalesce(json_agg(x.why), '[]') FROM (
          SELECT 'the unique index ' || i.indexrelid::regclass AS why FROM pg_index i
           WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
          UNION ALL SELECT 'the foreign key ' || k.conname FROM pg_constraint k WHERE k.contype = 'f' AND c.oid IN (k.conrelid, k.confrelid)
          UNION ALL SELECT 'the constraint trigger ' || g.tgname FROM pg_trigger g
           WHERE g.tgrelid = c.oid AND g.tgconstraint <> 0 AND NOT g.tgisinternal) AS x) AS obstacles
  FROM pg_class c WHERE c.oid = $1::oid`,
} as const;

const Look = z.object({
  role: z.string(),
  owner: z.string(),
  rowSecurity: z.boolean(),
  version: z.number(),
  hasWrapper: z.boolean(),
  /** Null: there is no such server. */
  wrapper: z.string().nullable(),
  mayUse: z.boolean(),
  mapped: z.array(z.string()),
  readers: z.array(z.string()),
  /** Why PostgreSQL takes no foreign table as a leaf here. */
  obstacles: z.array(z.string()),
});

export interface ColdWay {
  role: string;
  owner: string;
  server: string;
  how: "attached" | "beside";
  /** Why it is beside; null where it is attached. */
  why: string | null;
  /** The user mapping of this role is still to be made. */
  needsMapping: boolean;
  /** As whom else it is read: they try it before the leaf goes. */
  users: string[];
  /** What pg_has_role calls the right to become one of them. */
  become: "SET" | "MEMBER";
}

const UNTOUCHED = "Nothing was touched.";

/**
 * How the table's cold leaves can be read. `mayMap`: this role's user mapping is made from the URL. Errors: bad-input
 * with the statements that are missing, none of them with a password.
 */
export async function coldWayOf(
  session: Session,
  table: CareTable,
  given: { server: string; cold: Target | null; mayMap: boolean },
): Promise<ColdWay> {
  const { server, cold, mayMap } = given;
  const [look] = await jsonRows(session, Look, LOCAL_SQL.look, [table.oid, server]);
  if (look === undefined) throw new Error(`the relation ${table.oid} has gone`);
  const { role, owner, mapped, obstacles } = look;
  const how = obstacles.length === 0 ? "attached" : "beside";
  if (how === "beside" && look.rowSecurity)
    throw new PartwayError("bad-input", {
      what: `${shownName(table)} has row security, and its cold leaves would be read through a view of its owner, whom no policy binds`,
      state: UNTOUCHED,
      next: "Archive the leaf instead: partway archive",
    });
  const has = (name: string) => mapped.includes(name) || mapped.includes("public");
  const users = new Set([role, owner, ...(how === "attached" ? look.readers : [])]);
  const unmapped = [...users].filter((name) => !has(name) && !(mayMap && name === role));
  const statements = [
    ...(look.hasWrapper ? [] : ["CREATE EXTENSION postgres_fdw"]),
    ...(look.wrapper === null ? [serverSql(server, cold)] : []),
    ...(look.mayUse || look.wrapper === null
      ? []
      : [`GRANT USAGE ON FOREIGN SERVER ${ident(server)} TO ${ident(role)}`]),
    ...(look.wrapper === null && owner !== role
      ? [`GRANT USAGE ON FOREIGN SERVER ${ident(server)} TO ${ident(role)}`]
      : []),
    ...unmapped.map(
      (name) =>
        `CREATE USER MAPPING FOR ${ident(name)} SERVER ${ident(server)} OPTIONS (user ${literal(cold?.user ?? "...")}, password '...')`,
    ),
  ];
  if (look.wrapper !== null && look.wrapper !== "postgres_fdw")
    throw refused(
      `the foreign server ${server} is of ${look.wrapper}, not of postgres_fdw`,
      "Name another one: --server <name>.",
    );
  if (statements.length > 0)
    throw refused(
      `a cold leaf of ${shownName(table)} could not be read here: ${whatIsMissing(look, server, unmapped)}`,
      `As a role that may, then the same command again: ${statements.join("; ")};`,
    );
  const why =
    how === "attached" ? null : `PostgreSQL attaches no foreign table beside ${obstacles.join(", ")}`;
  const others = [...users].filter((name) => name !== role);
  return {
    ...{ role, owner, server, how, why, needsMapping: !has(role), users: others },
    become: look.version >= 160_000 ? "SET" : "MEMBER",
  };
}

function whatIsMissing(look: z.output<typeof Look>, server: string, unmapped: readonly string[]): string {
  if (!look.hasWrapper) return "the extension postgres_fdw is not there";
  if (look.wrapper === null) return `there is no foreign server ${server}`;
  if (!look.mayUse) return `${look.role} may not use the foreign server ${server}`;
  return `${unmapped.join(", ")} ${unmapped.length === 1 ? "has" : "have"} no user mapping for ${server}`;
}

function serverSql(server: string, cold: Target | null): string {
  const options =
    cold === null
      ? "host '...', port '...', dbname '...'"
      : `host ${literal(cold.host)}, port ${literal(String(cold.port))}, dbname ${literal(cold.database)}`;
  return `CREATE SERVER ${ident(server)} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (${options})`;
}

function refused(what: string, next: string): PartwayError {
  return new PartwayError("bad-input", { what, state: UNTOUCHED, next });
}

/** The role's own mapping, from the URL. The statement is never part of a message. */
export async function makeMapping(session: Session, { role, server }: ColdWay, cold: Target): Promise<void> {
  const password = cold.password === null ? "" : `, password ${literal(cold.password.reveal())}`;
  await session.query(
    `CREATE USER MAPPING FOR ${ident(role)} SERVER ${ident(server)} OPTIONS (user ${literal(cold.user)}${password})`,
  );
}
