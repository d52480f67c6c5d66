/** Tables in an inheritance tree. */
import { type Check, dependents, nameOf, shown } from "./check.js";

export const inheritance: Check = ({ table }) => [
  ...dependents(table, "inheritance-child").map((child) => ({
    code: "inheritance-child",
    what: `table ${shown(child)} inherits from ${nameOf(table)}`,
    why: "A partitioned table cannot have inheritance children, and reading the source would read their rows too.",
    remedy: `ALTER TABLE ${child.name} NO INHERIT ${nameOf(table)};`,
  })),
  ...dependents(table, "inheritance-parent").map((parent) => ({
    code: "inheritance-parent",
    what: `${nameOf(table)} inherits from ${shown(parent)}`,
    why: "A partitioned table cannot inherit.",
    remedy: parent.detail.includes("is its partition")
      ? `ALTER TABLE ${parent.name} DETACH PARTITION ${nameOf(table)};`
      : `ALTER TABLE ${nameOf(table)} NO INHERIT ${parent.name};`,
  })),
];
