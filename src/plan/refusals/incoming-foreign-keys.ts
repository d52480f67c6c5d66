/** Foreign keys of other tables that point here. */
import { type Check, dependents, nameOf, shown } from "./check.js";

export const incomingForeignKeys: Check = ({ table }) =>
  dependents(table, "incoming-foreign-key").map((key) => {
    // The catalog names it `constraint on schema.table`, quoted already.
    const [, constraint, owner] = /^(.+) on (.+)$/.exec(key.name) ?? [null, key.name, "<that table>"];
    return {
      code: "incoming-foreign-key",
      what: `another table's foreign key points at ${nameOf(table)}: ${shown(key)}`,
      why: "After the migration the key alone is not unique any more, so nothing can reference it; the constraint would stay with the old table.",
      remedy: `ALTER TABLE ${owner} DROP CONSTRAINT ${constraint};  -- afterwards it can reference the key together with the partition column`,
    };
  });
