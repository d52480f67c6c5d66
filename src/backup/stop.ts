/** Stopping while one long statement runs: the only thing that ends it is a cancel from another connection. */
import { messageOf, PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";

/**
 * Runs `work`; when `signal` fires meanwhile, cancels what `session` is executing, through a connection that `open`
 * makes, and closes the session. `work` then rejects.
 */
export async function cancelledBy<T>(
  signal: AbortSignal,
  session: Session,
  open: () => Promise<Session>,
  work: () => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  let cancelling: Promise<unknown> | null = null;
  const onAbort = () => {
    // A cancel that fails changes nothing: the session is closed either way, and the server notices that.
    cancelling = Promise.allSettled([cancel(session, open)]);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await work();
  } finally {
    signal.removeEventListener("abort", onAbort);
    await cancelling;
  }
}

async function cancel(session: Session, open: () => Promise<Session>): Promise<void> {
  try {
    const helper = await open();
    await helper.query("SELECT pg_cancel_backend($1::int)", [session.pid]).finally(() => helper.end());
  } finally {
    await session.end();
  }
}

/** The operator stopped it. `state` says what was left, `next` how to go on. */
export function stopped(what: string, state: string, next: string, cause: unknown): PartwayError {
  return new PartwayError(
    "stopped",
    { what: `${what} was stopped: ${messageOf(cause)}`, state, next },
    { cause },
  );
}
