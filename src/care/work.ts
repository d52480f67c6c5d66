/** What the steps of a maintenance run share: two connections, lock bounds, and a transaction under bounded locks. */
import { acquireLocks, type LockTry, type StrongLock } from "../pg/locks.js";
import type { Session } from "../pg/session.js";

export interface CareWork {
  session: Session;
  /** Looks at blockers, and holds the advisory lock of maintenance. */
  observer: Session;
  settings: { lockTimeoutMs: number; lockTimeoutMaxMs: number; lockTries: number; holdBudgetMs: number };
  /** The server's deadlock_timeout. */
  deadlockMs: number;
  signal: AbortSignal;
  onTry(attempt: LockTry): void;
  /** Bytes of an archive on their way out, and, where it is proven, back. */
  onArchive?: ((leaf: string, step: "written" | "read", bytes: number) => void) | undefined;
  /** What the operator should know of the place of an archive, and nobody will do for him. */
  onNote?: ((leaf: string, note: string) => void) | undefined;
}

/** Longest silence of this process inside a lock, ms; then the server ends the session. */
const SILENCE_MS = 5000;

export interface Locked {
  purpose: string;
  /**
   * Quoted name of the partitioned table: SHARE UPDATE EXCLUSIVE, so that nobody else changes its leaves meanwhile. Null:
   * it is not touched, and what `check` takes its time for holds nobody up there.
   */
  parent: string | null;
  /** Done before any lock on the parent. */
  before?: (() => Promise<void>) | undefined;
  /** A table of its own, quoted, that is about to go: SHARE UPDATE EXCLUSIVE, so that nobody attaches it meanwhile. */
  leaf?: string | undefined;
  /** Locks for the time of the check, after these two. */
  checkLocks?: StrongLock[] | undefined;
  /** Asked under all of these; no: nothing more is locked or done. */
  check?: (() => Promise<boolean>) | undefined;
  /** Locks and statements that take them, all of a try within one bound; undone together when it is not enough. */
  strong: StrongLock[];
  /** Before each try of these. */
  ready?: (() => Promise<void>) | undefined;
  after?: (() => Promise<void>) | undefined;
  /** What is true when the locks cannot be had. */
  state?: string | undefined;
}

/**
 * One transaction; false when `check` said no. Errors: `lock-busy`, and whatever a statement throws; all of it is
 * rolled back.
 */
export async function inLocks(work: CareWork, locked: Locked): Promise<boolean> {
  const { session, observer, settings, deadlockMs, signal, onTry } = work;
  const acquire = (calm: string[], strong: StrongLock[]) => {
    const request = {
      ...{ purpose: locked.purpose, again: "the same command again", calm, strong, signal },
      ...{ timeoutMs: settings.lockTimeoutMs, timeoutMaxMs: settings.lockTimeoutMaxMs },
      ...{ tries: settings.lockTries, silenceMs: SILENCE_MS, onTry },
      ...(locked.ready === undefined ? {} : { ready: locked.ready }),
      state: locked.state ?? "This step changed nothing; what earlier steps did stays done.",
    };
    return acquireLocks(session, observer, request, deadlockMs);
  };
  return session.tx(async () => {
    await locked.before?.();
    const calm = [locked.parent, locked.leaf].flatMap((name) => (name == null ? [] : [name]));
    if (locked.check === undefined) await acquire(calm, locked.strong);
    else {
      await acquire(calm, locked.checkLocks ?? []);
      if (!(await locked.check())) return false;
      await acquire([], locked.strong);
    }
    await locked.after?.();
    return true;
  });
}

/** Runs one of several steps that do not need each other: its failure is kept for the end, unless the run is over. */
export async function attempt<T>(
  { session, signal }: CareWork,
  failures: unknown[],
  step: () => Promise<T>,
): Promise<T | null> {
  signal.throwIfAborted();
  try {
    return await step();
  } catch (error) {
    if (session.lost || signal.aborted) throw error;
    failures.push(error);
    return null;
  }
}
