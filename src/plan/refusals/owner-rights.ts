/** An owner who took rights from himself: the shadow gets the same rights, and the copy could not write to it. */
import { ident } from "../../pg/quote.js";
import { type Check, nameOf } from "./check.js";

const NEEDED = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"];

export const ownerRights: Check = ({ table }) => {
  if (table.grants === null || table.rights.superuser) return [];
  const own = new Set(table.grants.filter((g) => g.grantee === table.owner).map((g) => g.privilege));
  const lacking = NEEDED.filter((privilege) => !own.has(privilege));
  if (lacking.length === 0) return [];
  return [
    {
      code: "owner-without-rights",
      what: `the owner ${table.owner} has no right to ${lacking.join(", ")} on its own table ${nameOf(table)}`,
      why: "Partway works with the owner's rights, and both sides have the same rights.",
      remedy: `GRANT ${lacking.join(", ")} ON ${nameOf(table)} TO ${ident(table.owner)};`,
    },
  ];
};
