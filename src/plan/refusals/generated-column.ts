/** A generated column as partition column. */
import { ident } from "../../pg/quote.js";
import { type Check, nameOf } from "./check.js";

export const generatedColumn: Check = ({ table, column }) => {
  if (column === null || column.generated === null) return [];
  return [
    {
      code: "generated-partition-column",
      what: `column ${column.name} is generated (${column.generated})`,
      why: "PostgreSQL does not take a generated column into a partition key (42P17).",
      remedy:
        column.generated === "stored"
          ? `Make it an ordinary column that the application fills: ALTER TABLE ${nameOf(table)} ALTER COLUMN ${ident(column.name)} DROP EXPRESSION; or choose another column with --by.`
          : "Choose the column it is computed from, or another one, with --by.",
    },
  ];
};
