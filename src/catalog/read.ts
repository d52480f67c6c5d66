/** One table, everything pg_catalog says about it. */
import { z } from "zod";
import { badInput } from "../errors.js";
import type { Session } from "../pg/session.js";
import { readAttached } from "./attached.js";
import { readColumns } from "./columns.js";
import { readDependents } from "./dependents.js";
import { readColumnGrants, readDefaultGrantees, readRelationGrants } from "./grants.js";
import { readIndexes } from "./indexes.js";
import { jsonRows } from "./json.js";
import { readGrantFacts } from "./owners.js";
import { resolveTable } from "./resolve.js";
import { readRights } from "./rights.js";
import { readSequences } from "./sequences.js";
import type { CheckInfo, TableInfo } from "./types.js";

const relationRow = z.object({
  serverVersion: z.number().int(),
  database: z.string(),
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.string(),
  persistence: z.string(),
  owner: z.string(),
  filenode: z.string(),
  hasAcl: z.boolean(),
  options: z.array(z.string()),
  toastOptions: z.array(z.string()),
  tablespace: z.string().nullable(),
  accessMethod: z.string().nullable(),
  replicaIdentity: z.enum(["d", "n", "f", "i"]),
  rowSecurity: z.boolean(),
  forceRowSecurity: z.boolean(),
  ofType: z.string().nullable(),
  comment: z.string().nullable(),
  estimatedRows: z.number(),
  blocks: z.number(),
  heapBytes: z.number(),
  toastBytes: z.number(),
  indexBytes: z.number(),
  namesInSchema: z.array(z.string()),
});

/** A table's row type takes its name among the types of the schema too, so those names are taken as well. */
const RELATION = /*sql*/ `
  SELECT current_setting('server_version_num')::int AS "serverVersion",
         current_database() AS database,
         c.oid::text AS oid,
         n.nspname AS schema,
         c.relname AS name,
         c.relkind AS kind,
         c.relpersistence AS persistence,
         pg_get_userbyid(c.relowner) AS owner,
         coalesce(pg_relation_filenode(c.oid), 0)::text AS filenode,
         c.relacl IS NOT NULL AS "hasAcl",
         coalesce(c.reloptions, '{}') AS options,
         coalesce(toast.reloptions, '{}') AS "toastOptions",
         ts.spcname AS tablespace,
         nullif(am.amname, 'heap') AS "accessMethod",
         c.relreplident AS "replicaIdentity",
         c.relrowsecurity AS "rowSecurity",
         c.relforcerowsecurity AS "forceRowSecurity",
         CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS "ofType",
         obj_description(c.oid, 'pg_class') AS comment,
         c.reltuples AS "estimatedRows",
         coalesce(size.heap, 0) / current_setting('block_size')::int AS blocks,
         coalesce(size.heap, 0) AS "heapBytes",
         coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) AS "toastBytes",
         coalesce(pg_indexes_size(c.oid), 0) AS "indexBytes",
         ARRAY(SELECT o.relname::text FROM pg_class o WHERE o.relnamespace = c.relnamespace
               UNION
               SELECT t.typname::text FROM pg_type t WHERE t.typnamespace = c.relnamespace AND t.typcategory <> 'A'
               ORDER BY 1) AS "namesInSchema"
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
    LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
    LEFT JOIN pg_am am ON am.oid = c.relam AND c.relkind IN ('r', 'p', 'm')
   CROSS JOIN LATERAL pg_relation_size(c.oid) AS size(heap)
   WHERE c.oid = $1::oid`;

const checkRow = z.object({
  name: z.string(),
  definition: z.string(),
  validated: z.boolean(),
  noInherit: z.boolean(),
  comment: z.string().nullable(),
});

const CHECKS = /*sql*/ `
  SELECT k.conname AS name,
         pg_get_constraintdef(k.oid) AS definition,
         k.convalidated AS validated,
         k.connoinherit AS "noInherit",
         obj_description(k.oid, 'pg_constraint') AS comment
    FROM pg_constraint k
   WHERE k.conrelid = $1::oid AND k.contype = 'c'
   ORDER BY k.conname`;

async function readChecks(session: Session, oid: string): Promise<CheckInfo[]> {
  const rows = await jsonRows(session, checkRow, CHECKS, [oid]);
  return rows.map(({ comment, ...check }) => ({ ...check, ...(comment === null ? {} : { comment }) }));
}

/**
 * Reads the table called `name` (as typed, see resolveTable) from pg_catalog, in one snapshot, without touching it.
 * Any kind of relation can be read; `kind` says what it is. Sizes are bytes. Errors: bad-input when there is no such
 * table, with the near names.
 */
export async function readTable(session: Session, name: string): Promise<TableInfo> {
  const read = async () => readTableByOid(session, await resolveTable(session, name));
  return session.inTransaction ? read() : session.tx(read, { isolation: "repeatable read", readOnly: true });
}

/**
 * The same by OID; the caller's transaction gives the snapshot. Errors: bad-input when there is no such relation.
 */
export async function readTableByOid(session: Session, oid: string): Promise<TableInfo> {
  const [relation] = await jsonRows(session, relationRow, RELATION, [oid]);
  if (relation === undefined)
    throw badInput("the table was dropped while it was read", "Run the same command again.");
  const { hasAcl, accessMethod, ...info } = relation;
  return {
    ...info,
    ...(accessMethod === null ? {} : { accessMethod }),
    columns: await readColumns(session, oid),
    indexes: await readIndexes(session, oid),
    checks: await readChecks(session, oid),
    sequences: await readSequences(session, oid),
    grants: hasAcl ? await readRelationGrants(session, oid) : null,
    columnGrants: await readColumnGrants(session, oid),
    defaultGrantees: await readDefaultGrantees(session, oid),
    defaultSequenceGrantees: await readDefaultGrantees(session, oid, "sequences"),
    dependents: await readDependents(session, oid, info.serverVersion),
    attached: await readAttached(session, oid, info.serverVersion),
    rights: await readRights(session, oid),
    grantFacts: await readGrantFacts(session, oid),
  };
}
