/** Whatever else hangs on the table: what is not understood is not migrated. */
import { type Check, dependents, nameOf, shown } from "./check.js";

/** A NOT NULL constraint that is NOT VALID (PostgreSQL 18), as the catalog names it. */
const NOT_NULL = "not-null constraint ";

export const otherDependents: Check = ({ table }) =>
  dependents(table, "other").map((dependent) => ({
    code: "other-dependent",
    what: `${shown(dependent)} depends on ${nameOf(table)}`,
    why: "Partway does not know this kind of object and so cannot carry it; it would stay with the old table.",
    remedy: dependent.name.startsWith(NOT_NULL)
      ? `ALTER TABLE ${nameOf(table)} VALIDATE CONSTRAINT ${dependent.name.slice(NOT_NULL.length)};`
      : `Drop ${dependent.name} and create it again after the migration.`,
  }));
