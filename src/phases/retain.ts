/**
 * The retention window: the retired table is kept current by the reverse change log, the verdict is told every second,
 * and the deadline is the database's clock, stored in the database (DESIGN 3.8). Ends when the deadline has passed.
 */
import type { Session } from "../pg/session.js";
import type { Plan, Statement } from "../plan/types.js";
import { applySql } from "../sync/apply.js";
import { leafTriggerDdl } from "../sync/capture.js";
import { finishCarried } from "../sync/carried.js";
import { rest } from "../sync/drain.js";
import { filenodeOf } from "../sync/guard.js";
import { type LeafRow, leavesOf } from "../sync/leaves.js";
import { inLock } from "../sync/lock.js";
import { pairList, sidesOf } from "../sync/pairs.js";
import {
  catchUpReverse,
  followAgain,
  followReverse,
  refusedByRetired,
  tellRefused,
} from "../sync/reverse.js";
import { mustReadStored, STORE_SQL, type StoredMigration } from "../sync/store.js";
import { leavesWithoutCapture, verdict, windowFingerprints } from "../sync/verdict.js";
import type { Phase, PhaseContext } from "./phase.js";
import { SizeReader, type WindowSizes } from "./window-sizes.js";

function sql(plan: Plan): Statement[] {
  const apply = applySql(plan, sidesOf(plan, "reverse"), false);
  return [
    { sql: apply.pick, note: "reverse apply, one REPEATABLE READ transaction a batch" },
    { sql: apply.remove },
    { sql: apply.insert },
    { sql: apply.forget },
  ];
}

async function rememberDefinitions(
  context: PhaseContext,
  session: Session,
  shadowOid: string,
): Promise<void> {
  const prints = await windowFingerprints(session, context.plan, shadowOid);
  await context.lease.tx(session, async () => {
    await session.query(STORE_SQL.setFingerprint, [context.plan.id, JSON.stringify(prints)]);
  });
}

/**
 * A leaf attached during the window inherits the row trigger but not the truncate trigger: it gets its own. The rows
 * it brought along were never logged: they are now. A leaf whose file is not its first one may have been truncated
 * before anybody looked: a marker has the retired table rebuilt.
 */
async function captureNewLeaves(context: PhaseContext, session: Session, shadowOid: string): Promise<void> {
  const { plan } = context;
  const without = new Set(await leavesWithoutCapture(session, plan, shadowOid));
  if (without.size === 0) return;
  const known = new Set(plan.leaves.map((leaf) => leaf.name));
  const added = (await leavesOf(session, shadowOid)).filter(
    (leaf) => without.has(leaf.name) && !known.has(leaf.name),
  );
  for (const leaf of added) {
    await logRows(context, session, leaf);
    await inLock(context, session, {
      purpose: `capture of TRUNCATE on the new leaf ${leaf.name}`,
      calm: [leaf.table],
      strong: [{ table: leaf.table, mode: "SHARE ROW EXCLUSIVE" }],
      work: async () => {
        for (const statement of leafTriggerDdl(plan, leaf.table)) await session.query(statement.sql);
        if ((await filenodeOf(session, leaf.oid)) !== leaf.oid)
          await session.query(`INSERT INTO ${sidesOf(plan, "reverse").log} (partway_op) VALUES ('t')`);
      },
    });
    context.emit({
      event: "log",
      level: "info",
      message: `leaf ${leaf.name} was added: its TRUNCATE is captured too`,
    });
  }
}

/** Before the leaf's triggers are complete, so that a crash in between does it again. A pair too many is harmless. */
async function logRows(context: PhaseContext, session: Session, leaf: LeafRow): Promise<void> {
  const { plan, lease } = context;
  const { log } = sidesOf(plan, "reverse");
  await lease.tx(session, async () => {
    await session.query(
      `INSERT INTO ${log} (${pairList(plan)}) SELECT ${pairList(plan, "s")} FROM ${leaf.table} AS s`,
    );
  });
}

/** Stores the definitions that the verdict compares with, if the cutover has not left them yet. */
export async function beginWindow(context: PhaseContext): Promise<void> {
  const session = await context.open();
  const stored = await mustReadStored(session, context.plan.id);
  if (stored.fingerprintJson === null && stored.shadowOid !== null)
    await rememberDefinitions(context, session, stored.shadowOid);
  // A machine that was lost right after cutover may have left foreign keys that are not validated yet.
  if (stored.shadowOid !== null) await finishCarried(context, session, "forward", stored.shadowOid);
}

/** Tells deadline and verdict; gives the seconds left by the database's clock. */
async function tellWindow(
  context: PhaseContext,
  session: Session,
  stored: StoredMigration,
  sizes: WindowSizes = {},
): Promise<number> {
  const now = await verdict(session, context.plan, stored);
  const secondsLeft = stored.secondsLeft ?? 0;
  context.emit({
    event: "window",
    deadline: stored.deadline ?? "",
    secondsLeft: Math.max(0, secondsLeft),
    safe: now.safe,
    verdict: now.sentence,
    keysBehind: now.keysBehind,
    ...sizes,
  });
  return secondsLeft;
}

/** Without --hold: the retired table is brought up to date once, and the verdict told. */
export async function tendOnce(context: PhaseContext): Promise<void> {
  await beginWindow(context);
  const session = await context.open();
  const stored = await mustReadStored(session, context.plan.id);
  if (stored.shadowOid !== null) await captureNewLeaves(context, session, stored.shadowOid);
  if (context.settings.repair) await followAgain(session, context);
  await catchUpReverse(session, context).catch((error: unknown) => {
    if (!refusedByRetired(error)) throw error;
    tellRefused(context, error);
  });
  await tellWindow(
    context,
    session,
    stored,
    await new SizeReader().read(session, context.plan.source.oid, stored.shadowOid),
  );
}

async function run(context: PhaseContext): Promise<void> {
  const { plan, signal } = context;
  await beginWindow(context);
  const session = await context.open();
  const worker = await context.open();
  if (context.settings.repair) await followAgain(session, context);
  const ended = new AbortController();
  const until = AbortSignal.any([signal, ended.signal]);
  let failure: { error: unknown } | null = null;
  const following = followReverse(worker, context, until).catch((error: unknown) => {
    failure = { error };
    ended.abort();
  });
  try {
    const measured = new SizeReader();
    while (!until.aborted) {
      const stored = await mustReadStored(session, plan.id);
      if (stored.shadowOid !== null) await captureNewLeaves(context, session, stored.shadowOid);
      const sizes = await measured.read(session, plan.source.oid, stored.shadowOid);
      const secondsLeft = await tellWindow(context, session, stored, sizes);
      if (secondsLeft <= 0) break;
      await rest(Math.min(1000, secondsLeft * 1000), until);
    }
  } finally {
    ended.abort();
    await following;
  }
  rethrow(failure);
  signal.throwIfAborted();
}

function rethrow(failure: { error: unknown } | null): void {
  if (failure !== null) throw failure.error;
}

/** What undoes the window is `partway rollback`. */
async function undo(): Promise<void> {
  return Promise.resolve();
}

export const retain = { name: "retain", sql, run, undo } satisfies Phase;
