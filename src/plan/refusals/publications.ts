/** Publications that contain the table, or would contain the shadow. */
import type { DependentInfo, TableInfo } from "../../catalog/types.js";
import { ident } from "../../pg/quote.js";
import { type Check, dependents, nameOf, shown } from "./check.js";

export const publications: Check = ({ table }) =>
  dependents(table, "publication").map((publication) => ({
    code: "publication",
    what: `publication ${shown(publication)} publishes ${nameOf(table)}`,
    why: "It follows the old table; one for all tables or for the schema also publishes the shadow while it is filled, and subscribers stop on an unknown relation.",
    remedy: leave(publication, table),
  }));

/** The details are those of catalog/dependents.ts: `for the table`, `for all tables`, `for tables in schema "s"`. */
function leave({ name, detail }: DependentInfo, table: TableInfo): string {
  const publication = ident(name);
  const schema = /^for tables in schema (.+)$/.exec(detail)?.[1];
  if (schema !== undefined)
    return `ALTER PUBLICATION ${publication} DROP TABLES IN SCHEMA ${schema};  -- and add the other tables by name`;
  if (detail === "for all tables")
    return `DROP PUBLICATION ${publication};  -- and create it again with a list of tables, without ${nameOf(table)}`;
  return `ALTER PUBLICATION ${publication} DROP TABLE ${nameOf(table)};`;
}
