/**
 * Naming what differs: the leaf, then the keys. The comparison stays in SQL (values that pass through JavaScript
 * change, DESIGN 7.19): each differing leaf is FULL JOINed with the plain side's rows of that leaf, and the result is
 * streamed through a cursor.
 */
import { z } from "zod";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import type { LeafRow } from "./leaves.js";
import { notLogged, pairColumns, pairEquals, pairList, type Sides } from "./pairs.js";
import { rowHash } from "./rowhash.js";

export interface Difference {
  leaf: string;
  key: string;
  partition: string;
  /** Seen from the lagging side. */
  kind: "missing" | "extra" | "changed";
}

/** The pairs of one leaf that differ, as a query with columns of the pair (coalesced) and `kind`. */
function diffSql(plan: Plan, sides: Sides, leaf: LeafRow): string {
  const hash = rowHash(plan.source.columns, "s");
  const free = notLogged(plan, sides);
  const plain = sides.direction === "forward" ? sides.live : sides.lagging;
  const onPlain = `SELECT ${pairList(plan, "s")}, ${hash} AS h FROM ONLY ${plain} AS s WHERE (${leaf.constraint}) AND ${free}`;
  const onLeaf = `SELECT ${pairList(plan, "s")}, ${hash} AS h FROM ONLY ${leaf.table} AS s WHERE ${free}`;
  const [live, lagging] = sides.direction === "forward" ? [onPlain, onLeaf] : [onLeaf, onPlain];
  const columns = pairColumns(plan)
    .map((c) => `coalesce(a.${ident(c.name)}, b.${ident(c.name)}) AS ${ident(c.name)}`)
    .join(", ");
  return `SELECT ${columns},
       CASE WHEN b.h IS NULL THEN 'missing' WHEN a.h IS NULL THEN 'extra' ELSE 'changed' END AS partway_kind
  FROM (${live}) AS a FULL JOIN (${lagging}) AS b ON ${pairEquals(plan, "a", "b")}
 WHERE a.h IS DISTINCT FROM b.h`;
}

const Kind = z.enum(["missing", "extra", "changed"]);

/** At most `limit` differing pairs of one leaf. Must run inside a transaction (server-side cursor). */
export async function locate(
  session: Session,
  plan: Plan,
  sides: Sides,
  leaf: LeafRow,
  limit: number,
): Promise<Difference[]> {
  const text = (refs: { name: string }[]) => refs.map((c) => `x.${ident(c.name)}::text`).join(` || ', ' || `);
  const query = `SELECT ${text(plan.key)} AS key, ${text(plan.partitionBy)} AS partition, x.partway_kind AS kind
    FROM (${diffSql(plan, sides, leaf)}) AS x`;
  const found: Difference[] = [];
  for await (const rows of session.cursor(query, [], Math.min(limit, 500))) {
    for (const row of rows) {
      if (found.length >= limit) return found;
      found.push({
        leaf: leaf.name,
        key: row["key"] ?? "",
        partition: row["partition"] ?? "",
        kind: Kind.parse(row["kind"]),
      });
    }
    if (found.length >= limit) return found;
  }
  return found;
}

/** Marks every differing pair of a leaf dirty, so that the next apply copies the live rows again. Returns how many. */
export async function markDirty(session: Session, plan: Plan, sides: Sides, leaf: LeafRow): Promise<number> {
  const { count } = await session.query(
    `INSERT INTO ${sides.log} (${pairList(plan)}) SELECT ${pairList(plan, "x")} FROM (${diffSql(plan, sides, leaf)}) AS x`,
  );
  return count;
}
