/** What a new leaf takes from the newest one: LIKE copies the parent's columns, and nothing of this. */
import { z } from "zod";
import { readColumnGrants, readDefaultGrantees, readRelationGrants } from "../catalog/grants.js";
import { jsonRows } from "../catalog/json.js";
import type { GrantInfo } from "../catalog/types.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { optionList } from "../plan/indexes.js";
import type { CareLeaf, CareTable } from "./table.js";

const TEMPLATE = /*sql*/ `
  SELECT n.nspname AS schema, pg_get_userbyid(c.relowner) AS owner, current_user AS role,
         coalesce(c.reloptions, '{}') AS options, coalesce(toast.reloptions, '{}') AS "toastOptions",
         ts.spcname AS tablespace, am.amname AS method, c.relpersistence = 'u' AS unlogged,
         c.relreplident AS identity, c.relrowsecurity AS "rowSecurity", c.relforcerowsecurity AS "forceRowSecurity",
         (SELECT coalesce(json_agg(json_build_object('column', a.attname, 'target', a.attstattarget) ORDER BY a.attnum), '[]')
            FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0) AS targets
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
    LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
    LEFT JOIN pg_am am ON am.oid = c.relam
   WHERE c.oid = $1::oid`;

const Row = z.object({
  schema: z.string(),
  owner: z.string(),
  role: z.string(),
  options: z.array(z.string()),
  toastOptions: z.array(z.string()),
  tablespace: z.string().nullable(),
  method: z.string().nullable(),
  unlogged: z.boolean(),
  identity: z.enum(["d", "n", "f", "i"]),
  rowSecurity: z.boolean(),
  forceRowSecurity: z.boolean(),
  targets: z.array(z.object({ column: z.string(), target: z.number() })),
});

export interface Template extends z.output<typeof Row> {
  /** Null: there is no leaf yet, and this is the partitioned table itself. */
  leaf: string | null;
  grants: GrantInfo[];
  columnGrants: GrantInfo[];
  /** Whom ALTER DEFAULT PRIVILEGES would let in. */
  defaultGrantees: (string | null)[];
}

/** The newest leaf as a template; for a table without leaves its owner and schema, and rights for nobody else. */
export async function readTemplate(session: Session, table: CareTable): Promise<Template> {
  const newest = table.leaves.findLast(isModel);
  const oid = newest?.oid ?? table.oid;
  const [row] = await jsonRows(session, Row, TEMPLATE, [oid]);
  if (row === undefined) throw new Error(`the relation ${oid} has gone`);
  const defaultGrantees = await readDefaultGrantees(session, oid);
  if (newest === undefined)
    return { ...row, leaf: null, method: null, grants: [], columnGrants: [], defaultGrantees };
  return {
    ...row,
    leaf: newest.oid,
    grants: await readRelationGrants(session, oid),
    columnGrants: await readColumnGrants(session, oid),
    defaultGrantees,
  };
}

function isModel({ kind, bound, pending }: CareLeaf): boolean {
  return kind === "table" && bound.kind === "range" && !pending;
}

/**
 * The statements that make a table of its own, like the parent and like the newest leaf, with a CHECK that says its
 * bound, so that ATTACH need not read it. Indexes, too: rows that come over from DEFAULT go through them once.
 */
export function standaloneDdl(
  template: Template,
  parent: string,
  name: string,
  check: { name: string; expression: string },
): string[] {
  const table = qualified(template.schema, name);
  const like = ["DEFAULTS", "CONSTRAINTS", "GENERATED", "STORAGE", "COMPRESSION", "INDEXES"];
  const options = [optionList(template.options), optionList(template.toastOptions, '"toast".')].filter(
    Boolean,
  );
  const create = [
    `CREATE ${template.unlogged ? "UNLOGGED " : ""}TABLE ${table} (LIKE ${parent}`,
    ...like.map((what) => `INCLUDING ${what}`),
    `, CONSTRAINT ${ident(check.name)} CHECK (${check.expression}))`,
    ...(template.method === null ? [] : [`USING ${ident(template.method)}`]),
    ...(options.length === 0 ? [] : [`WITH (${options.join(", ")})`]),
    ...(template.tablespace === null ? [] : [`TABLESPACE ${ident(template.tablespace)}`]),
  ].join(" ");
  return [
    create,
    ...template.targets.map(
      ({ column, target }) => `ALTER TABLE ${table} ALTER COLUMN ${ident(column)} SET STATISTICS ${target}`,
    ),
    ...(template.identity === "f" ? [`ALTER TABLE ${table} REPLICA IDENTITY FULL`] : []),
    ...(template.identity === "n" ? [`ALTER TABLE ${table} REPLICA IDENTITY NOTHING`] : []),
    ...(template.rowSecurity ? [`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`] : []),
    ...(template.forceRowSecurity ? [`ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`] : []),
    ...rights(template, table),
  ];
}

/** Null: everybody. */
export function granteeSql(name: string | null): string {
  return name === null ? "PUBLIC" : ident(name);
}

function rights({ owner, role, grants, columnGrants, defaultGrantees }: Template, table: string): string[] {
  const others = defaultGrantees.filter((name) => name !== owner);
  const given = [...grants, ...columnGrants].filter(({ grantee }) => grantee !== owner);
  return [
    ...(owner === role ? [] : [`ALTER TABLE ${table} OWNER TO ${ident(owner)}`]),
    ...(others.length === 0
      ? []
      : [`REVOKE ALL ON TABLE ${table} FROM ${others.map(granteeSql).join(", ")}`]),
    ...given.map(
      ({ privilege, column, grantee, grantable }) =>
        `GRANT ${privilege}${column === null ? "" : ` (${ident(column)})`} ON TABLE ${table} TO ${granteeSql(grantee)}${grantable ? " WITH GRANT OPTION" : ""}`,
    ),
  ];
}
