/** Views and materialized views that read the table. */
import { type Check, dependents, nameOf, shown } from "./check.js";

export const views: Check = ({ table }) =>
  [...dependents(table, "view"), ...dependents(table, "materialized-view")].map((view) => {
    const kind = view.kind === "view" ? "VIEW" : "MATERIALIZED VIEW";
    return {
      code: view.kind,
      what: `${kind.toLowerCase()} ${shown(view)} reads ${nameOf(table)}`,
      why: "Views follow the table, not its name: after cutover it would go on reading the old one. This version does not re-point them.",
      remedy: `Keep its definition (SELECT pg_get_viewdef('${view.name.replaceAll("'", "''")}'::regclass);), then DROP ${kind} ${view.name};  -- and create it again after the migration`,
    };
  });
