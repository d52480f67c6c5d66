/** How large the two tables are, whichever has which name. Reads only; a table that is not there is null. */
import { z } from "zod";
import type { RunEventBody, TableSize } from "../../state/events.js";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";

export type Sizes = Extract<RunEventBody, { event: "sizes" }>;

/** Leaves told one by one. */
const LARGEST = 200;

const TABLE_SQL = /*sql*/ `
SELECT pg_relation_size(c.oid)::text AS heap, pg_indexes_size(c.oid)::text AS indexes,
       (pg_total_relation_size(c.oid) - pg_indexes_size(c.oid) - pg_relation_size(c.oid))::text AS toast
  FROM pg_catalog.pg_class c WHERE c.oid = $1::oid`;

const LEAVES_SQL = /*sql*/ `
SELECT c.relname AS leaf, pg_relation_size(c.oid)::text AS heap, pg_indexes_size(c.oid)::text AS indexes,
       (pg_total_relation_size(c.oid) - pg_indexes_size(c.oid) - pg_relation_size(c.oid))::text AS toast
  FROM pg_partition_tree($1::oid::regclass) AS t JOIN pg_catalog.pg_class c ON c.oid = t.relid WHERE t.isleaf
 ORDER BY pg_total_relation_size(c.oid) DESC, c.relname`;

const bytes = z.coerce.number();
const Row = z.object({ heap: bytes, toast: bytes, indexes: bytes });
const LeafRow = Row.extend({ leaf: z.string() });

const PARTITIONED_SQL = /*sql*/ `
SELECT (SELECT oid::text FROM pg_catalog.pg_class
         WHERE relkind = 'p' AND oid IN (to_regclass($1), to_regclass($2), to_regclass($3)) LIMIT 1) AS oid`;

/** The new table, under whichever of its names; null: it is not there (yet, or any more). */
export async function partitionedOid(session: Session, { names: n }: Plan): Promise<string | null> {
  const params = [n.source, n.shadow, n.failed].map((name) => qualified(n.schema, name));
  return (await session.one(z.object({ oid: z.string().nullable() }), PARTITIONED_SQL, params)).oid;
}

/** The sizes now. `partitionedOid`: the new table's, null while there is none. */
export async function sizesNow(session: Session, plan: Plan, partitionedOid: string | null): Promise<Sizes> {
  const source = await session.maybe(Row, TABLE_SQL, [plan.source.oid]);
  const leaves = partitionedOid === null ? [] : await session.rows(LeafRow, LEAVES_SQL, [partitionedOid]);
  const partitioned =
    leaves.length === 0 ? null : leaves.reduce<TableSize>(add, { heap: 0, toast: 0, indexes: 0 });
  return {
    event: "sizes",
    source,
    partitioned,
    leaves: leaves
      .slice(0, LARGEST)
      .map(({ leaf, heap, toast, indexes }) => ({ leaf, bytes: heap + toast, indexBytes: indexes })),
  };
}

function add(sum: TableSize, one: TableSize): TableSize {
  return { heap: sum.heap + one.heap, toast: sum.toast + one.toast, indexes: sum.indexes + one.indexes };
}
