/** A replica identity other than the default. */
import { type Check, nameOf } from "./check.js";

export const replicaIdentity: Check = ({ table }) =>
  table.replicaIdentity === "d"
    ? []
    : [
        {
          code: "replica-identity",
          what: `${nameOf(table)} has replica identity ${{ n: "NOTHING", f: "FULL", i: "USING INDEX" }[table.replicaIdentity]}`,
          why: "This version does not carry it; subscribers would no longer find the rows that are updated or deleted.",
          remedy: `ALTER TABLE ${nameOf(table)} REPLICA IDENTITY DEFAULT;`,
        },
      ];
