/** SIGSTOP at a moment when the process is not in the middle of writing its journal. */
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import Database from "better-sqlite3";

const TRIES = 1_000;

/** Lets this process wait without letting its event loop, and with it the proxy, go on. */
const pause = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** proc(5): T is "stopped", Z and X are "has ended"; the name in parentheses may hold anything. */
const stateOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.charAt(0) ?? "";

/**
 * Waits until the kernel has carried the signal out. Errors: the process has ended (nobody reaps it while this process
 * waits, so its entry would stay for ever), or does not stop.
 */
function untilStopped(pid: number): void {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const state = stateOf(pid);
    if (state === "T") return;
    if (state === "Z" || state === "X") throw new Error(`process ${pid} has ended: there is nothing to stop`);
    pause(1);
  }
  throw new Error(`process ${pid} does not stop`);
}

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
    untilStopped(pid);
    if (!isLocked(journal)) return;
    child.kill("SIGCONT");
    pause(1);
  }
  throw new Error(`${journal} stays locked`);
}
