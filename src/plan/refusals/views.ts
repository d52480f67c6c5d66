/** Readers that cannot be made to read the new table. */
import { type Check, dependents, nameOf, shown } from "./check.js";

const BY_KEY =
  "It groups by the primary key alone and selects other columns; the new primary key has the partition column as well, so PostgreSQL would refuse it (42803).";

export const views: Check = ({ table }) => [
  ...(table.attached?.views ?? [])
    .filter((view) => view.groupsByKey)
    .map((view) => ({
      code: "view-groups-by-key",
      what: `view ${view.name} rests on the primary key of ${nameOf(table)}`,
      why: BY_KEY,
      remedy: `CREATE OR REPLACE VIEW ${view.name} AS ...;  -- with every selected column in GROUP BY, or an aggregate of it`,
    })),
  ...(table.attached?.functions ?? [])
    .filter((routine) => routine.groupsByKey)
    .map((routine) => ({
      code: "function-groups-by-key",
      what: `function ${routine.name} rests on the primary key of ${nameOf(table)}`,
      why: BY_KEY,
      remedy: `CREATE OR REPLACE FUNCTION ${routine.name} ...;  -- with every selected column in GROUP BY, or an aggregate of it`,
    })),
  ...dependents(table, "materialized-view").map((view) => ({
    code: "materialized-view",
    what: `materialized view ${shown(view)} reads ${nameOf(table)}`,
    why: "It follows the table, not its name, and cannot be replaced in place: it would have to be filled inside the lock.",
    remedy: `Keep its definition (SELECT pg_get_viewdef('${view.name.replaceAll("'", "''")}'::regclass);), then DROP MATERIALIZED VIEW ${view.name};  -- and create it again after the migration`,
  })),
];
