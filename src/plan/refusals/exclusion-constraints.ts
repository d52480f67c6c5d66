/** Exclusion constraints. */
import { ident } from "../../pg/quote.js";
import { type Check, dependents, nameOf } from "./check.js";

export const exclusionConstraints: Check = ({ table }) => {
  const names = new Set([
    ...table.indexes.flatMap((index) => (index.constraint?.kind === "x" ? [index.constraint.name] : [])),
    ...dependents(table, "exclusion-constraint").map((dependent) => dependent.name),
  ]);
  return [...names].map((name) => ({
    code: "exclusion-constraint",
    what: `${nameOf(table)} has the exclusion constraint ${name}`,
    why: "A partitioned table cannot hold it across leaves (and before PostgreSQL 17 not at all).",
    remedy: `If the application can do without it: ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${ident(name)};`,
  }));
};
