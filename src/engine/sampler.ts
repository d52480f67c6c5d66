/**
 * What the server says of itself while a run works, for a screen: one question a second on the run's own helper, which
 * takes no lock and reads no table. A courtesy: what cannot be known is told as unknown.
 */
import { z } from "zod";
import type { RunEventBody, SlotFacts } from "../../state/events.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { sidesOf } from "../sync/pairs.js";
import type { SlotStatus } from "../wal/slot.js";

export interface SamplerOptions {
  /** The session to ask; null while there is none. */
  session(): Pick<Session, "one" | "lost"> | null;
  /** The change log, quoted and qualified; null: this is no moment to ask anything. */
  log(): string | null;
  emit(body: RunEventBody): void;
  /** With `--capture wal`: the slot. */
  slot?(): Promise<SlotStatus | null>;
  /** What the monitor of the throttle knows beside it. */
  beside?(): Pick<Extract<RunEventBody, { event: "sample" }>, "canary" | "held">;
}

const EVERY_MS = 1000;
/** The rate is over so many milliseconds, as the copy's is. */
const OVER_MS = 10_000;

const SQL = {
  wal: /*sql*/ `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text AS wal`,
  logged: /*sql*/ `SELECT pg_stat_get_live_tuples(to_regclass($1)::oid)::text AS logged`,
} as const;

const Wal = z.object({ wal: z.coerce.number() });
const Logged = z.object({ logged: z.coerce.number().nullable() });

export class Sampler {
  readonly #o: SamplerOptions;
  #timer: NodeJS.Timeout | undefined;
  #asking = false;
  /** Refused once: a standby, or a server whose owner does not let it be asked. */
  #walUnknown = false;
  #first: number | null = null;
  #marks: { at: number; wal: number }[] = [];
  /** The newest map that was held back. */
  #held: RunEventBody | null = null;

  constructor(options: SamplerOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Holds a map back until the next second: only the newest counts, and between two pieces a worker is at none, which
   * is nothing to show.
   */
  calm(body: RunEventBody): void {
    this.#held = body;
  }

  /** What was held back is told now: a phase has ended, and its last picture is the true one. */
  flush(): void {
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#o.emit(held);
  }

  #tick(): void {
    this.flush();
    const session = this.#o.session();
    const log = this.#o.log();
    if (this.#asking || session === null || log === null) return;
    this.#asking = true;
    void this.#sample(session, log).finally(() => {
      this.#asking = false;
    });
  }

  async #sample(session: Pick<Session, "one" | "lost">, log: string): Promise<void> {
    const wal = this.#walUnknown
      ? null
      : await session.one(Wal, SQL.wal).then(
          (row) => row.wal,
          // A lost connection is the phases' to notice; whatever else it was would be so every second.
          () => {
            this.#walUnknown = !session.lost;
            return null;
          },
        );
    const logged = await session.one(Logged, SQL.logged, [log]).then(
      (row) => row.logged,
      () => null,
    );
    const slot = (await this.#o.slot?.().catch(() => null)) ?? null;
    // The run may have ended, or come to its locks, while the server answered.
    if (this.#timer === undefined || this.#o.log() === null) return;
    this.#o.emit({ event: "sample", ...this.#rate(wal), logged, ...slotFacts(slot), ...this.#o.beside?.() });
  }

  #rate(wal: number | null): { walBytesPerSecond: number | null; walBytes: number | null } {
    const at = performance.now();
    const last = this.#marks.at(-1);
    if (wal === null) return { walBytesPerSecond: null, walBytes: null };
    // Another server's log, after a failover, may be behind the one seen before.
    if (last !== undefined && wal < last.wal) {
      this.#marks = [];
      this.#first = null;
    }
    this.#first ??= wal;
    this.#marks.push({ at, wal });
    while (this.#marks.length > 2 && (this.#marks[1]?.at ?? at) < at - OVER_MS) this.#marks.shift();
    const from = this.#marks[0];
    const seconds = from === undefined ? 0 : (at - from.at) / 1000;
    const known = from !== undefined && seconds >= 0.5;
    return {
      walBytesPerSecond: known ? (wal - from.wal) / seconds : null,
      walBytes: wal - this.#first,
    };
  }
}

function slotFacts(slot: SlotStatus | null): { slot?: SlotFacts } {
  if (slot === null) return {};
  const { name, ...facts } = slot;
  return { slot: facts };
}

/** The change log that grows now; null where the locks are sought and held: nothing is asked or written beside them. */
export function sampledLog(plan: Plan, state: string): string | null {
  if (state === "cutover" || state === "rollback" || state === "halted") return null;
  return sidesOf(plan, state === "retain" ? "reverse" : "forward").log;
}

const BEFORE_CUTOVER = ["backup", "shadow", "copy", "index", "validate", "ready"];

/** Is this a moment for the throttle's monitor to ask, and does the source still have its name? */
export function monitored(plan: Plan, state: string): { ask: boolean; source: boolean } {
  return {
    ask: state !== "drop" && state !== "abort" && sampledLog(plan, state) !== null,
    source: BEFORE_CUTOVER.includes(state),
  };
}
