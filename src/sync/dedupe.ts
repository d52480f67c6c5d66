/** Dedupe (DESIGN 3.3): no pair may stand twice before a unique index is built. */
import { ident } from "../pg/quote.js";
import type { Plan } from "../plan/types.js";
import { pairColumns, pairEquals, pairList, sidesOf } from "./pairs.js";

/**
 * The logged pairs in the source's own types: a hash leaf's constraint takes no other than the partition key's. The
 * OFFSET keeps the casts behind the filter: a marker's NULL is no value of a domain that refuses it.
 */
export function loggedPairs(plan: Plan): string {
  const { log } = sidesOf(plan, "forward");
  const columns = pairColumns(plan).map((c) => `${ident(c.name)}::${c.type} AS ${ident(c.name)}`);
  return `(SELECT ${columns.join(", ")} FROM ${log} WHERE partway_op IN ('r', 'u') OFFSET 0) AS logged`;
}

/**
 * Deletes from one leaf every pair in the change log that belongs to it. `leaf` is quoted and qualified; `constraint`
 * is the leaf's own, whose column names the change log shares. Of a key that the write-ahead log told alone, one row may
 * stay: that of the moment capture began, for which every later one is logged as a pair. The first apply removes it.
 */
export function dedupeLeafSql(plan: Plan, leaf: string, constraint: string): string {
  return `DELETE FROM ${leaf} AS t
 USING (SELECT DISTINCT ${pairList(plan)} FROM ${loggedPairs(plan)} WHERE ${constraint}) AS d
 WHERE ${pairEquals(plan, "t", "d")}`;
}
