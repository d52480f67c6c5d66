/** Foreign keys that point here: what becomes of them is asked, never assumed. */
import { ident } from "../../pg/quote.js";
import { ROOT_NOT_VALID } from "../carry.js";
import type { Refusal } from "../types.js";
import { type Check, nameOf } from "./check.js";

export const incomingForeignKeys: Check = ({ table, request, column, key }) =>
  (table.attached?.incomingKeys ?? []).flatMap((incoming): Refusal[] => {
    const { name, child, definition, columns, self, childKind } = incoming;
    const shown = `${name} on ${child} (${definition})`;
    const choice = request.incomingFk ?? "refuse";
    if (choice === "drop") return [];
    const drop = `ALTER TABLE ${child} DROP CONSTRAINT ${ident(name)};  -- or --incoming-fk drop: given up at cutover, and a rollback brings it back`;
    if (choice === "refuse")
      return [
        {
          code: "incoming-foreign-key",
          what: `${self ? "its own" : "another table's"} foreign key points at ${nameOf(table)}: ${shown}`,
          why: "A constraint follows the old table, and after the migration only keys that hold the partition column are unique.",
          remedy: `${drop}; or --incoming-fk repoint, where the referenced columns stay unique`,
        },
      ];
    const problem = self
      ? "It is the table's own: it would have to be on every leaf."
      : childKind === "p" && table.serverVersion < ROOT_NOT_VALID
        ? `${child} is partitioned, and before PostgreSQL 18 the new constraint would be checked inside the lock.`
        : staysUnique(columns)
          ? null
          : `(${columns.join(", ")}) is not unique on the new table: unique there are only keys that hold ${column?.name ?? "the partition column"}.`;
    if (problem === null) return [];
    return [
      {
        code: "incoming-foreign-key-cannot-move",
        what: `the foreign key ${shown} cannot be pointed at the new table`,
        why: problem,
        remedy: drop,
      },
    ];

    /** A unique index of exactly these columns that is carried as it is or, being the key, holds the partition column. */
    function staysUnique(wanted: readonly string[]): boolean {
      const set = [...wanted].sort().join("\0");
      return table.indexes.some((index) => {
        if (!index.unique || index.partial || index.columns.includes(null)) return false;
        const names = index.columns.filter((one) => one !== null);
        const extended = index.primary || index.name === key?.name;
        const now =
          extended && column !== null && !names.includes(column.name) ? [...names, column.name] : names;
        return now.toSorted().join("\0") === set;
      });
    }
  });
