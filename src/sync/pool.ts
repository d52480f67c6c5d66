/** Runs tasks on a fixed set of sessions, one task a session at a time; the first failure stops the others. */
import type { Session } from "../pg/session.js";

/**
 * Hands each task of `tasks` to the next free session. `before` runs ahead of each task (pause gate, stop signal,
 * throttle) and gets the time that this session's last task took, ms, and a signal that ends its wait: another task failed.
 * Resolves when all are done; on the first error waits for tasks in flight and throws it.
 */
export async function runPool<T>(
  sessions: readonly Session[],
  tasks: readonly T[],
  before: (workedMs: number, until: AbortSignal) => Promise<void>,
  work: (session: Session, task: T) => Promise<void>,
): Promise<void> {
  const queue = [...tasks];
  const failures: unknown[] = [];
  const failed = new AbortController();
  const worker = async (session: Session): Promise<void> => {
    let workedMs = 0;
    while (failures.length === 0) {
      const task = queue.shift();
      if (task === undefined) return;
      try {
        await before(workedMs, failed.signal);
        if (failed.signal.aborted) return;
        const from = performance.now();
        await work(session, task);
        workedMs = performance.now() - from;
      } catch (error) {
        failures.push(error);
        failed.abort();
      }
    }
  };
  await Promise.all(sessions.map(worker));
  if (failures.length > 0) throw failures[0];
}
