/**
 * Capture, then copy (DESIGN 3.1, 3.2). The triggers are committed before the first batch's snapshot and before the
 * size is read. Batches are fixed ctid block ranges; each is one transaction that checks the epoch, copies, reads the
 * filenode again and writes its ledger row, so a batch is done exactly once whatever crashes.
 */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import type { Plan, Statement } from "../plan/types.js";
import { captureStands, logDdl, triggerDdl } from "../sync/capture.js";
import { assertCaptured, assertNoDrift, assertSameTable } from "../sync/guard.js";
import { leavesOf, oidOf } from "../sync/leaves.js";
import { inLock } from "../sync/lock.js";
import { withMissingLeaves } from "../sync/outside.js";
import { markSql, overriding, sidesOf, writableList } from "../sync/pairs.js";
import { runPool } from "../sync/pool.js";
import { removeForwardCapture } from "../sync/remove.js";
import { restartCopy } from "../sync/reset.js";
import { mustReadStored, STORE_SQL, type StoredMigration } from "../sync/store.js";
import { tellLeaves } from "../sync/tell-leaves.js";
import { CopyProgress } from "./copy-progress.js";
import type { Phase, PhaseContext } from "./phase.js";
import { blockCells, PieceMap } from "./piece-map.js";

const SQL = {
  measure: /*sql*/ `
UPDATE partway.migration SET blocks = pg_relation_size($2::oid) / current_setting('block_size')::bigint,
       filenode = pg_relation_filenode($2::oid), batch_blocks = $3, phase = 'copy' WHERE id = $1`,
  filenode: /*sql*/ `SELECT pg_relation_filenode($1::oid)::text AS filenode`,
  ledger: /*sql*/ `
INSERT INTO partway.ledger (migration, generation, batch, from_block, to_block, rows) VALUES ($1, $2, $3, $4, $5, $6)`,
  done: /*sql*/ `
SELECT batch::text AS batch, rows::text AS rows FROM partway.ledger WHERE migration = $1 AND generation = $2`,
  truncated: (log: string) =>
    /*sql*/ `SELECT EXISTS (SELECT FROM ${log} WHERE partway_op = 't')::text AS yes`,
} as const;

/** One batch: the rows of blocks [a, b). TIDs cannot be parameters of a TID range scan's plan, numbers can be text. */
export function batchSql(plan: Plan, fromBlock: number | "$a", toBlock: number | "$b"): string {
  const { live, lagging } = sidesOf(plan, "forward");
  return `INSERT INTO ${lagging} (${writableList(plan)}) ${overriding(plan)}
SELECT ${writableList(plan)} FROM ONLY ${live} WHERE ctid >= '(${fromBlock},0)'::tid AND ctid < '(${toBlock},0)'::tid`;
}

/** The size of one file with the filenode of another, bigger one would leave blocks out that no batch misses. */
const measureLock = (live: string): string => `LOCK TABLE ${live} IN ACCESS SHARE MODE`;

function sql(plan: Plan): Statement[] {
  const { live } = sidesOf(plan, "forward");
  return [
    ...logDdl(plan, "forward"),
    ...triggerDdl(plan, "forward", live),
    { sql: measureLock(live), note: "nobody rewrites the table between the two" },
    { sql: SQL.measure.trim(), note: "size and filenode, read after capture is committed" },
    { sql: batchSql(plan, "$a", "$b"), note: "once for each range of blocks, by several workers" },
    { sql: SQL.filenode, note: "in the same transaction: a rewrite of the source starts the copy again" },
    { sql: SQL.ledger.trim(), note: "in the same transaction: the batch is committed exactly once" },
  ];
}

async function installCapture(context: PhaseContext, session: Session): Promise<void> {
  const { plan } = context;
  const { live } = sidesOf(plan, "forward");
  if (await captureStands(session, plan, "forward", plan.source.oid)) return;
  // Nothing is copied yet: what is missing or was disabled is made anew, as a whole.
  await removeForwardCapture(context, session);
  await context.lease.tx(session, async () => {
    for (const statement of logDdl(plan, "forward")) await session.query(statement.sql);
  });
  await inLock(context, session, {
    purpose: "the capture triggers",
    calm: [live],
    strong: [{ table: live, mode: "SHARE ROW EXCLUSIVE" }],
    work: async () => {
      await assertNoDrift(session, plan, plan.source.oid, plan.fingerprint);
      for (const statement of triggerDdl(plan, "forward", live)) await session.query(statement.sql);
    },
  });
}

interface Batch {
  number: number;
  from: number;
  to: number;
}

/** Fixed block ranges of [0, blocks); the last one is open-ended no further than the size seen after capture. */
export function batchesOf(blocks: number, batchBlocks: number): Batch[] {
  const batches: Batch[] = [];
  for (let from = 0; from < blocks; from += batchBlocks) {
    batches.push({ number: batches.length, from, to: Math.min(from + batchBlocks, blocks) });
  }
  return batches;
}

async function copyBatch(
  context: PhaseContext,
  session: Session,
  stored: StoredMigration,
  batch: Batch,
): Promise<number> {
  const { plan, lease } = context;
  return lease.tx(session, async () => {
    await session.query(markSql(plan));
    const { count } = await session.query(batchSql(plan, batch.from, batch.to));
    const { filenode } = await session.one(z.object({ filenode: z.string().nullable() }), SQL.filenode, [
      plan.source.oid,
    ]);
    if (filenode !== stored.filenode) throw new SourceRewritten();
    await session.query(SQL.ledger, [plan.id, stored.generation, batch.number, batch.from, batch.to, count]);
    return count;
  });
}

class SourceRewritten extends Error {}

async function run(context: PhaseContext): Promise<void> {
  const { plan, settings } = context;
  const session = await context.open();
  let stored = await mustReadStored(session, plan.id);
  if (stored.shadowOid === null) await restartCopy(session, context, "the shadow is not there");
  const { live, log } = sidesOf(plan, "forward");
  await assertSameTable(plan, await oidOf(session, live));
  if (stored.blocks !== null) await assertCaptured(session, plan);
  await installCapture(context, session);
  if (stored.blocks === null) {
    const measure = async (): Promise<void> => {
      await session.query(SQL.measure, [plan.id, plan.source.oid, settings.batchBlocks]);
    };
    await context.lease.tx(session, measure, { lock: measureLock(live) });
    stored = await mustReadStored(session, plan.id);
  }
  const done = await session.rows(z.object({ batch: z.coerce.number(), rows: z.coerce.number() }), SQL.done, [
    plan.id,
    stored.generation,
  ]);
  const committed = new Set(done.map((row) => row.batch));
  // The batch size of this generation is the database's: another --batch-blocks on resume must not shift the ranges.
  const batches = batchesOf(stored.blocks ?? 0, stored.batchBlocks ?? settings.batchBlocks);
  const progress = new CopyProgress(context, {
    rowsEstimated: Math.max(plan.source.estimatedRows, 0),
    batchesTotal: batches.length,
    rowsDone: done.reduce((sum, row) => sum + row.rows, 0),
    batchesDone: committed.size,
    workers: settings.workers,
  });
  tellLeaves(context, await leavesOf(session, stored.shadowOid ?? "0"));
  const cells = blockCells(batches.length);
  const map = new PieceMap(context, { phase: "copy", of: "blocks" }, cells.whole);
  for (const batch of committed) map.count(cells.cellOf(batch));
  const sessions = [session];
  while (sessions.length < Math.max(1, settings.workers)) sessions.push(await context.open());
  const waiting = batches.filter((batch) => !committed.has(batch.number));
  const generation = stored.generation;
  try {
    await runPool(sessions, waiting, context.heavy, async (worker, batch) => {
      const started = performance.now();
      const cell = cells.cellOf(batch.number);
      map.begin(worker.pid, cell, `blocks ${batch.from} to ${batch.to}`);
      const rows = await withLeaves(context, worker, batch, () => copyBatch(context, worker, stored, batch));
      const ms = performance.now() - started;
      context.record.batch({ generation, batch: batch.number, rows, ms });
      progress.add(rows);
      map.end(worker.pid, cell);
    });
  } catch (error) {
    if (!(error instanceof SourceRewritten)) throw error;
    await restartCopy(
      session,
      context,
      "the source was rewritten (VACUUM FULL, CLUSTER, pg_repack or ALTER TABLE)",
    );
  }
  progress.finish();
  const { yes } = await session.one(z.object({ yes: z.string() }), SQL.truncated(log));
  if (yes === "true") await restartCopy(session, context, "the source was truncated");
  await context.lease.tx(session, async () => {
    await session.query(STORE_SQL.setPhase, [plan.id, "index"]);
  });
}

/** Runs a batch; when a row lies outside every leaf (it arrived after preflight), makes its leaf and tries again. */
function withLeaves<T>(
  context: PhaseContext,
  session: Session,
  batch: Batch,
  work: () => Promise<T>,
): Promise<T> {
  const { live } = sidesOf(context.plan, "forward");
  const rows = `FROM ONLY ${live} AS s WHERE s.ctid >= '(${batch.from},0)'::tid AND s.ctid < '(${batch.to},0)'::tid`;
  return withMissingLeaves(session, context, rows, work);
}

/** Removes the capture triggers, their function and the log. The shadow is the shadow phase's to drop. */
async function undo(context: PhaseContext): Promise<void> {
  await removeForwardCapture(context, await context.open());
}

export const copy = { name: "copy", sql, run, undo } satisfies Phase;
