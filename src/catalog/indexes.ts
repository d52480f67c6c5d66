/** The indexes of a table, with the part of their definition that fits any table. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { jsonRows } from "./json.js";
import type { IndexInfo } from "./types.js";

const indexRow = z.object({
  oid: z.string(),
  name: z.string(),
  method: z.string(),
  unique: z.boolean(),
  primary: z.boolean(),
  valid: z.boolean(),
  nullsNotDistinct: z.boolean(),
  columns: z.array(z.string().nullable()),
  include: z.array(z.string()),
  partial: z.boolean(),
  plain: z.boolean(),
  tail: z.string().startsWith(" USING "),
  options: z.array(z.string()),
  tablespace: z.string().nullable(),
  clustered: z.boolean(),
  replicaIdentity: z.boolean(),
  constraint: z
    .object({
      name: z.string(),
      kind: z.enum(["p", "u", "x"]),
      deferrable: z.boolean(),
      definition: z.string(),
      comment: z.string().nullable(),
    })
    .nullable(),
  comment: z.string().nullable(),
  sizeBytes: z.number(),
});

/**
 * pg_get_indexdef without its beginning `CREATE [UNIQUE] INDEX name ON [ONLY] schema.table`. The beginning is built
 * with the same quoting function, so cutting by its length is exact. `i`, `ix`, `c`, `n`: pg_index, the index's and
 * the table's pg_class, the table's pg_namespace. Also used by the fingerprint.
 */
export const INDEX_TAIL = /*sql*/ `substr(pg_get_indexdef(i.indexrelid), 1 + length(format('CREATE %sINDEX %I ON %s%I.%I',
  CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, ix.relname,
  CASE WHEN ix.relkind = 'I' THEN 'ONLY ' ELSE '' END, n.nspname, c.relname)))`;

/** indnullsnotdistinct exists since PostgreSQL 15, hence the way round through jsonb. */
const INDEXES = /*sql*/ `
  SELECT i.indexrelid::text AS oid,
         ix.relname AS name,
         am.amname AS method,
         i.indisunique AS "unique",
         i.indisprimary AS "primary",
         i.indisvalid AND i.indisready AND i.indislive AS valid,
         coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS "nullsNotDistinct",
         k.columns,
         k.include,
         i.indpred IS NOT NULL AS partial,
         k.plain,
         ${INDEX_TAIL} AS tail,
         coalesce(ix.reloptions, '{}') AS options,
         ts.spcname AS tablespace,
         i.indisclustered AS clustered,
         i.indisreplident AS "replicaIdentity",
         CASE WHEN con.oid IS NOT NULL THEN json_build_object(
           'name', con.conname, 'kind', con.contype, 'deferrable', con.condeferrable,
           'definition', pg_get_constraintdef(con.oid),
           'comment', obj_description(con.oid, 'pg_constraint')) END AS constraint,
         obj_description(i.indexrelid, 'pg_class') AS comment,
         coalesce(pg_relation_size(i.indexrelid), 0) AS "sizeBytes"
    FROM pg_index i
    JOIN pg_class ix ON ix.oid = i.indexrelid
    JOIN pg_am am ON am.oid = ix.relam
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_tablespace ts ON ts.oid = ix.reltablespace
    LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x')
   CROSS JOIN LATERAL (
     SELECT coalesce(json_agg(a.attname ORDER BY at) FILTER (WHERE at <= i.indnkeyatts), '[]') AS columns,
            coalesce(json_agg(a.attname ORDER BY at) FILTER (WHERE at > i.indnkeyatts), '[]') AS include,
            bool_and(at > i.indnkeyatts OR (
              a.attnum IS NOT NULL AND oc.opcdefault AND i.indoption[at - 1] = 0
              AND i.indcollation[at - 1] = a.attcollation AND ia.attoptions IS NULL)) AS plain
       FROM generate_series(1, i.indnatts) AS at
       LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[at - 1] AND a.attnum > 0
       LEFT JOIN pg_opclass oc ON oc.oid = i.indclass[at - 1]
       LEFT JOIN pg_attribute ia ON ia.attrelid = i.indexrelid AND ia.attnum = at
   ) AS k
   WHERE i.indrelid = $1::oid
   ORDER BY i.indisprimary DESC, ix.relname`;

/** Every index of table `oid`, the primary key first, then by name. */
export async function readIndexes(session: Session, oid: string): Promise<IndexInfo[]> {
  const rows = await jsonRows(session, indexRow, INDEXES, [oid]);
  return rows.map(({ replicaIdentity, constraint, ...index }) => ({
    ...index,
    constraint: constraint === null ? null : withoutNull(constraint),
    ...(replicaIdentity ? { replicaIdentity: true as const } : {}),
  }));
}

function withoutNull<T extends { comment: string | null }>({ comment, ...rest }: T) {
  return { ...rest, ...(comment === null ? {} : { comment }) };
}
