/** Acquire, last drain, check, swap, commit: within the hold budget, in bounded tries (DESIGN 3.6). */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, PartwayError } from "../errors.js";
import { acquireLocks, cancelledOutside, deadlockTimeoutMs, localSetting } from "../pg/locks.js";
import type { Param, Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { Carry } from "../plan/carry.js";
import { openFallback } from "../plan/fallback.js";
import type { Statement } from "../plan/types.js";
import {
  APPLY_SETTINGS,
  APPLY_SETTINGS_OFF,
  applyInside,
  applySql,
  planApply,
  TruncateSeen,
} from "./apply.js";
import { type DrainOptions, drainBriefly } from "./drain.js";
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
  /** What goes over with the name; asked before the lock. */
  carry(): Promise<Carry>;
  /** Rollback: changes whenever what `carry` gives may have changed; cheap, it is asked again inside the lock. */
  mark?(): Promise<string>;
  /** Brings what is not in the change log yet; false: there is more. `locked`: inside the lock, in its transaction. */
  fill?: { beside: NonNullable<DrainOptions["fill"]>; locked(observer: Session): Promise<boolean> };
  /** Done inside the lock, before the names are swapped. */
  first?: readonly Statement[];
  /** Looks for drift inside the lock; gives the indexes that are no longer there to be renamed. */
  check(): Promise<ReadonlySet<string>>;
  /** The row that records the swap, in the same transaction. */
  commit: { sql: string; params: Param[] };
}

/** Made by the looks and the drain before the locks: the big ones are not planned while everybody waits. */
export const GENERIC_PLANS = "SET plan_cache_mode = force_generic_plan";

/** Log rows applied inside the lock, at most: a quarter of a second's (DESIGN 8). */
export const LOCKED_LOG = 5000;

/** The drain before a try is a courtesy: this or a lock that it waits for ends it, and the try is made all the same. */
const BESIDE_STATEMENT_MS = 5000;

/** Swaps that had to be rolled back although the locks were held are made this many times. */
const HOLD_TRIES = 5;

/** The swap was rolled back; the same may succeed later. */
class RolledBack extends Error {}

/** What the next drain puts right: a truncation starts the copy again (or rebuilds), a row gets its missing leaf. */
function drainMends(error: unknown): boolean {
  const state = sqlState(error);
  return (
    error instanceof TruncateSeen || state === SQLSTATE.checkViolation || state === SQLSTATE.notNullViolation
  );
}

/** Performs the swap. Errors: `lock-busy` (locks or hold budget), `drift`, `fenced`, a lost connection (unknown). */
export async function swapWithinBounds(context: SwapContext, session: Session, swap: Swap): Promise<void> {
  const { plan, settings } = context;
  const deadlockMs = await deadlockTimeoutMs(session);
  await session.query(GENERIC_PLANS);
  for (let attempt = 1; ; attempt++) {
    await swap.drain();
    const apply: DrainOptions = {
      ...{ plan, lease: context.lease, sides: sidesOf(plan, swap.direction) },
      ...(swap.fill === undefined ? {} : { fill: swap.fill.beside }),
    };
    await planApply(session, apply);
    const observer = await context.open();
    const beside = await besideSession(context);
    const watch = new StallWatch(observer, swap.oids, session.pid);
    try {
      const ready = () => drainBriefly(beside, apply);
      const done = await swapOnce(context, session, observer, swap, { deadlockMs, ready });
      const longestStallMs = await watch.stop();
      const facts = { direction: swap.direction, ...done, longestStallMs };
      const { drainedKeys, ...row } = facts;
      context.record.cutover(row);
      context.emit({ event: "cutover", drainedKeys, ...row });
      return;
    } catch (error) {
      if (drainMends(error) && attempt < HOLD_TRIES) continue;
      if (drainMends(error)) throw keepsComing(plan.id, error);
      if (!(error instanceof RolledBack)) throw error;
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
      await beside.end();
    }
  }
}

/**
 * Where the log is drained while the locks are sought. Whoever waits for the table behind our SHARE UPDATE EXCLUSIVE has
 * its ACCESS SHARE wait in turn: that circle goes through this process, and no deadlock check sees it. So it waits no
 * longer than a first try does.
 */
async function besideSession(context: SwapContext): Promise<Session> {
  const session = await context.open();
  await session.query(
    `SET lock_timeout = ${context.settings.lockTimeoutMs}; SET statement_timeout = ${BESIDE_STATEMENT_MS}`,
  );
  return session;
}

/** The drain before each try mended it, and before the lock was had the next one came. */
function keepsComing(id: string, error: unknown): PartwayError {
  return new PartwayError(
    "lock-busy",
    {
      what: `rows that the other table has no place for yet, or a TRUNCATE, came between the last drain and the lock, ${HOLD_TRIES} times one after the other (${messageOf(error)})`,
      state:
        "Every try was rolled back: nothing was switched, nothing is lost. The run waits and can be resumed.",
      next: `partway resume ${id}, at a moment when the application begins no new interval and truncates nothing`,
    },
    { cause: error },
  );
}

async function swapOnce(
  context: SwapContext,
  session: Session,
  observer: Session,
  swap: Swap,
  { deadlockMs, ready }: { deadlockMs: number; ready(): Promise<void> },
): Promise<{ tries: number; waitedMs: number; heldMs: number; drainedKeys: number }> {
  const { plan, settings } = context;
  const sides = sidesOf(plan, swap.direction);
  // Read first: a change between the two is told by the mark.
  const mark = await swap.mark?.();
  const carried = await swap.carry();
  const locked: Parameters<typeof lockRequest>[1] = {
    purpose: swap.direction === "forward" ? "cutover" : "rollback",
    calm: [sides.lagging, sides.live],
    strong: [
      { table: sides.lagging, mode: "ACCESS EXCLUSIVE" },
      ...carried.views.map((alter) => ({ alter })),
      ...carried.tables.map((table) => ({ table, mode: "ACCESS EXCLUSIVE" as const })),
      { table: sides.live, mode: "ACCESS EXCLUSIVE" },
    ],
  };
  // The budget bounds the statements; a process that is stopped between two of them sends none.
  const request = { ...lockRequest(context, locked, Math.max(1000, settings.holdBudgetMs)), ready };
  await session.begin();
  const bound = { from: 0, ms: 0 };
  try {
    const { tries, waitedMs } = await acquireLocks(session, observer, request, deadlockMs);
    const heldFrom = performance.now();
    /** What is left of the hold budget bounds the next statements: together they must not exceed it. */
    const budget = (): string => {
      const inside = performance.now() - heldFrom;
      if (inside >= settings.holdBudgetMs) throw exceeded(settings.holdBudgetMs, inside);
      Object.assign(bound, { from: performance.now(), ms: settings.holdBudgetMs - inside });
      return localSetting("statement_timeout", Math.ceil(bound.ms));
    };
    // Settings go in one message: every answer that is waited for here is waited for by the application too.
    await session.query(`${budget()}; ${markSql(plan)}; ${APPLY_SETTINGS}`);
    await context.lease.check(session);
    if (swap.fill !== undefined) {
      if (!(await swap.fill.locked(observer))) throw new RolledBack(tooMany());
      await session.query(budget());
    }
    const apply = applySql(plan, sides, false);
    const drainedKeys = await applyInside(session, apply, LOCKED_LOG, `apply_${swap.direction}`);
    // A bulk load committed in that moment: it is drained without the lock, where nobody waits for it.
    if (drainedKeys === LOCKED_LOG) throw new RolledBack(tooMany());
    // The planner settings of the apply made the catalog queries of the check 40 times slower (761 leaves: 5.6 s).
    await session.query(`${APPLY_SETTINGS_OFF}; ${budget()}`);
    const gone = await swap.check();
    // A cutover's drift check has said that nothing changed; a rollback takes the new table as it is.
    if (mark !== (await swap.mark?.()))
      throw new RolledBack("a view, trigger or foreign key was changed while the lock was sought");
    const sequences = sequenceSql(plan, swap.direction);
    const opened = swap.direction === "forward" ? openFallback(plan) : [];
    await session.query(budget());
    const text = (statements: readonly Statement[]) => statements.map(({ sql }) => `${sql};`).join("\n");
    const first = swap.first === undefined ? "" : `${text(swap.first)}\n`;
    const rest = text([...opened, ...carried.inside]);
    await session.query(`${first}${renameSql(plan, swap.direction, gone)}\n${sequences}\n${rest}`);
    await session.query(swap.commit.sql, swap.commit.params);
    const held = performance.now() - heldFrom;
    if (held > settings.holdBudgetMs) throw exceeded(settings.holdBudgetMs, held);
    await session.commit();
    return { tries, waitedMs, heldMs: performance.now() - heldFrom, drainedKeys };
  } catch (error) {
    if (session.inTransaction) await session.rollback();
    const state = sqlState(error);
    if (cancelledOutside(error, performance.now() - bound.from, bound.ms)) throw error;
    if (state === SQLSTATE.queryCanceled) throw exceeded(settings.holdBudgetMs, settings.holdBudgetMs);
    // Not the tables (those locks are held): a sequence that an open transaction has taken a number from, or a slot.
    const isBusy = state === SQLSTATE.lockNotAvailable || state === SQLSTATE.objectInUse;
    if (isBusy || state === SQLSTATE.deadlockDetected)
      throw new RolledBack(
        `something was in the way inside the lock (${messageOf(error)}), and all was rolled back`,
      );
    throw error;
  }
}

function tooMany(): string {
  return `more than ${LOCKED_LOG} changes came between the last drain and the lock`;
}

function exceeded(budgetMs: number, ms: number): RolledBack {
  return new RolledBack(
    `the work inside the lock took ${Math.round(ms)} ms, more than the hold budget of ${budgetMs} ms, and was rolled back`,
  );
}
