/** User triggers that the new table cannot have. */
import { ident } from "../../pg/quote.js";
import { type Check, dependents, nameOf, shown } from "./check.js";

export const triggers: Check = ({ table }) => [
  ...(table.attached?.triggers ?? [])
    .filter((trigger) => trigger.row && trigger.transition)
    .map((trigger) => ({
      code: "row-trigger-with-transition-table",
      what: `trigger ${trigger.name} is FOR EACH ROW and has a transition table`,
      why: "PostgreSQL does not allow it on a partitioned table (0A000).",
      remedy: `Make it FOR EACH STATEMENT, or: DROP TRIGGER ${ident(trigger.name)} ON ${nameOf(table)};  -- and look after what it did otherwise`,
    })),
  ...dependents(table, "trigger")
    .filter((trigger) => / on .+\./.test(trigger.name))
    .map((trigger) => ({
      code: "trigger",
      what: `${nameOf(table)} is read by another table's trigger ${shown(trigger)}`,
      why: "It follows the table, not its name, and a trigger cannot be replaced without being away for a moment.",
      remedy: `DROP TRIGGER ${trigger.name};  -- and create it again after the migration`,
    })),
];
