/** One maintenance at a time in a database, and its end when the process is asked to stop. */
import { z } from "zod";
import { messageOf, PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import { CARE_SQL } from "./store.js";

/** Somebody else maintains this database just now. */
export class MaintenanceBusy extends PartwayError {
  constructor(pid: string | null) {
    super("refused", {
      what: `another partway maintain is at work in this database${pid === null ? "" : ` (backend ${pid})`}`,
      state: "Nothing was touched; the other one goes on.",
      next: "Wait for it, then the same command again.",
    });
    this.name = "MaintenanceBusy";
  }
}

/** The lock lives as long as the observer's connection. Errors: `MaintenanceBusy`. */
export async function oneAtATime(observer: Session): Promise<void> {
  const { held } = await observer.one(z.object({ held: z.string() }), CARE_SQL.lock);
  if (held === "true") return;
  const holder = await observer.maybe(z.object({ pid: z.string() }), CARE_SQL.holder);
  throw new MaintenanceBusy(holder?.pid ?? null);
}

/** Asked to stop in the middle of maintenance. */
export function stoppedMaintenance(cause: unknown): PartwayError {
  return new PartwayError(
    "stopped",
    {
      what: "maintenance was stopped",
      state: "What was done stays done; each leaf is made or detached whole.",
      next: "The same command again goes on from there.",
    },
    { cause },
  );
}

/** What is short may end by itself, ms; then the statement is cancelled, again and again until the work has ended. */
const GRACE_MS = 2000;

/**
 * `work`, whose running statement is cancelled from the other connection when the signal says stop. Each step of the
 * care is one transaction, or is noted and taken up again by the next run. Errors: `stopped` after that.
 */
export async function withdrawn<T>(
  session: Session,
  observer: Session,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | null = null;
  const cancel = () => {
    if (observer.lost) return session.break("stopped, and there is no other connection to cancel from");
    observer.query("SELECT pg_cancel_backend($1::int)", [session.pid]).catch((error: unknown) => {
      process.emitWarning(`what was running could not be cancelled: ${messageOf(error)}`);
    });
  };
  const stop = () => {
    timer ??= setInterval(cancel, GRACE_MS);
  };
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await work();
  } catch (error) {
    throw signal.aborted ? stoppedMaintenance(error) : error;
  } finally {
    signal.removeEventListener("abort", stop);
    if (timer !== null) clearInterval(timer);
  }
}
