/** What readings mean over time: how far behind in seconds a WAL position is, WAL a second, and percentiles. Pure. */

/** WAL positions are kept so long: a replica that is further behind is "at least" that far, ms. */
const KEPT_MS = 3_600_000;
/** Beyond this age one mark in ten seconds is enough. */
const FINE_MS = 60_000;
const COARSE_MS = 10_000;
const RATE_OVER_MS = 10_000;

/** The server's WAL position at our moments. `at`: performance.now(). */
export class WalMarks {
  #marks: { at: number; lsn: number }[] = [];

  add(at: number, lsn: number): void {
    // Another server's log, after a failover, may be behind the one seen before.
    if (lsn < (this.#marks.at(-1)?.lsn ?? 0)) this.#marks = [];
    this.#marks.push({ at, lsn });
    const marks = this.#marks;
    // The one that has just become old goes when its elder neighbour is near.
    const old = marks.findLastIndex((mark) => mark.at < at - FINE_MS);
    const [elder, younger] = [marks[old - 1], marks[old]];
    if (elder !== undefined && younger !== undefined && younger.at - elder.at < COARSE_MS)
      marks.splice(old, 1);
    while ((marks[0]?.at ?? at) < at - KEPT_MS) marks.shift();
  }

  get isEmpty(): boolean {
    return this.#marks.length === 0;
  }

  /**
   * How long ago the server was where a replica is now, ms; null when that is where it still is. The replica's own
   * replay_lag stands still with a replay that stands still; this does not.
   */
  behind(replayed: number): number | null {
    const last = this.#marks.at(-1);
    if (last === undefined || replayed >= last.lsn) return null;
    // It had not been replayed when the next mark was made: that is the moment it is behind.
    const passed = this.#marks.find((mark) => mark.lsn > replayed);
    return last.at - (passed?.at ?? last.at);
  }

  /** Was a replica that stands there behind before we began to look? Then nobody here knows since when. */
  isOlder(replayed: number): boolean {
    return replayed < (this.#marks[0]?.lsn ?? 0);
  }

  /** Bytes a second over the last ten seconds; null while there is one mark only. */
  rate(): number | null {
    const last = this.#marks.at(-1);
    const first = this.#marks.find((mark) => mark.at >= (last?.at ?? 0) - RATE_OVER_MS);
    if (last === undefined || first === undefined || last.at - first.at < 500) return null;
    return ((last.lsn - first.lsn) / (last.at - first.at)) * 1000;
  }
}

/** The canary's times are told over the last minute, and judged by the median of the last few: one hiccup is no news. */
const OVER_MS = 60_000;
const JUDGED = 3;

export class Latencies {
  readonly #marks: { at: number; ms: number }[] = [];

  add(at: number, ms: number): void {
    this.#marks.push({ at, ms });
    while ((this.#marks[0]?.at ?? at) < at - OVER_MS) this.#marks.shift();
  }

  /** Of the last minute, ms; null: none. */
  summary(now: number): { p50: number; p99: number; count: number } | null {
    const sorted = this.#marks
      .filter(({ at }) => at >= now - OVER_MS)
      .map(({ ms }) => ms)
      .toSorted((a, b) => a - b);
    if (sorted.length === 0) return null;
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), count: sorted.length };
  }

  /** What is judged, ms; null before the first. */
  recent(): number | null {
    const last = this.#marks.slice(-JUDGED).map(({ ms }) => ms);
    return last.length === 0
      ? null
      : quantile(
          last.toSorted((a, b) => a - b),
          0.5,
        );
  }
}

/** The smallest value that at least the `share` (0 to 1) of `sorted` does not exceed (nearest rank); 0 of nothing. */
export function quantile(sorted: readonly number[], share: number): number {
  // Without the small number 0.07 of 100 is the 8th value: 0.07 * 100 is not 7 in binary.
  return sorted[Math.max(0, Math.ceil(share * sorted.length - 1e-9) - 1)] ?? 0;
}
