/** Rows without a partition value: refused beside a DEFAULT leaf too (ARCHITECTURE.md, NULL partition keys). */
import { ident } from "../../pg/quote.js";
import { hasFallback } from "../fallback.js";
import { type Check, nameOf } from "./check.js";

export const nullValues: Check = ({ table, column, request, survey }) => {
  if (column === null || !survey.nullRows) return [];
  const name = ident(column.name);
  const rest = hasFallback(request);
  return [
    {
      code: "null-partition-values",
      what: `there are rows whose ${column.name} is NULL`,
      why: rest
        ? "A DEFAULT leaf could hold NULL, but the new primary key contains the partition column, and a primary key cannot hold NULL; (key, partition column) is also what tells rows apart while they are copied and followed."
        : "A range leaf cannot hold NULL, and the new key (key columns and partition column) must be NOT NULL.",
      remedy: `Fill them${rest && request.scheme.kind === "range-time" ? " ('infinity' goes into the DEFAULT leaf)" : ""}, then forbid it: UPDATE ${nameOf(table)} SET ${name} = <value> WHERE ${name} IS NULL; ALTER TABLE ${nameOf(table)} ALTER COLUMN ${name} SET NOT NULL;`,
    },
  ];
};
