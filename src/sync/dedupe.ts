/** Dedupe (DESIGN 3.3): no pair may stand twice before a unique index is built. */
import type { Plan } from "../plan/types.js";
import { pairEquals, pairList, sidesOf } from "./pairs.js";

/**
 * Deletes from one leaf every pair in the change log that belongs to it. `leaf` is quoted and qualified; `constraint`
 * is the leaf's own, whose column names the change log shares.
 */
export function dedupeLeafSql(plan: Plan, leaf: string, constraint: string): string {
  const { log } = sidesOf(plan, "forward");
  return `DELETE FROM ${leaf} AS t
 USING (SELECT DISTINCT ${pairList(plan)} FROM ${log} WHERE partway_op = 'r' AND (${constraint})) AS d
 WHERE ${pairEquals(plan, "t", "d")}`;
}
