/**
 * The leaves of a partitioned table as the catalog has them (never by name pattern, DESIGN 7.10), and the constraint
 * that says which rows belong to each: exact for every scheme, usable in WHERE on any table with the same columns.
 */
import { z } from "zod";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";

export interface LeafRow {
  oid: string;
  name: string;
  /** Quoted, qualified. */
  table: string;
  /** `((created_at >= ...) AND (created_at < ...))`; columns unqualified. */
  constraint: string;
  /** `FOR VALUES FROM ... TO ...`. */
  bound: string;
}

const LEAVES_SQL = /*sql*/ `
SELECT c.oid::text AS oid, c.relname AS name, n.nspname AS schema, pg_get_partition_constraintdef(c.oid) AS constraint,
       pg_get_expr(c.relpartbound, c.oid) AS bound
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.inhparent = $1::oid ORDER BY c.oid`;

const Leaf = z
  .object({
    oid: z.string(),
    name: z.string(),
    schema: z.string(),
    constraint: z.string(),
    bound: z.string(),
  })
  .transform((r) => ({
    oid: r.oid,
    name: r.name,
    table: `${ident(r.schema)}.${ident(r.name)}`,
    constraint: r.constraint,
    bound: r.bound,
  }));

/** The leaves of the partitioned table `parentOid`, in creation order. */
export function leavesOf(session: Session, parentOid: string): Promise<LeafRow[]> {
  return session.rows(Leaf, LEAVES_SQL, [parentOid]);
}

const OID_SQL = /*sql*/ `SELECT to_regclass($1)::oid::text AS oid`;

/** OID of a quoted, qualified relation name, or null when there is none. */
export async function oidOf(session: Session, table: string): Promise<string | null> {
  return (await session.one(z.object({ oid: z.string().nullable() }), OID_SQL, [table])).oid;
}
