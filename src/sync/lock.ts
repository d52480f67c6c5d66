/** A fenced transaction that first takes strong locks under the lock discipline of DESIGN 3.6. */
import type { RunEventBody } from "../../state/events.js";
import type { Lease } from "../pg/lease.js";
import { acquireLocks, deadlockTimeoutMs, type LockRequest } from "../pg/locks.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";

export interface LockContext {
  plan: Plan;
  lease: Lease;
  settings: { lockTimeoutMs: number; lockTimeoutMaxMs: number; lockTries: number };
  signal: AbortSignal;
  open(): Promise<Session>;
  emit(event: RunEventBody): void;
}

/** Longest silence of this process inside a lock that has no hold budget of its own, ms. */
const SILENCE_MS = 5000;

export interface LockedWork {
  purpose: string;
  calm: LockRequest["calm"];
  strong: LockRequest["strong"];
  work(): Promise<void>;
}

/** Locks, checks the epoch, works, commits. Errors: `lock-busy`, `fenced`, whatever `work` throws (rolled back). */
export async function inLock(context: LockContext, session: Session, locked: LockedWork): Promise<void> {
  const observer = await context.open();
  const deadlockMs = await deadlockTimeoutMs(session);
  try {
    await session.tx(async () => {
      await acquireLocks(session, observer, lockRequest(context, locked), deadlockMs);
      await context.lease.check(session);
      await locked.work();
    });
  } finally {
    await observer.end();
  }
}

/** The request for `acquireLocks`, with this run's bounds and its tries reported as events. */
export function lockRequest(
  context: LockContext,
  locked: Omit<LockedWork, "work">,
  silenceMs = SILENCE_MS,
): LockRequest {
  const { settings } = context;
  return {
    purpose: locked.purpose,
    again: `partway resume ${context.plan.id}`,
    calm: locked.calm,
    strong: locked.strong,
    timeoutMs: settings.lockTimeoutMs,
    timeoutMaxMs: settings.lockTimeoutMaxMs,
    tries: settings.lockTries,
    silenceMs,
    signal: context.signal,
    onTry: (attempt) => context.emit({ event: "lock-try", ...attempt }),
  };
}
