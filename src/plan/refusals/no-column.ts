/** A partition column that does not exist. */
import { type Check, nameOf } from "./check.js";

export const noColumn: Check = ({ table, column, request }) => {
  if (column !== null) return [];
  return [
    {
      code: "no-such-column",
      what: `${nameOf(table)} has no column ${request.scheme.column}`,
      why: "The leaves are cut by it.",
      remedy: `Choose one with --by: ${table.columns.map((c) => c.name).join(", ")}.`,
    },
  ];
};
