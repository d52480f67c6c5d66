/** Tables that belong to an extension. */
import { ident } from "../../pg/quote.js";
import { type Check, dependents, nameOf } from "./check.js";

export const extensionMembership: Check = ({ table }) =>
  dependents(table, "extension").map((extension) => ({
    code: "extension-member",
    what: `${nameOf(table)} belongs to extension ${extension.name}`,
    why: "The extension's own scripts expect the table as they made it, and dropping the extension drops it.",
    remedy: `ALTER EXTENSION ${ident(extension.name)} DROP TABLE ${nameOf(table)};`,
  }));
