/** Partial indexes in a tablespace of their own: the clause stands before WHERE, in the midst of the definition. */
import { qualified } from "../../pg/quote.js";
import type { Check } from "./check.js";

export const indexTablespaces: Check = ({ table }) =>
  table.indexes
    .filter((index) => index.tablespace !== null && index.partial)
    .map((index) => ({
      code: "index-tablespace",
      what: `the partial index ${index.name} is in tablespace ${index.tablespace}`,
      why: "This version carries the tablespace of whole indexes only; the new ones would fill another disk.",
      remedy: `ALTER INDEX ${qualified(table.schema, index.name)} SET TABLESPACE pg_default;`,
    }));
