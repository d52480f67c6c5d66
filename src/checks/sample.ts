/**
 * A bounded look at a few blocks of the table, for the forecast. Reads only, in READ ONLY transactions: at most BLOCKS
 * blocks, each statement LIMIT_MS at most; what cannot be read in that time is left out, and the forecast says why.
 * No temporary table: it would cost a transaction number and catalog rows, and `plan` touches nothing (ARCHITECTURE.md).
 */
import { z } from "zod";
import { hiddenByPolicies } from "../catalog/hidden.js";
import { jsonRows } from "../catalog/json.js";
import type { TableInfo } from "../catalog/types.js";
import { messageOf } from "../errors.js";
import { setLocal } from "../pg/locks.js";
import { ident, qualified } from "../pg/quote.js";
import { isConnectionError, type Session } from "../pg/session.js";
import { sqlState } from "../pg/sqlstate.js";
import type { NoSample, TableSample } from "../plan/sample.js";
import { rowHash } from "../sync/rowhash.js";

/** Half a megabyte, in as many places as PLACES, so that young and old rows are in it. */
const BLOCKS = 64;
const PLACES = 16;
const LIMIT_MS = 400;
/** Nobody waits longer behind the sample's lock, nor it behind theirs. */
const LOCK_MS = 100;

/** Sorting and hashing 50,000 numbers: what this server's processor does in a moment, whatever the table. */
const PROBE = /*sql*/ `
SELECT count(*) FROM (SELECT i FROM pg_catalog.generate_series(1, 50000) AS i
                       ORDER BY pg_catalog.hashint8extended(i, 0)) AS s`;
/** The first run of a session pays for its caches; of so many others the middle one counts. */
const PROBES = 5;

const maybe = z.number().nullable();
const Column = z.object({
  name: z.string(),
  length: z.number(),
  align: z.number(),
  storage: z.string(),
  distinct: maybe,
  nullFraction: maybe,
});

const COLUMNS_SQL = /*sql*/ `
SELECT a.attname AS name, a.attlen AS length, a.attstorage AS storage,
       CASE a.attalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END AS align,
       s.n_distinct AS distinct, s.null_frac AS "nullFraction"
  FROM pg_catalog.pg_attribute a
  LEFT JOIN pg_catalog.pg_stats s
    ON s.schemaname = $2 AND s.tablename = $3 AND s.attname = a.attname AND NOT s.inherited
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

const Index = z.object({
  name: z.string(),
  share: z.number(),
  expressionWidths: z.array(maybe),
});

/** The rows of a partial index, by its own statistics; the width of an expression, by those of ANALYZE. */
const INDEXES_SQL = /*sql*/ `
SELECT c.relname AS name,
       CASE WHEN i.indpred IS NULL OR c.reltuples < 0 OR t.reltuples <= 0 THEN 1
            ELSE least(1, c.reltuples / t.reltuples) END AS share,
       ARRAY(SELECT s.avg_width
               FROM pg_catalog.pg_attribute a
               LEFT JOIN pg_catalog.pg_stats s
                 ON s.schemaname = $2 AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
              WHERE a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts AND i.indkey[a.attnum - 1] = 0
              ORDER BY a.attnum) AS "expressionWidths"
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
 WHERE i.indrelid = $1::oid`;

/** In a query of its own: the function may have been revoked, and a standby has no position of its own. */
const CHECKPOINT_SQL = /*sql*/ `
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn) AS bytes,
       extract(epoch FROM clock_timestamp() - checkpoint_time)::float8 AS seconds
  FROM pg_control_checkpoint() WHERE NOT pg_is_in_recovery()`;
const Checkpoint = z.object({ bytes: z.number(), seconds: z.number() });

const Server = z.object({
  logsHints: z.boolean(),
  fullPageWrites: z.boolean(),
  walCompression: z.boolean(),
  maxWalBytes: z.number(),
  checkpointSeconds: z.number(),
  completionTarget: z.number(),
  maintenanceBytes: z.number(),
  walKeptBy: z.string().nullable(),
  slotLimitBytes: maybe,
  blocks: z.number(),
  analysedBlocks: z.number(),
  writesPerSecond: maybe,
});

/** Writes are averaged over a day at least: a shorter time says more of what happened to happen in it. */
const SERVER_SQL = /*sql*/ `
SELECT current_setting('data_checksums')::bool OR current_setting('wal_log_hints')::bool AS "logsHints",
       current_setting('full_page_writes')::bool AS "fullPageWrites",
       current_setting('wal_compression') <> 'off' AS "walCompression",
       pg_size_bytes(current_setting('max_wal_size')) AS "maxWalBytes",
       (SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'checkpoint_timeout') AS "checkpointSeconds",
       current_setting('checkpoint_completion_target')::float8 AS "completionTarget",
       pg_size_bytes(current_setting('maintenance_work_mem')) AS "maintenanceBytes",
       coalesce(
         (SELECT 'replication slot ' || string_agg(quote_ident(slot_name), ', ' ORDER BY slot_name)
            FROM pg_catalog.pg_replication_slots
           WHERE restart_lsn IS NOT NULL AND (NOT active OR wal_status IN ('extended', 'unreserved'))),
         (SELECT 'archive_command, which fails' FROM pg_catalog.pg_stat_archiver
           WHERE current_setting('archive_mode') <> 'off' AND last_failed_time > coalesce(last_archived_time, '-infinity'))
       ) AS "walKeptBy",
       CASE WHEN current_setting('max_slot_wal_keep_size') <> '-1'
            THEN pg_size_bytes(current_setting('max_slot_wal_keep_size')) END AS "slotLimitBytes",
       pg_relation_size(t.oid) / current_setting('block_size')::int AS blocks,
       t.relpages AS "analysedBlocks",
       CASE WHEN since.seconds >= 86400
            THEN (u.n_tup_ins + u.n_tup_upd + u.n_tup_del) / since.seconds END AS "writesPerSecond"
  FROM pg_catalog.pg_class t LEFT JOIN pg_catalog.pg_stat_all_tables u ON u.relid = t.oid,
       -- NULL where they were never reset: they outlive a restart, so nobody knows since when they count.
       LATERAL (SELECT extract(epoch FROM clock_timestamp() - (
                  SELECT stats_reset FROM pg_catalog.pg_stat_database WHERE datname = current_database())
                )::float8 AS seconds) AS since
 WHERE t.oid = $1::oid`;

/**
 * The sample, or why there is none: the table may not or cannot be looked at in time (locked, a slow disk), or has no
 * rows. Never a reason for `plan` to fail. Errors: those of the connection.
 */
export async function sampleTable(session: Session, table: TableInfo): Promise<TableSample | NoSample> {
  if (table.kind !== "r") return { why: "it is no ordinary table" };
  if (!table.rights.selectTable || hiddenByPolicies(table)) return { why: "the role may not read its rows" };
  const key = [table.oid, table.schema, table.name];
  const facts = await bounded(session, async () => {
    const [server] = await jsonRows(session, Server, SERVER_SQL, [table.oid]);
    const columns = await jsonRows(session, Column, COLUMNS_SQL, key);
    const indexes = await jsonRows(session, Index, INDEXES_SQL, key.slice(0, 2));
    return server === undefined ? null : { server, columns, indexes };
  });
  if ("why" in facts) return facts;
  if (facts.value === null || facts.value.server.blocks === 0) return { why: "it has no blocks" };
  const { columns, indexes, server: found } = facts.value;
  const { blocks, analysedBlocks, writesPerSecond, ...server } = found;
  const pieces = places(blocks);
  const blocksRead = pieces.reduce((sum, [from, to]) => sum + to - from, 0);
  // The first reading is the disk's, the others the memory's.
  const cold = await hashedMs(session, table, pieces);
  const rows = await bounded(session, () => widths(session, table, pieces));
  if ("why" in rows) return rows;
  if (rows.value.length === 0) return { why: "no rows were found in the blocks that were read" };
  const warm = cold === null ? null : await again(3, () => hashedMs(session, table, pieces));
  await bounded(session, () => probeServer(session));
  const probe = await again(PROBES, async () => orNull(await bounded(session, () => probeServer(session))));
  if (probe === null) return { why: "the server is too slow now to be measured" };
  const checkpoint = orNull(await bounded(session, () => jsonRows(session, Checkpoint, CHECKPOINT_SQL, [])));
  return {
    ...{ columns, indexes, rows: rows.value },
    ...{ blocksRead, analysedBlocks, writesPerSecond },
    rowsPerBlock: rows.value.length / blocksRead,
    server: { ...server, sinceCheckpoint: checkpoint?.[0] ?? null },
    probeMs: probe,
    hashRowUs: warm === null ? null : (warm * 1000) / rows.value.length,
    leastHashRowUs: (LIMIT_MS * 1000) / rows.value.length,
    // Less than twice as long is chance, not a disk.
    blockSeconds: cold === null || warm === null || cold < 2 * warm ? 0 : (cold - warm) / 1000 / blocksRead,
  };
}

/** The middle of so many measurements; null when one of them is. */
async function again(times: number, measure: () => Promise<number | null>): Promise<number | null> {
  const took: number[] = [];
  for (let n = 0; n < times; n++) {
    const one = await measure();
    if (one === null) return null;
    took.push(one);
  }
  return took.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? null;
}

/** Ranges [from, to) of blocks, spread evenly; all of them when there are few. */
export function places(blocks: number): [number, number][] {
  if (blocks <= BLOCKS) return [[0, blocks]];
  const each = BLOCKS / PLACES;
  return Array.from({ length: PLACES }, (_, at) => {
    const from = Math.floor((at * (blocks - each)) / (PLACES - 1));
    return [from, from + each];
  });
}

/** `read` of the rows in the pieces, as one statement, which is named as the canary's is: a scan by ranges of blocks in each piece. */
function over(table: TableInfo, pieces: readonly [number, number][], read: string): string {
  return pieces
    .map(
      ([from, to]) =>
        `SELECT /* partway sample */ ${read} FROM ONLY ${qualified(table.schema, table.name)} AS s WHERE s.ctid >= '(${from},0)'::tid AND s.ctid < '(${to},0)'::tid`,
    )
    .join(" UNION ALL ");
}

/** Bytes of each column of each row, as stored; a virtual column stores nothing. */
async function widths(
  session: Session,
  table: TableInfo,
  pieces: readonly [number, number][],
): Promise<(number | null)[][]> {
  const sizes = table.columns.map(({ name, generated }) =>
    generated === "virtual" ? "NULL::int" : `pg_catalog.pg_column_size(s.${ident(name)})`,
  );
  const found = await session.rows(
    z.object({ sizes: z.string() }),
    over(table, pieces, `pg_catalog.to_json(ARRAY[${sizes.join(", ")}]::int[])::text AS sizes`),
  );
  return found.map((row) => {
    const value: unknown = JSON.parse(row.sizes);
    return z.array(maybe).parse(value);
  });
}

/** Milliseconds to read and hash the rows, as validation does; null when it takes too long or cannot be done. */
async function hashedMs(
  session: Session,
  table: TableInfo,
  pieces: readonly [number, number][],
): Promise<number | null> {
  const hash = `${rowHash(table.columns, "s")} AS h`;
  const sql = `SELECT count(*), sum(h) FROM (${over(table, pieces, hash)}) AS sampled`;
  return orNull(await bounded(session, () => executionMs(session, sql)));
}

/** Milliseconds that the server takes for PROBE now. */
export function probeServer(session: Session): Promise<number> {
  return executionMs(session, PROBE);
}

/** By the server's own clock: the way to it is not in it. */
async function executionMs(session: Session, sql: string): Promise<number> {
  const { rows } = await session.query(`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${sql}`);
  const plan: unknown = JSON.parse(rows[0]?.["QUERY PLAN"] ?? "[]");
  const [top] = z.array(z.object({ "Execution Time": z.number() })).parse(plan);
  return top?.["Execution Time"] ?? 0;
}

const orNull = <T>(answer: { value: T } | NoSample): T | null => ("why" in answer ? null : answer.value);

/** `work` in a READ ONLY transaction with the limits; why not, when one of them ends it or the server says no. */
async function bounded<T>(session: Session, work: () => Promise<T>): Promise<{ value: T } | NoSample> {
  try {
    const value = await session.tx(
      async () => {
        await setLocal(session, "statement_timeout", LIMIT_MS);
        await setLocal(session, "lock_timeout", LOCK_MS);
        // A parallel plan or compiled code would be measured instead of the processor.
        await session.query("SET LOCAL max_parallel_workers_per_gather = 0");
        await session.query("SET LOCAL jit = off");
        return await work();
      },
      { readOnly: true },
    );
    return { value };
  } catch (error) {
    if (session.lost || sqlState(error) === null || isConnectionError(error)) throw error;
    return { why: messageOf(error) };
  }
}
