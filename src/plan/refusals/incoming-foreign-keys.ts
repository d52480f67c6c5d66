/** Foreign keys of other tables that point here. */
import { parseTableName } from "../../config/table-name.js";
import { type Check, dependents, nameOf, shown } from "./check.js";

/** The catalog names it `constraint on schema.table`, quoted already. */
const PLACED = /^(.+) on (.+)$/;

export const incomingForeignKeys: Check = ({ table }) =>
  dependents(table, "incoming-foreign-key").flatMap((key) => {
    const [, constraint, owner] = PLACED.exec(key.name) ?? [];
    const { schema, name } = parseTableName(owner ?? key.name);
    // One from the table to itself is refused as outgoing, and one statement mends it.
    if (schema === table.schema && name === table.name) return [];
    return {
      code: "incoming-foreign-key",
      what: `another table's foreign key points at ${nameOf(table)}: ${shown(key)}`,
      why: "After the migration the key alone is not unique any more, so nothing can reference it; the constraint would stay with the old table.",
      remedy: `ALTER TABLE ${owner} DROP CONSTRAINT ${constraint};  -- afterwards it can reference the key together with the partition column`,
    };
  });
