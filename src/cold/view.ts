/** What the application reads of a cold leaf: a foreign table, and beside a unique index the view of all of them. */
import { z } from "zod";
import { type CareTable, shownName } from "../care/table.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { PartwayError } from "../errors.js";
import { ident, identList, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { optionList } from "../plan/indexes.js";
import { shorten } from "../plan/names.js";
import { giveRights, rightsOf } from "./rights.js";
import { columnSql, computedSql } from "./twin.js";

const MARK = "partway: the table and its cold leaves";

export const VIEW_SQL = {
  there: /*sql*/ `
SELECT c.relkind::text AS kind, coalesce(obj_description(c.oid, 'pg_class'), '') AS mark
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
  options: /*sql*/ `SELECT unnest(reloptions) AS option FROM pg_class WHERE oid = $1::regclass`,
} as const;

const Option = z.object({ option: z.string() });
const There = z.object({ kind: z.string(), mark: z.string() });

export function viewOf({ schema, name }: Pick<CareTable, "schema" | "name">): string {
  return qualified(schema, shorten(`${name}_with_cold`, 63));
}

/** Whether the view is there already. Errors: `refused` where something else has its name. */
export async function isViewThere(session: Session, table: CareTable): Promise<boolean> {
  const name = shorten(`${table.name}_with_cold`, 63);
  const there = await session.maybe(There, VIEW_SQL.there, [table.schema, name]);
  if (there === null) return false;
  if (there.kind === "v" && there.mark === MARK) return true;
  throw new PartwayError("bad-input", {
    what: `there is a ${viewOf(table)} already, and it is not the view of the table and its cold leaves`,
    state: "Nothing was touched.",
    next: "Rename or drop it, then the same command again.",
  });
}

export interface ForeignTable {
  schema: string;
  name: string;
  server: string;
  /** On the cold server. */
  twin: { schema: string; name: string };
  columns: readonly ColumnInfo[];
  /** `CONSTRAINT name CHECK (...)`, each. */
  checks: readonly string[];
  how: "attached" | "beside";
}

/**
 * Attached, a leaf must take an UPDATE or DELETE that names no leaf, or PostgreSQL refuses the whole statement, and its
 * generated columns must be generated; beside, nobody writes into it.
 */
export function foreignSql({ schema, name, server, twin, columns, checks, how }: ForeignTable): string {
  const column = (one: ColumnInfo) => {
    if (one.generated === null || how === "beside") return columnSql(one);
    return computedSql(one);
  };
  const lines = [...columns.map(column), ...checks];
  const writes = how === "beside" ? ", updatable 'false'" : "";
  return `CREATE FOREIGN TABLE ${qualified(schema, name)} (${lines.join(", ")}) SERVER ${ident(server)}
    OPTIONS (schema_name ${literal(twin.schema)}, table_name ${literal(twin.name)}, fetch_size '10000', truncatable 'false'${writes})`;
}

/** Makes the view anew; a first time for the table's owner, with the table's SELECT grants. A column that came after a leaf had gone is NULL there. */
export async function makeView(
  session: Session,
  table: CareTable,
  foreign: readonly { oid: string; schema: string; name: string }[],
  made: { role: string; owner: string; isThere: boolean },
): Promise<void> {
  const columns = await readColumns(session, table.oid);
  const parts = [`SELECT ${identList(columns.map(({ name }) => name))} FROM ${shownName(table)}`];
  for (const { oid, schema, name } of foreign) {
    const there = new Set((await readColumns(session, oid)).map((column) => column.name));
    const shown = columns.map((column) =>
      there.has(column.name) ? ident(column.name) : `NULL::${column.type} AS ${ident(column.name)}`,
    );
    parts.push(`SELECT ${shown.join(", ")} FROM ${qualified(schema, name)}`);
  }
  const view = viewOf(table);
  // What somebody has set on it, security_invoker for example, a replacement would take away.
  const options = made.isThere
    ? (await session.rows(Option, VIEW_SQL.options, [view])).map(({ option }) => option)
    : [];
  const kept = options.length === 0 ? "" : ` WITH (${optionList(options)})`;
  await session.query(`CREATE OR REPLACE VIEW ${view}${kept} AS ${parts.join(" UNION ALL ")}`);
  if (made.isThere) return;
  await session.query(`COMMENT ON VIEW ${view} IS ${literal(MARK)}`);
  await giveRights(session, view, await rightsOf(session, table.oid), { owner: made.owner, may: ["SELECT"] });
  if (made.owner !== made.role) await session.query(`ALTER VIEW ${view} OWNER TO ${ident(made.owner)}`);
}
