/** Indexes that a failed build left behind. */
import { qualified } from "../../pg/quote.js";
import type { Check } from "./check.js";

export const invalidIndexes: Check = ({ table }) =>
  table.indexes
    .filter((index) => !index.valid)
    .map((index) => ({
      code: "invalid-index",
      what: `index ${index.name} is not valid`,
      why: "A build that failed left it; it cannot be told whether it is wanted.",
      remedy: `REINDEX INDEX CONCURRENTLY ${qualified(table.schema, index.name)};  -- or: DROP INDEX CONCURRENTLY ${qualified(table.schema, index.name)};`,
    }));
