/** Rows without a partition value. */
import { ident } from "../../pg/quote.js";
import { type Check, nameOf } from "./check.js";

export const nullValues: Check = ({ table, column, survey }) => {
  if (column === null || !survey.nullRows) return [];
  const name = ident(column.name);
  return [
    {
      code: "null-partition-values",
      what: `there are rows whose ${column.name} is NULL`,
      why: "A range leaf cannot hold NULL, and the new key (key columns and partition column) must be NOT NULL.",
      remedy: `Fill them, then forbid it: UPDATE ${nameOf(table)} SET ${name} = <value> WHERE ${name} IS NULL; ALTER TABLE ${nameOf(table)} ALTER COLUMN ${name} SET NOT NULL;`,
    },
  ];
};
