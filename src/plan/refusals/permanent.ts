/** Unlogged and temporary tables. */
import { type Check, nameOf } from "./check.js";

export const permanent: Check = ({ table }) => {
  if (table.persistence === "p") return [];
  const temporary = table.persistence === "t";
  return [
    {
      code: "not-permanent",
      what: `${nameOf(table)} is ${temporary ? "temporary" : "unlogged"}`,
      why: temporary
        ? "A temporary table is seen by one session alone."
        : "A crash empties an unlogged table while the copy would remain: the two sides could no longer be compared.",
      remedy: temporary ? "Name a permanent table." : `ALTER TABLE ${nameOf(table)} SET LOGGED;`,
    },
  ];
};
