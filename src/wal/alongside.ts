/** Reading the write-ahead log while a phase does other work: the slot keeps everything until it is read. */
import type { Session } from "../pg/session.js";
import { rest } from "../sync/drain.js";
import { type FillContext, fill, SlotWatch } from "./fill.js";
import { readsWal } from "./identity.js";

export interface AlongsideContext extends FillContext {
  open(): Promise<Session>;
  heavy(workedMs?: number, until?: AbortSignal): Promise<void>;
}

/** Between two readings when the last one found little. A reading begins where the oldest transaction did. */
const PAUSE_MS = 500;

/**
 * Does `work` and fills the change log meanwhile. `heavy` is the gate before each piece of it: it fails as soon as the
 * reading has. Errors: those of `work`; CaptureLost.
 */
export async function alongside<T>(
  context: AlongsideContext,
  work: (heavy: AlongsideContext["heavy"]) => Promise<T>,
): Promise<T> {
  if (!readsWal(context.plan)) return work((...how) => context.heavy(...how));
  const session = await context.open();
  const stop = new AbortController();
  const state: { failure: unknown } = { failure: null };
  const reading = keepReading(session, context, stop.signal).catch((error: unknown) => {
    state.failure = error;
  });
  const check = () => {
    if (state.failure !== null) throw state.failure;
  };
  let result: T;
  try {
    result = await work(async (...how) => {
      check();
      await context.heavy(...how);
    });
  } finally {
    stop.abort();
    await reading;
    await session.end();
  }
  check();
  return result;
}

async function keepReading(session: Session, context: FillContext, until: AbortSignal): Promise<void> {
  const watch = new SlotWatch(context);
  while (!until.aborted && !context.signal.aborted) {
    const from = performance.now();
    const { complete } = await fill(session, context);
    await watch.look(session);
    // At most half of the time: a long transaction elsewhere makes each reading begin at its own begin.
    if (complete) await rest(Math.max(PAUSE_MS, performance.now() - from), until);
  }
}
