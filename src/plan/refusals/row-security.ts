/** Row-level security that holds for Partway itself. */
import { ident } from "../../pg/quote.js";
import { type Check, nameOf } from "./check.js";

export const rowSecurity: Check = ({ table }) => {
  const { superuser, bypassRowSecurity, role } = table.rights;
  if (!table.rowSecurity || !table.forceRowSecurity || superuser || bypassRowSecurity === true) return [];
  return [
    {
      code: "forced-row-security",
      what: `row-level security of ${nameOf(table)} is forced on its owner, and ${role} may not bypass it`,
      why: "A copy under policies would leave out rows in silence; Partway reads with row_security off, which is then an error.",
      remedy: `ALTER ROLE ${ident(role)} BYPASSRLS;  -- or, for the time of the migration: ALTER TABLE ${nameOf(table)} NO FORCE ROW LEVEL SECURITY;`,
    },
  ];
};
