/**
 * Looks at the signals once a second, on a connection of its own (an operator's question may take long, and a phase's
 * connections are the phase's), and says what holds. Takes no lock but the canary's, of a SELECT.
 */

import type { RunEvent, Signal } from "../../state/events.js";
import { portal, readOnly } from "../checks/read-only.js";
import { messageOf } from "../errors.js";
import type { Row, Session } from "../pg/session.js";
import { ConnectionLost } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { walNames } from "../wal/slot.js";
import { ask, clockIn, partsFor } from "./ask.js";
import { CANARY_TIMEOUT_MS, Canary } from "./canary.js";
import { judgeHours } from "./hours.js";
import { judge, judgeSql, MEASURED, type Measured } from "./judge.js";
import { Latencies, WalMarks } from "./marks.js";
import { active, number, replicaLag, slotWal, xminAge } from "./read.js";
import type { Held, Reading, ThrottleSettings } from "./types.js";

export interface MonitorOptions {
  plan: Plan;
  settings: ThrottleSettings;
  /** A connection that is nobody else's; `signal` breaks it off. */
  open(signal: AbortSignal): Promise<Session>;
  /** Is this a moment to ask anything, and does the source still have its name? */
  when(): { ask: boolean; source: boolean };
  /** Everything that holds, after each look. */
  judged(held: readonly Held[]): void;
  warn(message: string): void;
}

const EVERY_MS = 1000;
const SQL_TIMEOUT_MS = 5000;
/** After so long without an answer to a look nothing that is known counts any more, ms. */
const STALE_MS = 20_000;

const SET_TIMEOUT = "SELECT pg_catalog.set_config('statement_timeout', $1, false)";

/** Looked at without being asked for. */
const DEFAULTS: readonly Signal[] = ["replica-lag", "slot-wal"];

/** Does anything of this hold work? */
export function isWatched(settings: ThrottleSettings): boolean {
  const { sql, between } = settings;
  return (
    sql !== null || between !== null || Object.values(MEASURED).some(({ limit }) => limit(settings) !== null)
  );
}

export class Monitor {
  readonly #o: MonitorOptions;
  readonly #canary: Canary;
  readonly #latencies = new Latencies();
  readonly #wal = new WalMarks();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #session: Session | null = null;
  #looking: Promise<void> | null = null;
  #since = 0;
  #held: readonly Held[] = [];
  /** Signals that could be read in this process. */
  readonly #readable = new Set<Signal>();
  readonly #warned = new Set<string>();
  /** The copy's last batch that took too long, and until when the copy rests for it. */
  #batch: { ms: number; until: number } | null = null;
  #canaryError: string | null = null;

  constructor(options: MonitorOptions) {
    this.#o = options;
    this.#canary = new Canary(options.plan, options.settings.canarySql);
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), EVERY_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#stopping.abort(new Error("the run has ended"));
    // What it may be waiting for is nobody's any more.
    if (this.#looking !== null) this.#session?.break("the run has ended");
    await this.#looking;
    await this.#session?.end();
    this.#session = null;
  }

  /** A batch of the copy has taken `ms`: one that took too long is followed by as long a rest, then one tries again. */
  batch(ms: number): void {
    const limit = this.#o.settings.maxBatchMs;
    if (limit === null) return;
    if (ms >= limit)
      this.#batch = { ms, until: performance.now() + Math.min(60_000, Math.max(EVERY_MS, ms)) };
    const others = this.#held.filter(({ signal }) => signal !== "batch-time");
    this.#say([...others, ...this.#batchHeld()]);
  }

  /** The canary's times of the last minute, ms. */
  get canary(): NonNullable<Extract<RunEvent, { event: "sample" }>["canary"]> | null {
    return this.#latencies.summary(performance.now());
  }

  /** Looks now: a phase that begins is not to wait for the next second. */
  look(): void {
    if (this.#timer === undefined || !this.#o.when().ask) return;
    if (this.#looking !== null) {
      const silent = performance.now() - this.#since;
      if (silent > STALE_MS) {
        const why = `the server has not answered for ${Math.round(silent / 1000)} s`;
        // An answer that was lost never comes, and TCP would wait a quarter of an hour for it.
        this.#session?.break(why);
        this.#since = performance.now();
        this.#sayUnreadable(why);
      }
      return;
    }
    this.#since = performance.now();
    this.#looking = this.#lookTwice().finally(() => {
      this.#looking = null;
    });
  }

  /** A connection that was lost since the last look is made anew at once: only a server that is away holds. */
  async #lookTwice(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#say(await this.#look());
        return;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const lost = error instanceof ConnectionLost;
        // Also a "lost" one: what a foreign server answers (08006) is no loss of ours, and our socket is still open.
        this.#session?.break("it is to be made anew");
        this.#session = null;
        if (lost && attempt === 1) continue;
        this.#sayUnreadable(messageOf(error));
        return;
      }
    }
  }

  async #look(): Promise<Held[]> {
    const session = await this.#open();
    const { settings } = this.#o;
    const answers = await ask(session, partsFor(settings), walNames(this.#o.plan).slot);
    const { wal } = answers;
    if (wal !== undefined && "text" in wal) this.#wal.add(performance.now(), Number(wal.text));
    const readings: Partial<Record<Measured, Reading>> = {
      "replica-lag": replicaLag(answers.replicas, this.#wal),
      active: active(answers.active),
      "xmin-age": xminAge(answers.xmin),
      "wal-rate":
        wal !== undefined && "error" in wal ? { unreadable: wal.error } : { value: this.#wal.rate() },
      "checkpoint-wal": number(answers.checkpoint),
      "slot-wal": slotWal(answers.slot),
      canary: await this.#sing(session),
    };
    const held: Held[] = [];
    for (const [signal, reading] of Object.entries(readings) as [Measured, Reading][]) {
      const reason = this.#judged(signal, reading);
      if (reason !== null) held.push({ signal, reason });
    }
    if (settings.between !== null) {
      const { between } = settings;
      const reason = await clockIn(session, between.zone).then(
        (now) => judgeHours(between, now),
        (error: unknown) => {
          if (error instanceof ConnectionLost) throw error;
          return `the hours cannot be read: ${messageOf(error)}`;
        },
      );
      if (reason !== null) held.push({ signal: "between", reason });
    }
    if (settings.sql !== null) {
      const reason = await this.#askOperator(session, settings.sql);
      if (reason !== null) held.push({ signal: "sql", reason });
    }
    return [...held, ...this.#batchHeld()];
  }

  async #open(): Promise<Session> {
    if (this.#session !== null) return this.#session;
    this.#session = await this.#o.open(this.#stopping.signal);
    await this.#session.query(SET_TIMEOUT, [String(SQL_TIMEOUT_MS)]);
    return this.#session;
  }

  #judged(signal: Measured, reading: Reading): string | null {
    const limit = MEASURED[signal].limit(this.#o.settings);
    if (limit === null) return null;
    const isReadable = !("unreadable" in reading);
    // That there is no replica can be told without the right to look at one.
    if (isReadable && reading.value !== null) this.#readable.add(signal);
    // The default protects where it can be read; what was asked for, or could be read before, must be readable.
    if (
      !isReadable &&
      signal === "replica-lag" &&
      !this.#o.settings.isReplicaLagAsked &&
      !this.#readable.has(signal)
    ) {
      this.#warnOnce(
        `replica lag is not watched: ${reading.unreadable}. --max-replica-lag <time> insists on it, --max-replica-lag off says that it is meant`,
      );
      return null;
    }
    return judge(
      signal,
      reading,
      limit,
      this.#held.some((one) => one.signal === signal),
    );
  }

  #batchHeld(): Held[] {
    const limit = this.#o.settings.maxBatchMs;
    if (this.#batch === null || limit === null || performance.now() >= this.#batch.until) return [];
    const reason = judge("batch-time", { value: this.#batch.ms }, limit, true);
    return reason === null ? [] : [{ signal: "batch-time", reason }];
  }

  /** The default canary looks at the source, so it ends with the cutover. */
  async #sing(session: Session): Promise<Reading> {
    if (!this.#canary.isOwn && !this.#o.when().source) return { value: null };
    const timed = await this.#canary.run(session);
    const from = performance.now();
    if ("error" in timed) {
      if (timed.error !== this.#canaryError) this.#o.warn(`the canary could not be run: ${timed.error}`);
      this.#canaryError = timed.error;
      return { unreadable: timed.error };
    }
    this.#canaryError = null;
    this.#latencies.add(from, Math.min(timed.ms, CANARY_TIMEOUT_MS));
    return { value: this.#latencies.recent() };
  }

  async #askOperator(session: Session, sql: string): Promise<string | null> {
    const answer = await readOnly(session, SQL_TIMEOUT_MS, () => portal(session, sql, 1));
    if (!answer.ok) return judgeSql({ error: answer.error });
    const first: Row | undefined = answer.value.first;
    return judgeSql({ first: first === undefined ? null : Object.values(first) });
  }

  #say(held: readonly Held[]): void {
    this.#held = held;
    if (!this.#stopping.signal.aborted) this.#o.judged(held);
  }

  /** Nothing can be read at all: everything that was asked for holds; the default alone holds when it had been read. */
  #sayUnreadable(why: string): void {
    const { settings } = this.#o;
    const isDefaultAlone =
      !isWatched({ ...settings, maxReplicaLagMs: null, maxSlotWal: null }) && !settings.isReplicaLagAsked;
    const holds =
      isWatched(settings) && (!isDefaultAlone || DEFAULTS.some((signal) => this.#readable.has(signal)));
    this.#say(holds ? [{ signal: "monitor", reason: `the signals cannot be read: ${why}` }] : []);
  }

  #warnOnce(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#o.warn(message);
  }
}
