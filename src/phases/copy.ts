/**
 * Capture, then copy (DESIGN 3.1, 3.2). The triggers are committed before the first batch's snapshot and before the
 * size is read. Batches are ctid block ranges; each is one transaction that checks the epoch, copies, reads the
 * filenode again and writes its ledger row, so a batch is done exactly once whatever crashes. The ledger's rows say which
 * blocks they stand for: what is left is the gaps between them, in whatever sizes (copy-ranges.ts, batch-size.ts).
 */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import type { Plan, Statement } from "../plan/types.js";
import { captureStands, logDdl, triggerDdl } from "../sync/capture.js";
import { assertCaptured, assertNoDrift, assertSameTable } from "../sync/guard.js";
import { leavesOf, oidOf } from "../sync/leaves.js";
import { inLock } from "../sync/lock.js";
import { withMissingLeaves } from "../sync/outside.js";
import { markSql, overriding, REPEATABLE, sidesOf, writableList } from "../sync/pairs.js";
import { runPool, type Tasks } from "../sync/pool.js";
import { removeForwardCapture } from "../sync/remove.js";
import { restartCopy } from "../sync/reset.js";
import { mustReadStored, STORE_SQL, type StoredMigration } from "../sync/store.js";
import { tellLeaves } from "../sync/tell-leaves.js";
import { alongside } from "../wal/alongside.js";
import { fillToNow } from "../wal/fill.js";
import { readsWal } from "../wal/identity.js";
import { installWal } from "../wal/install.js";
import { walStatements } from "../wal/slot.js";
import { BatchServo, type BatchSize, fixedSize } from "./batch-size.js";
import { CopyProgress } from "./copy-progress.js";
import { copiedTwice, type Range, Ranges, unitFor } from "./copy-ranges.js";
import type { Phase, PhaseContext, Settings } from "./phase.js";
import { blockCells, PieceMap } from "./piece-map.js";

const SQL = {
  measure: /*sql*/ `
UPDATE partway.migration SET blocks = pg_relation_size($2::oid) / current_setting('block_size')::bigint,
       filenode = pg_relation_filenode($2::oid), batch_blocks = $3, phase = 'copy' WHERE id = $1`,
  filenode: /*sql*/ `SELECT pg_relation_filenode($1::oid)::text AS filenode`,
  /**
   * The batch's number is its first unit. Rows of a ledger have no block in common, so the last one that begins before
   * this one's end ($7, in units) is the only one that could share a block with it: the subquery sees those of before.
   */
  ledger: /*sql*/ `
INSERT INTO partway.ledger (migration, generation, batch, from_block, to_block, rows)
VALUES ($1, $2, $3, $4::bigint, $5, $6)
RETURNING coalesce((SELECT l.to_block > $4::bigint FROM partway.ledger l
                     WHERE l.migration = $1 AND l.generation = $2 AND l.batch < $7::bigint
                     ORDER BY l.batch DESC LIMIT 1), false)::text AS overlaps`,
  done: /*sql*/ `
SELECT from_block::text AS from, to_block::text AS to, rows::text AS rows FROM partway.ledger
 WHERE migration = $1 AND generation = $2`,
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
    ...(readsWal(plan) ? walStatements(plan) : triggerDdl(plan, "forward", live)),
    { sql: measureLock(live), note: "nobody rewrites the table between the two" },
    { sql: SQL.measure.trim(), note: "size and filenode, read after capture is committed" },
    { sql: batchSql(plan, "$a", "$b"), note: "once for each range of blocks, by several workers" },
    { sql: SQL.filenode, note: "in the same transaction: a rewrite of the source starts the copy again" },
    { sql: SQL.ledger.trim(), note: "in the same transaction: the batch is committed exactly once" },
  ];
}

async function installCapture(context: PhaseContext, session: Session): Promise<void> {
  const { plan } = context;
  if (readsWal(plan)) return installWal(context, session);
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

/** A TRUNCATE from before a copy that begins again is read from the slot after it, and would have it begin once more. */
async function forgetTruncates(context: PhaseContext, session: Session): Promise<void> {
  const { plan, lease } = context;
  if (!readsWal(plan)) return;
  await fillToNow(session, context);
  await lease.tx(session, async () => {
    await session.query(`DELETE FROM ${sidesOf(plan, "forward").log} WHERE partway_op = 't'`);
  });
}

async function copyBatch(
  context: PhaseContext,
  session: Session,
  stored: StoredMigration,
  unit: number,
  batch: Range,
): Promise<number> {
  const { plan, lease } = context;
  return lease.tx(session, async () => {
    await session.query(`${markSql(plan)}; ${REPEATABLE}`);
    const { count } = await session.query(batchSql(plan, batch.from, batch.to));
    const { filenode } = await session.one(z.object({ filenode: z.string().nullable() }), SQL.filenode, [
      plan.source.oid,
    ]);
    if (filenode !== stored.filenode) throw new SourceRewritten();
    const units = [batch.from / unit, Math.ceil(batch.to / unit)] as const;
    const row = [plan.id, stored.generation, units[0], batch.from, batch.to, count, units[1]];
    const { overlaps } = await session.one(z.object({ overlaps: z.string() }), SQL.ledger, row);
    if (overlaps === "true") throw copiedTwice(batch);
    return count;
  });
}

class SourceRewritten extends Error {}

const LedgerRow = z.object({ from: z.coerce.number(), to: z.coerce.number(), rows: z.coerce.number() });

function sizeOf({ batchBlocks, batchTimeMs, throttle }: Settings, unit: number): BatchSize {
  if (batchTimeMs === 0) return fixedSize(batchBlocks);
  return new BatchServo({ targetMs: batchTimeMs, limitMs: throttle.maxBatchMs, least: unit });
}

async function run(context: PhaseContext): Promise<void> {
  const { plan, settings } = context;
  const session = await context.open();
  let stored = await mustReadStored(session, plan.id);
  if (stored.shadowOid === null) await restartCopy(session, context, "the shadow is not there");
  const { live, log } = sidesOf(plan, "forward");
  await assertSameTable(plan, await oidOf(session, live));
  if (stored.blocks !== null) {
    // Never made anew beside what is copied: changes until then would be lost.
    await assertCaptured(session, plan);
  } else {
    await installCapture(context, session);
    await forgetTruncates(context, session);
    const measure = async (): Promise<void> => {
      await session.query(SQL.measure, [plan.id, plan.source.oid, unitFor(settings.batchBlocks)]);
    };
    await context.lease.tx(session, measure, { lock: measureLock(live) });
    stored = await mustReadStored(session, plan.id);
  }
  const done = await session.rows(LedgerRow, SQL.done, [plan.id, stored.generation]);
  const blocks = stored.blocks ?? 0;
  // The unit of this generation is the database's: another --batch-blocks on resume must not shift the numbers.
  const unit = stored.batchBlocks ?? unitFor(settings.batchBlocks);
  const ranges = new Ranges(blocks, unit, done);
  const size = sizeOf(settings, unit);
  const workers = Math.max(1, settings.workers);
  const next = () => ranges.whole(size.next(ranges.left, workers));
  const progress = new CopyProgress(context, {
    rowsEstimated: Math.max(plan.source.estimatedRows, 0),
    blocksTotal: blocks,
    rowsDone: done.reduce((sum, row) => sum + row.rows, 0),
    blocksDone: blocks - ranges.left,
    batchesDone: done.length,
    batchBlocks: next(),
    workers: settings.workers,
  });
  if (settings.workersWhy !== null) {
    const message = `${workers} ${workers === 1 ? "connection copies" : "connections copy"}: ${settings.workersWhy}`;
    context.emit({ event: "log", level: "info", message });
  }
  tellLeaves(context, await leavesOf(session, stored.shadowOid ?? "0"));
  const cells = blockCells(Math.ceil(blocks / unit));
  const map = new PieceMap(context, { phase: "copy", of: "blocks" }, cells.whole);
  const count = ({ from, to }: Range): void => {
    for (let at = from / unit; at < to / unit; at += 1) map.count(cells.cellOf(at));
  };
  for (const range of done) count(range);
  const sessions = [session];
  while (sessions.length < workers) sessions.push(await context.open());
  const generation = stored.generation;
  const waiting: Tasks<Range> = {
    get left() {
      return ranges.left;
    },
    take: () => ranges.take(next()),
  };
  try {
    const copyOne = async (worker: Session, batch: Range): Promise<void> => {
      let started = performance.now();
      const number = batch.from / unit;
      map.begin(worker.pid, cells.cellOf(number), `blocks ${batch.from} to ${batch.to}`);
      const rows = await withLeaves(context, worker, batch, () => {
        // Again after a leaf was made for it: that is not the batch's own time.
        started = performance.now();
        return copyBatch(context, worker, stored, unit, batch);
      });
      const ms = performance.now() - started;
      context.record.batch({ generation, batch: number, rows, ms });
      size.took(batch.to - batch.from, ms);
      progress.add(rows, batch.to - batch.from, next());
      count(batch);
      map.end(worker.pid, null);
    };
    await alongside(context, ({ heavy }) => runPool(sessions, waiting, heavy, copyOne));
  } catch (error) {
    if (!(error instanceof SourceRewritten)) throw error;
    await restartCopy(
      session,
      context,
      "the source was rewritten (VACUUM FULL, CLUSTER, pg_repack or ALTER TABLE)",
    );
  }
  progress.finish();
  // Every row that moved while it was copied stands in the log, before rows that were copied twice are looked for.
  if (readsWal(plan)) await fillToNow(session, context);
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
  batch: Range,
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
