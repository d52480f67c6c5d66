/** User triggers. */
import { type Check, dependents, nameOf, placed, shown } from "./check.js";

export const triggers: Check = ({ table }) =>
  dependents(table, "trigger").map((trigger) => ({
    code: "trigger",
    what: `${nameOf(table)} has or is read by the trigger ${shown(trigger)}`,
    why: "This version does not carry triggers; after cutover it would no longer fire.",
    remedy: `DROP TRIGGER ${placed(trigger, table)};  -- and create it again after the migration`,
  }));
