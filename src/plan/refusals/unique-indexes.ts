/** A unique index other than the key that does not hold the partition column. */
import { ident, qualified } from "../../pg/quote.js";
import { keyFaults } from "../key.js";
import { type Check, nameOf } from "./check.js";

export const uniqueIndexes: Check = ({ table, column, key }) => {
  if (column === null || key === null) return [];
  return table.indexes
    .filter(
      (index) => index.unique && index.name !== key.name && !index.primary && index.constraint?.kind !== "x",
    )
    .filter((index) => !index.columns.includes(column.name))
    .map((index) => {
      const drop =
        index.constraint === null
          ? `DROP INDEX CONCURRENTLY ${qualified(table.schema, index.name)};`
          : `ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${ident(index.constraint.name)};`;
      const extend =
        keyFaults(table, index).length === 0
          ? ` Or take it as the key, --key ${index.name}: it is then extended by ${column.name}, as the primary key is.`
          : "";
      return {
        code: "unique-without-partition-key",
        what: `unique index ${index.name} does not contain ${column.name}`,
        why: "On a partitioned table a unique index must contain the partition column, so this guarantee cannot be kept.",
        remedy: `If the application can do without it: ${drop}${extend}`,
      };
    });
};
