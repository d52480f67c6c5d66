/** Row-level security. */
import { type Check, dependents, nameOf, placed } from "./check.js";

export const rowSecurity: Check = ({ table }) => {
  const policies = dependents(table, "policy");
  if (!table.rowSecurity && !table.forceRowSecurity && policies.length === 0) return [];
  const off = [
    ...policies.map((policy) => `DROP POLICY ${placed(policy, table)};`),
    ...(table.rowSecurity ? [`ALTER TABLE ${nameOf(table)} DISABLE ROW LEVEL SECURITY;`] : []),
    ...(table.forceRowSecurity ? [`ALTER TABLE ${nameOf(table)} NO FORCE ROW LEVEL SECURITY;`] : []),
  ];
  return [
    {
      code: "row-security",
      what: `${nameOf(table)} has, or is read by, row-level security${policies.length === 0 ? "" : ` (${policies.map((p) => p.name).join(", ")})`}`,
      why: "This version does not carry policies; the new table would show every row to everyone who may read it.",
      remedy: `${off.join(" ")}  -- and set it up again on the new table`,
    },
  ];
};
