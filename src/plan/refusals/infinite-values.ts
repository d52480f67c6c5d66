/** infinity and -infinity: values that lie in no finite leaf, and have a place in a DEFAULT leaf alone. */
import { ident } from "../../pg/quote.js";
import { hasFallback } from "../fallback.js";
import { type Check, nameOf } from "./check.js";

export const infiniteValues: Check = ({ table, column, request, survey }) => {
  if (column === null || request.scheme.kind !== "range-time" || !survey.infiniteRows) return [];
  if (hasFallback(request)) return [];
  const name = ident(column.name);
  return [
    {
      code: "infinite-partition-values",
      what: `there are rows whose ${column.name} is infinite`,
      why: "No leaf with finite bounds holds them, and copying by range would skip them in silence.",
      remedy: `Give them a finite value: UPDATE ${nameOf(table)} SET ${name} = <value> WHERE ${name} IN ('infinity', '-infinity'); Or keep them in a DEFAULT leaf: --null-keys default-leaf`,
    },
  ];
};
