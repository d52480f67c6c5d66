/** CHECK constraints that a partitioned copy cannot have as they are. */
import { ident } from "../../pg/quote.js";
import type { Refusal } from "../types.js";
import { type Check, nameOf } from "./check.js";

export const checks: Check = ({ table }) =>
  table.checks.flatMap((check) => {
    const name = ident(check.name);
    const found: Refusal[] = [];
    if (check.definition.endsWith(" NOT ENFORCED"))
      found.push({
        code: "check-not-enforced",
        what: `CHECK constraint ${check.name} is NOT ENFORCED`,
        why: "This version does not carry constraints that are not enforced.",
        remedy: `ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${name};`,
      });
    if (check.noInherit)
      found.push({
        code: "check-no-inherit",
        what: `CHECK constraint ${check.name} is NO INHERIT`,
        why: "PostgreSQL does not allow it on a partitioned table (42P16).",
        remedy: `ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} ${check.definition.replace(/ NO INHERIT$/, "").replace(/ NOT VALID$/, "")};`,
      });
    if (/\.\*/.test(check.definition.replaceAll(/'(?:[^']|'')*'/g, "")))
      found.push({
        code: "check-whole-row",
        what: `CHECK constraint ${check.name} refers to the whole row`,
        why: "CREATE TABLE ... LIKE cannot copy it (0A000: cannot convert whole-row table reference).",
        remedy: `Write it with the columns it means: ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} CHECK (<columns>);`,
      });
    return found;
  });
