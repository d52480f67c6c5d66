/** Drain: apply until the change log is short; and keeping the lagging side current while a phase waits. */
import { setTimeout as sleep } from "node:timers/promises";
import type { RunEventBody } from "../../state/events.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { type ApplyOptions, applyStep, backlog, WHOLE_LOG } from "./apply.js";
import { ApplyRate } from "./apply-rate.js";

/** Apply batches of 5,000: 17,000 to 21,000 keys a second where 1,000 gave 9,000 (DESIGN 8). */
export const APPLY_BATCH = 5000;

/** Below this the last drain inside the cutover lock takes a few milliseconds (DESIGN 8). */
export const SHORT_LOG = 50;

export interface DrainContext {
  emit(event: RunEventBody): void;
  signal: AbortSignal;
  /** The phases' gate (phases/phase.ts). */
  gate(workedMs?: number, until?: AbortSignal): Promise<void>;
  follower(workedMs?: number, until?: AbortSignal): Promise<void>;
}

/**
 * What is applied, and what fills the log first where no trigger does: false when there is more to be read at once. It
 * fails when `until` fires.
 */
export type DrainOptions = Omit<ApplyOptions, "limit"> & {
  fill?(session: Session, until?: AbortSignal): Promise<boolean>;
};

/** Measures the apply rate and reports it with the backlog. */
class ApplyMeter {
  readonly #rate = new ApplyRate();
  readonly #context: DrainContext;
  readonly #options: Omit<ApplyOptions, "limit">;
  #reportedAt = 0;

  constructor(context: DrainContext, options: Omit<ApplyOptions, "limit">) {
    this.#context = context;
    this.#options = options;
  }

  /** `from`: when the batch of `keys` began (performance.now()). */
  async add(session: Session, from: number, keys: number, force: boolean): Promise<void> {
    const now = performance.now();
    this.#rate.add(from, now, keys);
    if (!force && now - this.#reportedAt < 500) return;
    this.#reportedAt = now;
    this.#context.emit({
      event: "backlog",
      direction: this.#options.sides.direction,
      keys: await backlog(session, this.#options.sides.log),
      appliedPerSecond: this.#rate.perSecond(),
    });
  }
}

/** Full batches between two looks at whether the log gets shorter; the next look comes after twice as many. */
const LOOK_AFTER = 20;

/** Says when the application fills the log faster than it is applied: the run then has no end of its own. */
class FallingBehind {
  readonly #context: DrainContext;
  readonly #log: string;
  #batches = 0;
  #applied = 0;
  #lookAt = LOOK_AFTER;
  #before: number | null = null;

  constructor(context: DrainContext, log: string) {
    this.#context = context;
    this.#log = log;
  }

  async add(session: Session, applied: number): Promise<void> {
    this.#before ??= (await this.#length(session)) + applied;
    this.#applied += applied;
    this.#batches += 1;
    if (this.#batches < this.#lookAt) return;
    const now = await this.#length(session);
    const arrived = now - this.#before + this.#applied;
    if (arrived >= this.#applied) {
      this.#context.emit({
        event: "log",
        level: "warn",
        message: `rows are changed faster than they can be applied: ${arrived} changes came while ${this.#applied} were applied. Nothing is lost; the run goes on and gets no further until the application writes less (or, where it is throttled, until partway throttle off)`,
      });
      this.#lookAt *= 2;
    }
    this.#before = now;
    this.#batches = 0;
    this.#applied = 0;
  }

  #length(session: Session): Promise<number> {
    return backlog(session, this.#log, WHOLE_LOG);
  }
}

/** A failure that passes when the same transaction is run again. */
function passes(error: unknown): boolean {
  const state = sqlState(error);
  return state === SQLSTATE.serializationFailure || state === SQLSTATE.deadlockDetected;
}

async function step(session: Session, options: ApplyOptions): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await applyStep(session, options);
    } catch (error) {
      if (!passes(error) || attempt >= 10) throw error;
    }
  }
}

/**
 * Whether the log has everything there is to read. Behind a full batch nothing is read: a reading may add several
 * batches, and a log that is long anyway would only grow; another session reads meanwhile (wal/alongside.ts).
 */
async function filled(session: Session, { fill }: DrainOptions, applied: number): Promise<boolean> {
  if (fill === undefined) return true;
  return applied < APPLY_BATCH && (await fill(session));
}

/**
 * Applies until a batch finds fewer than `SHORT_LOG` rows. Resolves with the number of log rows applied.
 * Errors: TruncateSeen; whatever the server says.
 */
export async function drain(session: Session, options: DrainOptions, context: DrainContext): Promise<number> {
  const meter = new ApplyMeter(context, options);
  const behind = new FallingBehind(context, options.sides.log);
  let total = 0;
  let workedMs = 0;
  let applied = 0;
  for (;;) {
    context.signal.throwIfAborted();
    await context.gate(workedMs);
    const from = performance.now();
    const isFilled = await filled(session, options, applied);
    applied = await step(session, { ...options, limit: APPLY_BATCH });
    // No rest on the last stretch: in it more would come than the next batch takes, and a drain would have no end.
    workedMs = applied < APPLY_BATCH ? 0 : performance.now() - from;
    total += applied;
    const isShort = applied < SHORT_LOG && isFilled;
    await meter.add(session, from, applied, isShort);
    if (isShort) return total;
    await behind.add(session, applied);
  }
}

/** So many batches at most: three quarters of a second's work (DESIGN 8). */
const BRIEF_BATCHES = 3;

/** Somebody was in the way for longer than this session waits. */
const IN_THE_WAY: ReadonlySet<string> = new Set([SQLSTATE.lockNotAvailable, SQLSTATE.queryCanceled]);

/** The session that is to hold the locks says nothing meanwhile, and the server ends one that is silent for 30 s. */
const BRIEF_MS = 5000;

/** The time was up while something was waited for: an error of the wait itself, or what it was waiting out. */
function ranOut(error: unknown, deadline: AbortSignal): boolean {
  if (!deadline.aborted) return false;
  const isWait = error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError");
  return isWait || sqlState(error) === SQLSTATE.objectInUse;
}

/**
 * Applies until the log is short, but not for long: while the cutover seeks its locks, changes go on. Gives up without an
 * error where a lock or a statement takes longer than the session's own bounds, or all of it longer than `ms`. Errors: as
 * `drain`.
 */
export async function drainBriefly(session: Session, options: DrainOptions, ms = BRIEF_MS): Promise<void> {
  const deadline = AbortSignal.timeout(ms);
  try {
    for (let batch = 0; batch < BRIEF_BATCHES && !deadline.aborted; batch++) {
      const isFilled = (await options.fill?.(session, deadline)) ?? true;
      if ((await step(session, { ...options, limit: APPLY_BATCH })) < SHORT_LOG && isFilled) return;
    }
  } catch (error) {
    if (!IN_THE_WAY.has(sqlState(error) ?? "") && !ranOut(error, deadline)) throw error;
  }
}

/**
 * Applies for ever, resting a little when there is nothing to do; ends when `until` aborts, also while paused. For the
 * times when a phase waits: ready for cutover, and the retention window.
 */
export async function follow(
  session: Session,
  options: DrainOptions,
  context: DrainContext,
  until: AbortSignal,
): Promise<void> {
  const meter = new ApplyMeter(context, options);
  let workedMs = 0;
  let applied = 0;
  while (!until.aborted) {
    await context.follower(workedMs, until);
    if (until.aborted) return;
    const from = performance.now();
    const isFilled = await filled(session, options, applied);
    const filledMs = options.fill === undefined ? 0 : performance.now() - from;
    applied = await step(session, { ...options, limit: APPLY_BATCH });
    workedMs = performance.now() - from;
    await meter.add(session, from, applied, false);
    // Filling begins at the oldest transaction's begin, each time: it has at most half of the time.
    if (applied < SHORT_LOG && isFilled) await rest(Math.max(200, filledMs), until);
  }
}

/** Resolves when `signal` fires. */
export function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Waits `ms` or until `signal` fires; never throws. */
export async function rest(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
