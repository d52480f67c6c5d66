/**
 * Taking strong locks on a busy table without hurting it (DESIGN 3.6). First SHARE UPDATE EXCLUSIVE, which blocks no
 * reader or writer and makes autovacuum yield; then, behind a savepoint, the strong locks with a short lock_timeout
 * AND statement_timeout, tried again with jitter. Nobody's session is ever terminated.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PartwayError } from "../errors.js";
import type { Session } from "./session.js";
import { SQLSTATE, sqlState } from "./sqlstate.js";

export interface Blocker {
  pid: number;
  ageSeconds: number;
  query: string;
  application: string;
}

export interface LockTry {
  purpose: string;
  attempt: number;
  outcome: "acquired" | "timeout";
  timeoutMs: number;
  waitedMs: number;
  blockers: Blocker[];
}

/** A view is locked by an ALTER that changes nothing: LOCK TABLE would lock what the view reads as well. */
export type StrongLock =
  | { table: string; mode: "SHARE ROW EXCLUSIVE" | "ACCESS EXCLUSIVE" }
  | { alter: string }
  /** Takes its locks within the try's bound; what it does with them may take `holdMs`. */
  | { work: string; holdMs: number };

export interface LockRequest {
  purpose: string;
  /** The command that tries again. */
  again: string;
  /** What is true when the lock cannot be had; left out: that of a migration. */
  state?: string | undefined;
  /** Quoted table names that get SHARE UPDATE EXCLUSIVE first. */
  calm: string[];
  /** Strong locks, in order: the lagging side first, the live side last. */
  strong: StrongLock[];
  timeoutMs: number;
  timeoutMaxMs: number;
  tries: number;
  /** Longest silence of this process while it holds the strong locks, ms; then the server ends the session. */
  silenceMs: number;
  signal: AbortSignal;
  onTry(attempt: LockTry): void;
  /** Done before each try of the strong locks, while nobody waits for it. */
  ready?(): Promise<void>;
}

export const LOCK_SQL = {
  deadlockTimeout: /*sql*/ `SELECT (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::int::text AS ms`,
  /** A prepared transaction has no backend (pid 0) and stays until somebody ends it by name. */
  blockers: /*sql*/ `
    SELECT pid, age, query, application FROM (
      SELECT a.pid::text AS pid, coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::text AS age,
             coalesce(left(regexp_replace(a.query, '\\s+', ' ', 'g'), 200), '(hidden: needs pg_read_all_stats)') AS query,
             coalesce(a.application_name, '') AS application, a.xact_start AS began
        FROM unnest(pg_blocking_pids($1::int)) AS b(pid) JOIN pg_stat_activity a ON a.pid = b.pid
      UNION ALL
      SELECT '0', extract(epoch FROM clock_timestamp() - p.prepared)::text,
             format('COMMIT PREPARED %L or ROLLBACK PREPARED %L ends it', p.gid, p.gid), 'prepared transaction', p.prepared
        FROM pg_prepared_xacts p
       WHERE 0 = ANY (pg_blocking_pids($1::int)) AND EXISTS (
             SELECT FROM pg_locks own
               JOIN pg_locks held ON held.pid IS NULL AND held.virtualtransaction = own.virtualtransaction
               JOIN pg_locks wanted ON (held.database, held.relation) = (wanted.database, wanted.relation)
              WHERE own.pid IS NULL AND own.transactionid = p.transaction
                AND wanted.pid = $1::int AND NOT wanted.granted)) AS x
     ORDER BY began`,
  /** Longest time anybody but `$2` has waited for a lock on one of the tables `$1`. pg_locks.waitstart: PostgreSQL 14. */
  longestWait: /*sql*/ `
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)) * 1000, 0)::text AS ms
      FROM pg_locks WHERE NOT granted AND relation = ANY ($1::oid[]) AND pid <> $2::int`,
} as const;

const BlockerRow = z
  .object({ pid: z.coerce.number(), age: z.coerce.number(), query: z.string(), application: z.string() })
  .transform((r) => ({ pid: r.pid, ageSeconds: r.age, query: r.query, application: r.application }));

/** Who stands in the way of backend `pid`, oldest transaction first. */
export function blockersOf(observer: Session, pid: number): Promise<Blocker[]> {
  return observer.rows(BlockerRow, LOCK_SQL.blockers, [pid]);
}

/** deadlock_timeout, ms. Autovacuum yields to a waiter only after it. */
export async function deadlockTimeoutMs(session: Session): Promise<number> {
  return (await session.one(z.object({ ms: z.coerce.number() }), LOCK_SQL.deadlockTimeout)).ms;
}

/**
 * Takes the locks in the READ COMMITTED transaction that `session` has just begun: no statement that takes a
 * snapshot may come before (DESIGN 3.6). `observer` looks at blockers from outside. Each of the two stages has
 * `request.tries`. Resolves with the number of tries and the time until success; throws `lock-busy` when they are used
 * up, leaving the rollback to the caller.
 */
export async function acquireLocks(
  session: Session,
  observer: Session,
  request: LockRequest,
  deadlockMs: number,
): Promise<{ tries: number; waitedMs: number }> {
  const started = performance.now();
  let blockers: Blocker[] = [];
  const giveUp = (tries: number) =>
    new PartwayError("lock-busy", {
      what: `the lock for ${request.purpose} could not be had in ${tries} tries${describe(blockers)}`,
      state: request.state ?? "Nothing was changed, nothing is lost: the run waits and can be resumed.",
      next: `End or wait for the blocking session, then: ${request.again}`,
    });

  const failed = (attempt: number, timeoutMs: number) => {
    const { purpose } = request;
    const waitedMs = performance.now() - started;
    request.onTry({ purpose, attempt, outcome: "timeout", timeoutMs, waitedMs, blockers });
  };
  // A process that is stopped, or a laptop that sleeps, must not keep the application out: the server lets go.
  // Between the tries it holds nobody up but vacuum and its own successor; it sleeps there at most 1.5 times the bound.
  await setLocal(session, SILENCE, Math.max(30_000, 3 * request.timeoutMaxMs));
  /** One try behind a savepoint: true when all of `locks` are held, false when somebody was in the way. */
  const once = async (locks: readonly Take[], timeoutMs: number, statementMs: number): Promise<boolean> => {
    request.signal.throwIfAborted();
    await session.query("SAVEPOINT locks");
    if (statementMs > 0) await setLocal(session, SILENCE, request.silenceMs);
    await setLocal(session, "lock_timeout", timeoutMs);
    await setLocal(session, "statement_timeout", statementMs);
    blockers = [];
    const watch = watchBlockers(observer, session.pid, timeoutMs, (found) => {
      blockers = found;
    });
    const asked = performance.now();
    let worked = 0;
    try {
      for (const [at, { sql, holdMs }] of locks.entries()) {
        // All of a try's locks share one bound: who waits for the first of them must not wait a timeout for each.
        if ((at > 0 || holdMs !== null) && statementMs > 0) {
          const left = Math.max(1, timeoutMs - (performance.now() - asked - worked));
          await setLocal(session, "lock_timeout", left);
          await setLocal(session, "statement_timeout", holdMs ?? left);
        }
        const began = performance.now();
        await session.query(sql);
        if (holdMs !== null) worked += performance.now() - began;
      }
      await setLocal(session, "statement_timeout", 0);
      return true;
    } catch (error) {
      if (!BUSY.has(sqlState(error) ?? "")) throw error;
      if (cancelledOutside(error, performance.now() - asked, statementMs)) throw error;
      await session.query("ROLLBACK TO SAVEPOINT locks");
      return false;
    } finally {
      await watch.stop();
    }
  };

  // Waiting for SHARE UPDATE EXCLUSIVE holds nobody up, so a VACUUM that does not yield is waited for and shown.
  let attempt = 1;
  const calm = request.calm.map((table) => ({
    sql: `LOCK TABLE ${table} IN SHARE UPDATE EXCLUSIVE MODE`,
    holdMs: null,
  }));
  const calmMs = deadlockMs + 2000;
  for (; calm.length > 0 && !(await once(calm, calmMs, 0)); attempt++) {
    failed(attempt, calmMs);
    if (attempt >= request.tries) throw giveUp(attempt);
  }
  const last = attempt + request.tries - 1;
  const strong = request.strong.map(takeOf);
  const most = boundOf(request, deadlockMs);
  let timeoutMs = Math.min(request.timeoutMs, most);
  for (; attempt <= last; attempt++) {
    await request.ready?.();
    if (await once(strong, timeoutMs, timeoutMs)) {
      const { purpose } = request;
      const waitedMs = performance.now() - started;
      request.onTry({ purpose, attempt, outcome: "acquired", timeoutMs, waitedMs, blockers: [] });
      return { tries: attempt, waitedMs };
    }
    failed(attempt, timeoutMs);
    // Long transactions of 50-500 ms never let a flat 100 ms in: grow by a quarter to the stated bound (DESIGN 3.6).
    timeoutMs = Math.min(Math.ceil(timeoutMs * 1.25), most);
    if (attempt < last) await sleep(timeoutMs * (0.5 + Math.random()), undefined, { signal: request.signal });
  }
  throw giveUp(last);
}

/**
 * Longest a try may last. With more tables than the two that are exchanged (a foreign key's parent, say) the application
 * may hold the one and wait for the other: it is we who have to let go, before its own deadlock check ends its statement.
 */
function boundOf({ strong, timeoutMaxMs }: LockRequest, deadlockMs: number): number {
  return strong.length > 2 ? Math.min(timeoutMaxMs, Math.floor(deadlockMs * 0.8)) : timeoutMaxMs;
}

interface Take {
  sql: string;
  holdMs: number | null;
}

function takeOf(lock: StrongLock): Take {
  if ("work" in lock) return { sql: lock.work, holdMs: lock.holdMs };
  const sql = "alter" in lock ? lock.alter : `LOCK TABLE ${lock.table} IN ${lock.mode} MODE`;
  return { sql, holdMs: null };
}

/** Somebody was in the way: the try has failed, not the run. */
const BUSY: ReadonlySet<string> = new Set([
  SQLSTATE.lockNotAvailable,
  SQLSTATE.queryCanceled,
  SQLSTATE.deadlockDetected,
]);

const SILENCE = "idle_in_transaction_session_timeout";

/**
 * Whether SQLSTATE 57014 came from somebody's pg_cancel_backend rather than from our own statement_timeout (0: none):
 * the two differ in their message alone, and that is in the server's language.
 */
export function cancelledOutside(error: unknown, tookMs: number, statementMs: number): boolean {
  return sqlState(error) === SQLSTATE.queryCanceled && (statementMs === 0 || tookMs < 0.9 * statementMs);
}

/** SET LOCAL of a millisecond setting; SET takes no snapshot, so it may come before the locks. */
export async function setLocal(
  session: Session,
  setting: "lock_timeout" | "statement_timeout" | typeof SILENCE,
  ms: number,
): Promise<void> {
  await session.query(localSetting(setting, ms));
}

/** The statement of `setLocal`, to be sent with others. */
export function localSetting(
  setting: "lock_timeout" | "statement_timeout" | typeof SILENCE,
  ms: number,
): string {
  return `SET LOCAL ${setting} = ${Math.max(0, Math.round(ms))}`;
}

/** Asks once, half-way through the timeout, who blocks; asking earlier would name passers-by. */
function watchBlockers(observer: Session, pid: number, timeoutMs: number, found: (b: Blocker[]) => void) {
  let pending: Promise<void> = Promise.resolve();
  const timer = setTimeout(() => {
    pending = blockersOf(observer, pid).then(found, () => {
      // The observer is a courtesy: without it the try is reported without names.
      found([]);
    });
  }, timeoutMs / 2);
  return {
    async stop() {
      clearTimeout(timer);
      await pending;
    },
  };
}

function describe(blockers: Blocker[]): string {
  const first = blockers[0];
  if (first === undefined) return "";
  return `; in the way: ${blockers
    .slice(0, 3)
    .map(
      (b) =>
        `pid ${b.pid} (${b.application || "no name"}, open ${b.ageSeconds.toFixed(1)} s): ${b.query.slice(0, 80)}`,
    )
    .join("; ")}`;
}
