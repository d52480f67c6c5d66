/** Acquire, last drain, check, swap, commit: within the hold budget, in bounded tries (DESIGN 3.6). */
import { setTimeout as sleep } from "node:timers/promises";
import { PartwayError } from "../errors.js";
import { acquireLocks, deadlockTimeoutMs, setLocal } from "../pg/locks.js";
import type { Param, Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { APPLY_SETTINGS, APPLY_SETTINGS_OFF, applyInside, applySql, WHOLE_LOG } from "./apply.js";
import { type LockContext, lockRequest } from "./lock.js";
import { type Direction, markSql, sidesOf } from "./pairs.js";
import { renameSql, StallWatch, sequenceSql } from "./swap.js";

export interface SwapContext extends LockContext {
  settings: LockContext["settings"] & { holdBudgetMs: number };
  record: {
    cutover(row: {
      direction: string;
      tries: number;
      waitedMs: number;
      heldMs: number;
      longestStallMs: number;
    }): void;
  };
}

export interface Swap {
  direction: Direction;
  /** Both tables' OIDs, for the stall watch. */
  oids: string[];
  /** Drains until the log is short, on the session that will hold the locks, so its statements are prepared. */
  drain(): Promise<unknown>;
  /** Looks for drift inside the lock. */
  check(): Promise<void>;
  /** The row that records the swap, in the same transaction. */
  commit: { sql: string; params: Param[] };
}

/** Swaps that outlast the hold budget are rolled back and tried again this many times. */
const HOLD_TRIES = 5;

class HoldBudgetExceeded extends Error {}

/** Performs the swap. Errors: `lock-busy` (locks or hold budget), `drift`, `fenced`, a lost connection (unknown). */
export async function swapWithinBounds(context: SwapContext, session: Session, swap: Swap): Promise<void> {
  const { plan, settings } = context;
  const deadlockMs = await deadlockTimeoutMs(session);
  // Generic plans, made by the drain before the locks: nothing is planned while everybody waits.
  await session.query("SET plan_cache_mode = force_generic_plan");
  for (let attempt = 1; ; attempt++) {
    await swap.drain();
    const observer = await context.open();
    const watch = new StallWatch(observer, swap.oids, session.pid);
    try {
      const done = await swapOnce(context, session, observer, swap, deadlockMs);
      const longestStallMs = await watch.stop();
      const facts = { direction: swap.direction, ...done, longestStallMs };
      const { drainedKeys, ...row } = facts;
      context.record.cutover(row);
      context.emit({ event: "cutover", drainedKeys, ...row });
      return;
    } catch (error) {
      if (!(error instanceof HoldBudgetExceeded)) throw error;
      context.emit({ event: "log", level: "warn", message: error.message });
      if (attempt >= HOLD_TRIES) {
        throw new PartwayError("lock-busy", {
          what: `${error.message}; tried ${attempt} times`,
          state:
            "Every try was rolled back: nothing was switched, nothing is lost. The run waits and can be resumed.",
          next: `partway resume ${plan.id} --hold-budget ${settings.holdBudgetMs * 2}ms, or at a quieter time`,
        });
      }
      await sleep(1000 * attempt, undefined, { signal: context.signal });
    } finally {
      await watch.stop();
      await observer.end();
    }
  }
}

async function swapOnce(
  context: SwapContext,
  session: Session,
  observer: Session,
  swap: Swap,
  deadlockMs: number,
): Promise<{ tries: number; waitedMs: number; heldMs: number; drainedKeys: number }> {
  const { plan, settings } = context;
  const sides = sidesOf(plan, swap.direction);
  const request = lockRequest(context, {
    purpose: swap.direction === "forward" ? "cutover" : "rollback",
    calm: [sides.lagging, sides.live],
    strong: [
      { table: sides.lagging, mode: "ACCESS EXCLUSIVE" },
      { table: sides.live, mode: "ACCESS EXCLUSIVE" },
    ],
  });
  await session.begin();
  try {
    const { tries, waitedMs } = await acquireLocks(session, observer, request, deadlockMs);
    const heldFrom = performance.now();
    await setLocal(session, "statement_timeout", settings.holdBudgetMs);
    await context.lease.check(session);
    await session.query(markSql(plan));
    for (const setting of APPLY_SETTINGS) await session.query(setting);
    const apply = applySql(plan, sides, false);
    const drainedKeys = await applyInside(session, apply, WHOLE_LOG, `apply_${swap.direction}`);
    // The planner settings of the apply made the catalog queries of the check 40 times slower (761 leaves: 5.6 s).
    for (const setting of APPLY_SETTINGS_OFF) await session.query(setting);
    await swap.check();
    const sequences = sequenceSql(plan, swap.direction);
    await session.query(`${renameSql(plan, swap.direction)}\n${sequences}`);
    await session.query(swap.commit.sql, swap.commit.params);
    const inside = performance.now() - heldFrom;
    if (inside > settings.holdBudgetMs) throw exceeded(settings.holdBudgetMs, inside);
    await session.commit();
    return { tries, waitedMs, heldMs: performance.now() - heldFrom, drainedKeys };
  } catch (error) {
    if (session.inTransaction) await session.rollback();
    if (sqlState(error) === SQLSTATE.queryCanceled)
      throw exceeded(settings.holdBudgetMs, settings.holdBudgetMs);
    throw error;
  }
}

function exceeded(budgetMs: number, ms: number): HoldBudgetExceeded {
  return new HoldBudgetExceeded(
    `the work inside the lock took ${Math.round(ms)} ms, more than the hold budget of ${budgetMs} ms, and was rolled back`,
  );
}
