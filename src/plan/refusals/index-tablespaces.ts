/** Indexes in a tablespace of their own. */
import { qualified } from "../../pg/quote.js";
import type { Check } from "./check.js";

export const indexTablespaces: Check = ({ table }) =>
  table.indexes
    .filter((index) => index.tablespace !== null)
    .map((index) => ({
      code: "index-tablespace",
      what: `index ${index.name} is in tablespace ${index.tablespace}`,
      why: "This version does not carry an index's tablespace; the new indexes would fill another disk.",
      remedy: `ALTER INDEX ${qualified(table.schema, index.name)} SET TABLESPACE pg_default;`,
    }));
