/** SIGSTOP at a moment when the process is not in the middle of writing its journal. */
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import Database from "better-sqlite3";

const TRIES = 1_000;

/** Lets this process wait without letting its event loop, and with it the proxy, go on. */
const pause = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** The kernel has carried the signal out (proc(5): T is "stopped"; the name in parentheses may hold anything). */
const isStopped = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.startsWith("T") ?? false;

function isLocked(file: string): boolean {
  if (!existsSync(file)) return false;
  const db = new Database(file, { timeout: 0 });
  try {
    db.exec("BEGIN IMMEDIATE; ROLLBACK");
    return false;
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY")) return true;
    throw error;
  } finally {
    db.close();
  }
}

/**
 * Stops `child`, synchronously. A process that is stopped inside a write to its journal keeps that file's lock until
 * it ends: nobody could take over in the same folder, which is another test than the one that asks for this.
 */
export function freeze(child: ChildProcess, journal: string): void {
  const { pid } = child;
  if (pid === undefined) throw new Error("the process was never started");
  for (let tries = 0; tries < TRIES; tries += 1) {
    child.kill("SIGSTOP");
    while (!isStopped(pid)) pause(1);
    if (!isLocked(journal)) return;
    child.kill("SIGCONT");
    pause(1);
  }
  throw new Error(`${journal} stays locked`);
}
