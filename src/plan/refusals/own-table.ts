/** Tables that Partway made itself: what an earlier migration left under another name. */
import { type Check, nameOf } from "./check.js";

export const ownTable: Check = ({ table }) => {
  const left = /^(.*)_(retired|partitioned_failed)(_\d+)?$/.exec(table.name);
  if (left === null) return [];
  return [
    {
      code: "left-by-partway",
      what: `${nameOf(table)} has the name of a table that an earlier migration of ${left[1]} left`,
      why: "It is a copy that the application does not use; migrating it would help nobody, and its name is promised.",
      remedy: `Migrate the live table: partway plan ${left[1]}. If this is a table of your own: ALTER TABLE ${nameOf(table)} RENAME TO <another name>;`,
    },
  ];
};
