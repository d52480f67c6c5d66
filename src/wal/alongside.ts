/** Reading the write-ahead log while a phase does other work: the slot keeps everything until it is read. */
import type { Session } from "../pg/session.js";
import { rest } from "../sync/drain.js";
import { type FillContext, fill, SlotWatch } from "./fill.js";
import { readsWal } from "./identity.js";

type Gate = (workedMs?: number, until?: AbortSignal) => Promise<void>;

/** The phases' gates (phases/phase.ts). */
export interface Gates {
  gate: Gate;
  heavy: Gate;
  follower: Gate;
}

/** What work beside a reading asks before each of its pieces. */
export interface Beside extends Gates {
  /** Throws what the reading failed with. */
  sound(): void;
}

export interface AlongsideContext extends FillContext, Gates {
  open(): Promise<Session>;
}

/** Between two readings when the last one found little. A reading begins where the oldest transaction did. */
const PAUSE_MS = 500;

/**
 * Does `work` and fills the change log meanwhile. Its gates fail as soon as the reading has, also where they wait for an
 * operator: a pause in which nobody reads would fill the server's disk. Errors: those of `work`; of the reading.
 */
export async function alongside<T>(
  context: AlongsideContext,
  work: (beside: Beside) => Promise<T>,
): Promise<T> {
  const { gate, heavy, follower, signal } = context;
  if (!readsWal(context.plan)) return work({ gate, heavy, follower, sound: () => undefined });
  const session = await context.open();
  const stop = new AbortController();
  const failed = new AbortController();
  const reading = keepReading(session, context, stop.signal).catch((error: unknown) => failed.abort(error));
  const sound = (): void => {
    // A run that is stopped leaves as it always does, whatever that did to the reading.
    if (!signal.aborted) failed.signal.throwIfAborted();
  };
  const ends = new WeakMap<AbortSignal, AbortSignal>();
  const endOf = (until: AbortSignal): AbortSignal => {
    const end = ends.get(until) ?? AbortSignal.any([until, failed.signal]);
    ends.set(until, end);
    return end;
  };
  const guarded =
    (one: Gate): Gate =>
    async (workedMs, until = signal) => {
      sound();
      await one(workedMs, endOf(until));
      sound();
    };
  let result: T;
  try {
    result = await work({
      gate: guarded(gate),
      heavy: guarded(heavy),
      follower: guarded(follower),
      sound,
    });
  } finally {
    stop.abort();
    await reading;
    await session.end();
  }
  sound();
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
