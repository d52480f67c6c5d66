/**
 * The DEFAULT leaf of `--null-keys default-leaf`: it takes what no other leaf can hold. Until cutover a CHECK on it
 * refuses every other row, so that a late row gets a leaf of its own (sync/outside.ts) as without it, and a leaf made
 * late finds no row of its range in there. The cutover takes the CHECK away: from then on DEFAULT takes every row that
 * has no leaf. By list there is none: whatever is not listed belongs there.
 */
import { ident, qualified } from "../pg/quote.js";
import { partitionColumn } from "./columns.js";
import { beyondSql, reachOf } from "./reach.js";
import type { Leaf, MigrationRequest, Plan, Statement } from "./types.js";

type Facts = Pick<Plan, "id" | "source" | "names" | "request" | "partitionBy" | "leaves">;

export function hasFallback(request: Pick<MigrationRequest, "nullKeys">): boolean {
  return request.nullKeys === "default-leaf";
}

/** The plan's DEFAULT leaf; null where it has none. */
export function fallbackOf({ leaves }: Pick<Plan, "leaves">): Leaf | null {
  return leaves.find(({ bounds }) => bounds.kind === "default") ?? null;
}

/** Which values DEFAULT takes before cutover, as a condition on the partition column; null: all. */
export function takenSql(plan: Pick<Plan, "source" | "request" | "partitionBy">): string | null {
  const column = partitionColumn(plan);
  const reach = reachOf(plan.request.scheme, column);
  return reach === null ? null : beyondSql(ident(column.name), reach);
}

/** The CHECK, right after the leaf is made. */
export function closeFallback(plan: Facts, leaf: Leaf): Statement[] {
  const taken = leaf.bounds.kind === "default" ? takenSql(plan) : null;
  if (taken === null) return [];
  return [
    {
      sql: `${alterOf(plan, leaf)} ADD CONSTRAINT ${checkName(plan)} CHECK (${taken})`,
      note: "until cutover: any other row gets a leaf of its own",
    },
  ];
}

/** Takes the CHECK away, inside the cutover's lock, which every leaf is under. */
export function openFallback(plan: Facts): Statement[] {
  const leaf = fallbackOf(plan);
  if (leaf === null || takenSql(plan) === null) return [];
  return [
    {
      sql: `${alterOf(plan, leaf)} DROP CONSTRAINT IF EXISTS ${checkName(plan)}`,
      note: "from now on DEFAULT takes every row without a leaf",
    },
  ];
}

function alterOf({ names }: Facts, leaf: Leaf): string {
  return `ALTER TABLE ${qualified(names.schema, leaf.name)}`;
}

/** An id has 40 characters at most. */
function checkName({ id }: Facts): string {
  return ident(`partway_only_${id}`);
}
