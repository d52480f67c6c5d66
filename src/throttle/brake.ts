/**
 * Where work waits while a signal is bad. It waits before a piece of work, never in one, so nothing is locked and no
 * snapshot is open meanwhile; and it tells of it only while somebody does wait.
 */
import type { RunEventBody, Signal } from "../../state/events.js";
import { fired, rest } from "../sync/drain.js";
import type { Held } from "./types.js";

/** How an applier that merely follows is slowed: it makes its next batch after so long at the latest, ms. */
export const SLOWED_MS = 30_000;

/** What the applier itself causes: WAL, and replicas that must replay it. Every other signal would only let the log grow. */
export const APPLIERS: ReadonlySet<Signal> = new Set<Signal>(["replica-lag", "wal-rate", "checkpoint-wal"]);

export class Brake {
  readonly #tell: (event: RunEventBody) => void;
  /** Null: nothing has been read yet. */
  #bad: readonly Held[] | null;
  #turned = new AbortController();
  /** What each who waits waits for. */
  readonly #waiting = new Set<(bad: readonly Held[]) => readonly Held[]>();
  /** Until then a slowed applier is at its one batch, and counts as held. */
  #backBy = 0;
  /** The signals that were told last, since when, and why. */
  #told: { signals: string; since: number; reason: string } | null = null;

  /** `isWatched` false: there is nothing to wait for. `tell` hears of every hold and its end. */
  constructor(isWatched: boolean, tell: (event: RunEventBody) => void) {
    this.#bad = isWatched ? null : [];
    this.#tell = tell;
  }

  /** The newest judgement: everything that holds. */
  set(bad: readonly Held[]): void {
    this.#bad = bad;
    this.#turned.abort();
    this.#turned = new AbortController();
    // Whoever was let go has not gone yet; who still waits is told of with the reasons of now.
    this.#look();
  }

  /** What holds somebody now; empty: nobody waits. */
  get holding(): readonly Held[] {
    const bad = this.#bad ?? [];
    const held = new Set([...this.#waiting].flatMap((of) => of(bad)));
    return bad.filter((one) => held.has(one));
  }

  /** Waits before heavy work until every signal is good, `until` fires, or the run is `stopped`, which throws. */
  async work(stopped: AbortSignal, until: AbortSignal): Promise<void> {
    await this.#wait(stopped, until, (bad) => bad, Number.POSITIVE_INFINITY);
  }

  /** Before a batch of an applier that follows: slowed by what it causes itself, never stopped. */
  async follower(stopped: AbortSignal, until: AbortSignal): Promise<void> {
    if (this.#bad === null) return;
    const own = (bad: readonly Held[]) => bad.filter(({ signal }) => APPLIERS.has(signal));
    await this.#wait(stopped, until, own, SLOWED_MS);
  }

  async #wait(
    stopped: AbortSignal,
    until: AbortSignal,
    of: (bad: readonly Held[]) => readonly Held[],
    mostMs: number,
  ): Promise<void> {
    const from = performance.now();
    const left = () => mostMs - (performance.now() - from);
    const holds = () => this.#bad === null || of(this.#bad).length > 0;
    if (!holds()) return;
    this.#waiting.add(of);
    try {
      this.#look();
      while (holds() && left() > 0 && !until.aborted && !stopped.aborted) {
        const signal = AbortSignal.any([this.#turned.signal, until, stopped]);
        await (Number.isFinite(mostMs) ? rest(left(), signal) : fired(signal));
      }
    } finally {
      this.#waiting.delete(of);
      // Only its time is up: it comes back after one batch, to the same signals.
      if (left() <= 0 && holds()) this.#backBy = performance.now() + SLOWED_MS;
      this.#look();
    }
    stopped.throwIfAborted();
  }

  /** Tells what has changed: who is held by what, and that nobody is any more. */
  #look(): void {
    const held = this.holding;
    const isBack =
      performance.now() < this.#backBy && (this.#bad ?? []).some(({ signal }) => APPLIERS.has(signal));
    if (held.length === 0 && isBack) return;
    const signals = held.map(({ signal }) => signal).join();
    if (signals === (this.#told?.signals ?? "")) return;
    const since = this.#told?.since ?? performance.now();
    const reason = this.#told?.reason ?? "";
    if (held.length === 0) {
      this.#told = null;
      this.#tell({ event: "released", reason, ms: performance.now() - since });
      return;
    }
    this.#told = { signals, since, reason: held.map((one) => one.reason).join("; ") };
    this.#tell({ event: "throttled", reasons: [...held] });
  }
}
