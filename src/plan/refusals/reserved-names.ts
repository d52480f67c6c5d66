/** Columns called like the change log's own. */
import { ident } from "../../pg/quote.js";
import { type Check, nameOf } from "./check.js";

const RESERVED: readonly string[] = ["partway_seq", "partway_op"];

export const reservedNames: Check = ({ table }) =>
  table.columns
    .filter((column) => RESERVED.includes(column.name))
    .map((column) => ({
      code: "reserved-column-name",
      what: `a column is called ${column.name}`,
      why: "Partway's change log has a column of that name beside the key columns.",
      remedy: `ALTER TABLE ${nameOf(table)} RENAME COLUMN ${ident(column.name)} TO ${ident(`${column.name}_`)};`,
    }));
