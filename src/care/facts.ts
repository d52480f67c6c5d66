/** Reads what `healthOf` judges. */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import { coldLeavesOf } from "../cold/store.js";
import type { PartitionPolicy } from "../config/schema.js";
import { PartwayError } from "../errors.js";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { numberReach, timeReach, withinSql } from "../plan/reach.js";
import { positionNow } from "./clock.js";
import { recogniseTable } from "./decide.js";
import type { HealthFacts } from "./health.js";
import { type Policy, policyOf } from "./policy.js";
import { readStanding, type StoredPolicy } from "./store.js";
import { type CareTable, shownName } from "./table.js";

export const FACTS_SQL = {
  /** A parent has no size of its own (FEATURES N33): leaves below leaves are summed up. */
  bytes: /*sql*/ `
    SELECT i.inhrelid::text AS oid,
           (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0) FROM pg_partition_tree(i.inhrelid) AS t)::bigint AS bytes
      FROM pg_inherits i WHERE i.inhparent = $1::oid`,
  /** Indexes of the table without a valid part on a leaf. */
  indexes: /*sql*/ `
    SELECT leaf.relname::text || ': ' || ix.relname::text AS name
      FROM pg_index parent JOIN pg_class ix ON ix.oid = parent.indexrelid
      JOIN pg_inherits i ON i.inhparent = parent.indrelid AND NOT i.inhdetachpending
      JOIN pg_class leaf ON leaf.oid = i.inhrelid AND leaf.relkind IN ('r', 'p')
     WHERE parent.indrelid = $1::oid AND NOT EXISTS (
           SELECT FROM pg_inherits ii JOIN pg_index part ON part.indexrelid = ii.inhrelid
            WHERE ii.inhparent = parent.indexrelid AND part.indrelid = leaf.oid AND part.indisvalid)
     ORDER BY 1`,
} as const;

/** `stored`: the table's row of partition_config; null: it is not in care, and the defaults hold. */
export async function readHealth(
  session: Session,
  table: CareTable,
  stored: StoredPolicy | null,
  now?: string,
): Promise<HealthFacts> {
  const { grid } = recogniseTable(table);
  const read = (given: PartitionPolicy) => policyOf(shownName(table), given, table.axis, grid);
  const { policy, wrong } = usable(stored, read);
  const indexes = await session.rows(z.object({ name: z.string() }), FACTS_SQL.indexes, [table.oid]);
  const { leaving, restored } =
    stored === null ? { leaving: [], restored: new Set<string>() } : await readStanding(session, table.oid);
  return {
    ...{ table, policy, now: await positionNow(session, table, policy.grid, now) },
    adopted: stored === null ? null : { lastMaintenance: stored.lastMaintenance },
    wrong,
    bytes: await readBytes(session, table.oid),
    defaultHasRows: await defaultHasRows(session, table, policy),
    indexes: indexes.map(({ name }) => name),
    leaving: leaving.filter(({ isThere, attached }) => isThere && !attached).map(({ name }) => name),
    restored,
    cold: (await coldLeavesOf(session, table.oid)).map(({ bound }) => bound),
  };
}

/** Bytes of each leaf with all below it, indexes and TOAST, by its OID. */
export async function readBytes(session: Session, oid: string): Promise<Map<string, number>> {
  const Size = z.object({ oid: z.string(), bytes: z.number() });
  const sizes = await jsonRows(session, Size, FACTS_SQL.bytes, [oid]);
  return new Map(sizes.map((size) => [size.oid, size.bytes]));
}

/** One table's policy that cannot be read is a finding, and hides neither that table nor the others. */
function usable(
  stored: StoredPolicy | null,
  read: (given: PartitionPolicy) => Policy,
): Pick<HealthFacts, "policy" | "wrong"> {
  try {
    if (stored !== null && stored.wrong !== null) throw stored.wrong;
    return { policy: read(stored?.policy ?? {}), wrong: null };
  } catch (error) {
    if (!(error instanceof PartwayError)) throw error;
    return { policy: read({}), wrong: { what: error.message, next: error.next } };
  }
}

/** Rows in DEFAULT that another leaf could hold. What none can is there for good, and no reason to warn for ever. */
async function defaultHasRows(session: Session, table: CareTable, policy: Policy): Promise<boolean> {
  const fallback = table.leaves.find(({ bound }) => bound.kind === "default");
  const movable = movableSql(table, policy);
  if (fallback === undefined || movable === null) return false;
  const Found = z.object({ found: z.enum(["true", "false"]) });
  const sql = `SELECT EXISTS (SELECT FROM ${shownName(fallback)} WHERE ${movable})::text AS found`;
  return (await session.one(Found, sql)).found === "true";
}

/** Which rows of DEFAULT a leaf by range could hold: not NULL, infinity or the type's end. Null: by list none is made. */
function movableSql({ strategy, column, axis }: CareTable, { grid }: Policy): string | null {
  if (strategy !== "range") return null;
  if (axis === null || column === null) return "true";
  const name = ident(column);
  if (axis.kind === "number")
    return grid?.kind === "number"
      ? withinSql(name, numberReach(grid.step, axis.largest))
      : `${name} IS NOT NULL`;
  return grid?.kind === "time"
    ? withinSql(name, timeReach(grid.every, axis.type))
    : `${name} > '-infinity' AND ${name} < 'infinity'`;
}
