/** Runs tasks on a fixed set of sessions, one task a session at a time; the first failure stops the others. */
import { ConnectionLost, type Session } from "../pg/session.js";

/** Tasks that are made when they are begun. */
export interface Tasks<T> {
  /** How much there is to take: 0 is the end. */
  readonly left: number;
  take(): T | undefined;
}

/**
 * Hands each task of `tasks` to the next free session. `before` runs ahead of each task (pause gate, stop signal,
 * throttle) and gets the time that this session's last task took, ms, and a signal that ends its wait: another task
 * failed, or took what was left.
 * Resolves when all are done; on the first error waits for tasks in flight and throws it, or a connection lost meanwhile.
 */
export async function runPool<T>(
  sessions: readonly Session[],
  tasks: readonly T[] | Tasks<T>,
  before: (workedMs: number, until: AbortSignal) => Promise<void>,
  work: (session: Session, task: T) => Promise<void>,
): Promise<void> {
  const queue = "take" in tasks ? tasks : listed(tasks);
  const failures: unknown[] = [];
  const over = new AbortController();
  const worker = async (session: Session): Promise<void> => {
    let workedMs = 0;
    while (failures.length === 0 && queue.left > 0) {
      try {
        await before(workedMs, over.signal);
        if (failures.length > 0) return;
        // After the wait: what was learned meanwhile (the size of a batch) counts.
        const task = queue.take();
        if (queue.left === 0) over.abort();
        if (task === undefined) return;
        const from = performance.now();
        await work(session, task);
        workedMs = performance.now() - from;
      } catch (error) {
        failures.push(error);
        over.abort();
      }
    }
  };
  await Promise.all(sessions.map(worker));
  // A lost connection first: its transaction may still commit, and only a lease taken anew waits for that (pg/lease.ts).
  if (failures.length > 0) throw failures.find((error) => error instanceof ConnectionLost) ?? failures[0];
}

function listed<T>(tasks: readonly T[]): Tasks<T> {
  const queue = [...tasks];
  return {
    get left() {
      return queue.length;
    },
    take: () => queue.shift(),
  };
}
