/** Rights the connected role lacks on what is altered beside the table, and for what the table's owner must have. */
import { type Grant, grantsFor } from "../grants.js";
import type { Refusal } from "../types.js";
import type { Check } from "./check.js";

const FOREIGN: readonly Grant["code"][] = [
  "role-noinherit",
  "foreign-owner",
  "no-right-on-foreign",
  "no-right-in-foreign-schema",
];

export const foreignOwners: Check = ({ table }) => {
  if (table.grantFacts === undefined) return [];
  const { ownsTable, createInSchema } = table.rights;
  // rights.ts names these where the role itself lacks them. What it does not see: a membership without SET, with which
  // nothing can be given to the owner; an owner without CREATE, to whom nothing can be given.
  const unseen = (code: Grant["code"]) =>
    (code === "not-owner" && ownsTable) || (code === "no-create-in-schema" && createInSchema);
  return grantsFor(table.grantFacts)
    .filter(({ code, missing }) => missing && (FOREIGN.includes(code) || unseen(code)))
    .map(refusalOf);
};

function refusalOf({ code, what, why, sql, or }: Grant): Refusal {
  return { code, what, why, remedy: or === undefined ? sql : `${sql}  -- or: ${or}` };
}
