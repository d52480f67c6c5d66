/** Making capture from the write-ahead log: publication, then slot, then whoever was writing has ended. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "../pg/session.js";
import { logDdl } from "../sync/capture.js";
import { assertNoDrift } from "../sync/guard.js";
import { inLock, type LockContext } from "../sync/lock.js";
import { sidesOf } from "../sync/pairs.js";
import { removeForwardCapture } from "../sync/remove.js";
import { enterPosition, makeSlot, positionDdl, publicationSql, whyLost, writing } from "./slot.js";

/**
 * Makes it unless it stands; to be called as long as nothing is copied. When this resolves, every later change of the
 * source is read from the slot, and every earlier one is seen by the snapshots to come: the same as with triggers
 * committed first. No writer waits. Errors: `refused` when another database has a slot of that name.
 */
export async function installWal(context: LockContext, session: Session): Promise<void> {
  if ((await whyLost(session, context.plan)) !== null) await make(context, session);
  // Also where it stands: who made it may have been killed before it had waited.
  await untilSeen(context, session);
}

async function make(context: LockContext, session: Session): Promise<void> {
  const { plan, lease } = context;
  // Nothing is copied yet: what is missing or was touched is made anew, as a whole.
  await removeForwardCapture(context, session);
  const { live, log } = sidesOf(plan, "forward");
  await lease.tx(session, async () => {
    for (const statement of logDdl(plan, "forward")) await session.query(statement.sql);
    // What another slot left there has a gap behind it.
    await session.query(`DELETE FROM ${log}`);
    await session.query(positionDdl(plan));
  });
  await inLock(context, session, {
    purpose: "the publication",
    // CREATE PUBLICATION takes no stronger one.
    calm: [live],
    strong: [],
    work: async () => {
      await assertNoDrift(session, plan, plan.source.oid, plan.fingerprint);
      await session.query(publicationSql(plan));
    },
  });
  await saidWhenLong(context, async () => {
    const made = await makeSlot(session, plan);
    await lease.tx(session, () => enterPosition(session, plan, made));
  });
}

/** Committed in the log before the slot begins, and not yet seen by a snapshot: it would be in neither. */
async function untilSeen(context: LockContext, session: Session): Promise<void> {
  await saidWhenLong(context, async () => {
    const { next } = await writing(session);
    while ((await writing(session)).oldest < next) await sleep(50, undefined, { signal: context.signal });
  });
}

/** A slot waits as long as the oldest writer takes; that is said. */
async function saidWhenLong({ emit }: LockContext, work: () => Promise<void>): Promise<void> {
  const message =
    "waiting for writing transactions to end, to make the replication slot; nobody waits for this. See pg_stat_activity (backend_xid) and pg_prepared_xacts";
  const timer = setTimeout(() => emit({ event: "log", level: "warn", message }), 3000);
  try {
    await work();
  } finally {
    clearTimeout(timer);
  }
}
