/** Who may drive a migration: the rule of the journal's lock. Fencing in the database is what makes it safe (DESIGN 3.9). */
import { codeOf } from "./journal-errors.js";
import type { Owner } from "./journal-rows.js";

export function isSameOwner(a: Owner, b: Owner): boolean {
  return a.pid === b.pid && a.host === b.host && a.startedAt === b.startedAt;
}

/**
 * May `next` take the place of `current`? Only on definite evidence that `current` is gone: it ran on this host, and
 * either its pid is now `next`'s own (a container's process is always pid 1), or no process has that pid.
 */
export function mayTakeOver(current: Owner, next: Owner): boolean {
  if (current.host !== next.host) return false;
  return current.pid === next.pid || !isAlive(current.pid);
}

/** EPERM means alive under another user; only ESRCH is "no such process" (kill(2)). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
    if (codeOf(error) === "EPERM") return true;
    throw error;
  }
}
