/** Functions with a body that the server has parsed (BEGIN ATOMIC) and that reads the table. */
import { type Check, dependents, nameOf, shown } from "./check.js";

export const functions: Check = ({ table }) =>
  dependents(table, "function").map((routine) => ({
    code: "function",
    what: `function ${shown(routine)} depends on ${nameOf(table)}`,
    why: "It follows the table, not its name: after cutover it would go on reading the old one.",
    remedy: `Drop it, DROP FUNCTION ${routine.name};  -- and create it again after the migration`,
  }));
