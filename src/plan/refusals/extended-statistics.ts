/** Extended statistics. */
import { type Check, dependents, nameOf, shown } from "./check.js";

export const extendedStatistics: Check = ({ table }) =>
  dependents(table, "extended-statistics").map((statistics) => ({
    code: "extended-statistics",
    what: `${nameOf(table)} has the extended statistics ${shown(statistics)}`,
    why: "This version does not carry them; the planner would choose worse plans on the new table.",
    remedy: `DROP STATISTICS ${statistics.name};  -- and create them again after the migration`,
  }));
