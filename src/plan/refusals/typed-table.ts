/** Tables created OF a composite type. */
import { type Check, nameOf } from "./check.js";

export const typedTable: Check = ({ table }) =>
  table.ofType === null
    ? []
    : [
        {
          code: "typed-table",
          what: `${nameOf(table)} is a typed table (OF ${table.ofType})`,
          why: "This version does not carry the tie to the type.",
          remedy: `ALTER TABLE ${nameOf(table)} NOT OF;`,
        },
      ];
