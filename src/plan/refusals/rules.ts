/** Rewrite rules. */
import { type Check, dependents, nameOf, placed } from "./check.js";

export const rules: Check = ({ table }) =>
  dependents(table, "rule").map((rule) => ({
    code: "rule",
    what: `${nameOf(table)} has or is read by the rule ${rule.name}`,
    why: "A rule rewrites statements before they reach the table, so changes could pass the change log by.",
    remedy: `DROP RULE ${placed(rule, table)};`,
  }));
