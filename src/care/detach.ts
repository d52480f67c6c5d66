/** DETACH CONCURRENTLY and its FINALIZE, in tries: a wait in a lock's queue holds up who comes behind it. */
import { setTimeout as sleep } from "node:timers/promises";
import { PartwayError } from "../errors.js";
import { cancelledOutside } from "../pg/locks.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { assertCalled } from "./called.js";
import { CARE_SQL, type Leaving, Present } from "./store.js";
import { type CareTable, shownName } from "./table.js";
import type { CareWork } from "./work.js";

export type DetachableLeaf = Pick<Leaving, "oid" | "schema" | "name">;

/**
 * True when the leaf is a table of its own; false when transactions outlast our patience: then the detach stays
 * pending, and the next run finishes it. Errors: `lock-busy` when it could not even be begun.
 */
export async function detachPatiently(
  work: CareWork,
  table: CareTable,
  leaf: DetachableLeaf,
): Promise<boolean> {
  const { session, settings, signal } = work;
  const [timeoutMs, began] = [settings.lockTimeoutMaxMs, performance.now()];
  const purpose = `detach of ${leaf.name}`;
  const stateNow = async () => {
    const row = await session.maybe(Present, CARE_SQL.detaching, [leaf.oid, table.oid]);
    return row === null ? "detached" : row.present === "true" ? "pending" : "attached";
  };
  const { present } = await session.one(Present, CARE_SQL.referenced, [table.oid]);
  // Both ends of a foreign key are locked against writes for as long as the statement lasts.
  const statementMs = present === "true" ? settings.holdBudgetMs : 0;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    const state = await stateNow();
    if (state === "detached") return true;
    await assertCalled(work, table, leaf);
    const how = state === "pending" ? "FINALIZE" : "CONCURRENTLY";
    const statement = `ALTER TABLE ${shownName(table)} DETACH PARTITION ${shownName(leaf)} ${how}`;
    if (await once(work, statement, statementMs)) {
      if ((await stateNow()) === "detached") return true;
      // Between that look and the statement, which CONCURRENTLY lets nobody make one.
      throw new PartwayError("refused", {
        what: `the leaf ${leaf.name} of ${shownName(table)} was renamed while it was to be detached, and another leaf of that name was detached in its place`,
        state: "Both and their rows are there; nothing was dropped.",
        next: `Attach it again by its bound (ALTER TABLE ${shownName(table)} ATTACH PARTITION ${shownName(leaf)} FOR VALUES ...), then the same command again.`,
      });
    }
    const waitedMs = performance.now() - began;
    work.onTry({ purpose, attempt, outcome: "timeout", timeoutMs, waitedMs, blockers: [] });
    // The first of them began it, the others may finish it.
    if (attempt > settings.lockTries) break;
    await sleep(timeoutMs * (0.5 + Math.random()), undefined, { signal });
  }
  const state = await stateNow();
  if (state !== "attached") return state === "detached";
  throw new PartwayError("lock-busy", {
    what: `the lock for ${purpose} could not be had in ${settings.lockTries + 1} tries`,
    state: "The leaf and its rows are there, attached as before.",
    next: "End or wait for the blocking session, then the same command again.",
  });
}

/** False when somebody was in the way. */
async function once({ session, settings }: CareWork, statement: string, statementMs: number) {
  await session.query(`SET lock_timeout = ${Math.round(settings.lockTimeoutMaxMs)}`);
  await session.query(`SET statement_timeout = ${Math.round(statementMs)}`);
  const began = performance.now();
  try {
    await session.query(statement);
    return true;
  } catch (error) {
    const code = sqlState(error);
    if (code === SQLSTATE.lockNotAvailable || code === SQLSTATE.deadlockDetected) return false;
    if (code !== SQLSTATE.queryCanceled) throw error;
    if (cancelledOutside(error, performance.now() - began, statementMs)) throw error;
    return false;
  } finally {
    if (!session.lost) {
      await session.query("SET lock_timeout = 0");
      await session.query("SET statement_timeout = 0");
    }
  }
}
