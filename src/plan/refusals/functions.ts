/** Functions that depend on the table's row type. */
import { type Check, dependents, nameOf, shown } from "./check.js";

export const functions: Check = ({ table }) =>
  dependents(table, "function").map((routine) => ({
    code: "function",
    what: `function ${shown(routine)} depends on the row type of ${nameOf(table)}`,
    why: "It follows the old table's type, not the name: after cutover it would not accept rows of the new table.",
    remedy: `Drop it, DROP FUNCTION ${routine.name};  -- and create it again after the migration`,
  }));
