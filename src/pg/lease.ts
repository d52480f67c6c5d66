/**
 * The right to write (DESIGN 3.9). The migration's row holds an epoch; a new orchestrator first bumps it by UPDATE,
 * which waits for every transaction that read it FOR SHARE, and only then works. A zombie that wakes up afterwards
 * reads another epoch than its own and writes nothing. The advisory lock only makes the refusal friendly.
 */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { APPLICATION_NAME, type Session, type TxOptions } from "./session.js";
import { SQLSTATE, sqlState } from "./sqlstate.js";

export interface Lease {
  readonly migration: string;
  readonly epoch: string;
  /** Set by the holder before the COMMIT that removes the migration's row, and with it what a lease could be taken of. */
  ending?: boolean;
  /**
   * A transaction that only the current orchestrator can commit: it begins by reading the migration's epoch
   * FOR SHARE and compares. A paused zombie that wakes up gets a `fenced` error and writes nothing.
   */
  tx<T>(session: Session, work: () => Promise<T>, options?: TxOptions): Promise<T>;
  /** The same check inside a transaction that is already open (the cutover takes its locks first). */
  check(session: Session): Promise<void>;
}

export const LEASE_SQL = {
  check: /*sql*/ `SELECT epoch::text AS epoch FROM partway.migration WHERE id = $1 FOR SHARE`,
  /** $2: the highest epoch this orchestrator can have reached itself; null: it takes over from whoever was there. */
  bump: /*sql*/ `
    UPDATE partway.migration SET epoch = epoch + 1 WHERE id = $1 AND epoch <= coalesce($2::bigint, epoch)
    RETURNING epoch::text AS epoch`,
  epoch: /*sql*/ `SELECT epoch::text AS epoch FROM partway.migration WHERE id = $1`,
  lock: /*sql*/ `SELECT pg_try_advisory_lock(hashtext('partway'), hashtext($1))::text AS held`,
  unlock: /*sql*/ `SELECT pg_advisory_unlock(hashtext('partway'), hashtext($1))`,
  holder: /*sql*/ `
    SELECT a.pid::text AS pid, coalesce(a.client_addr::text, 'this machine') AS address,
           to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since
      FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid = (hashtext('partway')::bigint & 4294967295)::oid
       AND l.objid = (hashtext($1)::bigint & 4294967295)::oid`,
  /** Marks a session as one that works for migration `$1`, until it ends. */
  worker: /*sql*/ `SELECT pg_advisory_lock_shared(hashtext('partway worker'), hashtext($1))`,
  /**
   * Ends every session that works for migration `$1`: asked when the lease has just been taken, all of them are a dead
   * orchestrator's, or a fenced one's; only Partway's own, of this role. Behind a network that died a backend keeps its locks for hours.
   */
  terminateWorkers: /*sql*/ `
    SELECT pg_terminate_backend(l.pid, 5000)::text AS done FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock'
       AND a.application_name = $2 AND a.usename = current_user
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid = (hashtext('partway worker')::bigint & 4294967295)::oid
       AND l.objid = (hashtext($1)::bigint & 4294967295)::oid`,
  /** Ends backend `$2` if it holds the advisory lock of migration `$1`, and waits for its end. PostgreSQL 14. */
  terminateHolder: /*sql*/ `
    SELECT pg_terminate_backend(l.pid, 5000)::text AS done FROM pg_locks l
     WHERE l.locktype = 'advisory' AND l.granted AND l.pid = $2::int
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid = (hashtext('partway')::bigint & 4294967295)::oid
       AND l.objid = (hashtext($1)::bigint & 4294967295)::oid`,
  /** Partway's own backends that stand in the way of `$1`; nobody else's may be terminated (DESIGN 3.9). */
  terminateOwnBlockers: /*sql*/ `
    SELECT pg_terminate_backend(a.pid)::text AS done
      FROM pg_stat_activity a
     WHERE a.pid = ANY (pg_blocking_pids($1::int)) AND a.application_name = $2 AND a.usename = current_user`,
  terminate: /*sql*/ `
    SELECT pg_terminate_backend(a.pid)::text AS done FROM pg_stat_activity a
     WHERE a.pid = $1::int AND a.application_name = $2 AND a.usename = current_user`,
} as const;

const Epoch = z.object({ epoch: z.string() });

function fenced(migration: string): PartwayError {
  return new PartwayError("fenced", {
    what: `another Partway process has taken over migration ${migration}`,
    state: "This process wrote nothing since; the other one goes on.",
    next: `partway status ${migration}`,
  });
}

/** No row, when even its table is gone: another process has ended the migration, and it was the last one here. */
function gone(error: unknown): null {
  if (sqlState(error) === SQLSTATE.undefinedTable) return null;
  throw error;
}

/** A lease of a known epoch. */
export function leaseOf(migration: string, epoch: string): Lease {
  const check = async (session: Session): Promise<void> => {
    const row = await session.maybe(Epoch, LEASE_SQL.check, [migration]).catch((error: unknown) => {
      // Under REPEATABLE READ a bumped epoch shows as a serialization failure: somebody updated the row.
      if (sqlState(error) === SQLSTATE.serializationFailure) return "moved" as const;
      return gone(error);
    });
    // A phase change by this same process also moves the row: the caller's retry reads it again.
    if (row === "moved") throw new LeaseMoved();
    if (row === null || row.epoch !== epoch) throw fenced(migration);
  };
  const once = <T>(session: Session, work: () => Promise<T>, options?: TxOptions): Promise<T> =>
    session.tx(async () => {
      await check(session);
      return work();
    }, options);
  return {
    migration,
    epoch,
    check,
    async tx(session, work, options) {
      for (;;) {
        try {
          return await once(session, work, options);
        } catch (error) {
          if (!(error instanceof LeaseMoved)) throw error;
        }
      }
    },
  };
}

class LeaseMoved extends Error {}

/**
 * Takes the lease of a migration whose row exists. `session` stays open as long as the run: it holds the advisory
 * lock. `helper` is another session, used to look at and to end Partway's own orphaned backends.
 * Errors: `refused` when another orchestrator holds it and `takeover` is false; `fenced` when the epoch is beyond
 * `atMost`.
 */
export async function takeLease(options: {
  session: Session;
  helper: Session;
  migration: string;
  takeover: boolean;
  /** After a lost connection: the highest epoch that is still this orchestrator's own (see bumpEpoch). */
  atMost?: bigint | null;
}): Promise<Lease> {
  const { session, helper, migration, takeover, atMost = null } = options;
  const Held = z.object({ held: z.string() });
  const tryLock = async () => (await session.one(Held, LEASE_SQL.lock, [migration])).held === "true";
  let held = await tryLock();
  // A zombie is told so at once, also while the other one is at work; it must not wait for its turn.
  if (!held && atMost !== null) {
    const now = await session.maybe(Epoch, LEASE_SQL.epoch, [migration]).catch(gone);
    if (now === null || BigInt(now.epoch) > atMost) throw fenced(migration);
  }
  if (!held) {
    const holder = await session.maybe(
      z.object({ pid: z.string(), address: z.string(), since: z.string() }),
      LEASE_SQL.holder,
      [migration],
    );
    if (!takeover) {
      throw new PartwayError("refused", {
        what: `migration ${migration} is being run by another Partway process${
          holder === null ? "" : ` (backend ${holder.pid} from ${holder.address}, since ${holder.since} UTC)`
        }`,
        state: "Nothing was touched; the other process goes on.",
        next: `partway status ${migration}; if that process is dead or stopped: partway resume ${migration} --takeover`,
      });
    }
    if (holder !== null) await helper.query(LEASE_SQL.terminate, [holder.pid, APPLICATION_NAME]);
    held = await tryLock();
  }
  const epoch = await bumpEpoch(session, helper, migration, atMost);
  if (!held) await tryLock();
  return leaseOf(migration, epoch);
}

/**
 * Bumps the epoch, waiting for transactions in flight; those of a dead orchestrator are ended after a grace of
 * one second. Returns the new epoch. Errors: `fenced` when the epoch is beyond `atMost`: another orchestrator has had
 * the migration meanwhile, and this one is a zombie, even when the other one is gone again.
 */
export async function bumpEpoch(
  session: Session,
  helper: Session,
  migration: string,
  atMost: bigint | null = null,
): Promise<string> {
  const timer = setInterval(() => {
    helper
      .query(LEASE_SQL.terminateOwnBlockers, [session.pid, APPLICATION_NAME])
      .catch(() => clearInterval(timer));
  }, 1000);
  try {
    const row = await session
      .maybe(Epoch, LEASE_SQL.bump, [migration, atMost?.toString() ?? null])
      .catch(gone);
    if (row === null) throw fenced(migration);
    return row.epoch;
  } finally {
    clearInterval(timer);
  }
}
