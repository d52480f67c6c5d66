/** Foreign keys of the table. */
import { ident } from "../../pg/quote.js";
import { type Check, dependents, nameOf, shown } from "./check.js";

export const foreignKeys: Check = ({ table }) =>
  dependents(table, "outgoing-foreign-key").map((key) => ({
    code: "outgoing-foreign-key",
    what: `${nameOf(table)} has the foreign key ${shown(key)}`,
    why: "This version does not carry foreign keys; the new table would accept rows without a parent.",
    remedy: `ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${ident(key.name)};  -- and add it again after the migration`,
  }));
