/** Security labels. */
import { ident } from "../../pg/quote.js";
import { type Check, dependents, nameOf, shown } from "./check.js";

export const securityLabels: Check = ({ table }) =>
  dependents(table, "security-label").map((label) => ({
    code: "security-label",
    what: `${nameOf(table)} has the security label ${shown(label)}`,
    why: "This version does not carry it; the new table would be without the protection it stands for.",
    remedy: `SECURITY LABEL FOR ${ident(label.name)} ON TABLE ${nameOf(table)} IS NULL;  -- and set it again after the migration`,
  }));
