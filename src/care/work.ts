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
}

/** Longest silence of this process inside a lock, ms; then the server ends the session. */
const SILENCE_MS = 5000;

export interface Locked {
  purpose: string;
  /** Quoted name of the partitioned table: SHARE UPDATE EXCLUSIVE, so that nobody else changes its leaves meanwhile. */
  parent: string;
  /** Done before any lock on the parent. */
  before?: (() => Promise<void>) | undefined;
  /** Locks and statements that take them, all of a try within one bound; undone together when it is not enough. */
  strong: StrongLock[];
  after?: (() => Promise<void>) | undefined;
}

/** One transaction. Errors: `lock-busy`, and whatever a statement throws; all of it is rolled back. */
export async function inLocks(work: CareWork, locked: Locked): Promise<void> {
  const { session, observer, settings, deadlockMs, signal, onTry } = work;
  await session.tx(async () => {
    await locked.before?.();
    await acquireLocks(
      session,
      observer,
      {
        purpose: locked.purpose,
        again: "the same command again",
        calm: [locked.parent],
        strong: locked.strong,
        timeoutMs: settings.lockTimeoutMs,
        timeoutMaxMs: settings.lockTimeoutMaxMs,
        tries: settings.lockTries,
        silenceMs: SILENCE_MS,
        signal,
        onTry,
      },
      deadlockMs,
    );
    await locked.after?.();
  });
}
