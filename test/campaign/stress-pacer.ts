/**
 * Writers at full speed may outrun the one applier for as long as they like. When a backlog has not shrunk for some
 * seconds they are slowed down a little, as an operator would have to ask, until that process ends.
 */
import type { Line } from "../cli/support.js";

const PATIENCE_MS = 4_000;

export class Pacer {
  readonly #pace: (ms: number) => void;
  readonly #longestMs: number;
  #ms = 0;
  #least = Number.POSITIVE_INFINITY;
  #since = 0;
  /** How often the writers had to be slowed down at all. */
  times = 0;

  /** `longestMs`: triggers slow a writer down themselves; reading the write-ahead log leaves it all to the pace. */
  constructor(pace: (ms: number) => void, longestMs: number) {
    this.#pace = pace;
    this.#longestMs = longestMs;
  }

  heard(line: Line): void {
    if (line.event !== "backlog") return;
    const keys = Number(line["keys"]);
    const now = performance.now();
    if (this.#since === 0 || keys < this.#least * 0.8) {
      this.#least = keys;
      this.#since = now;
    }
    if (keys < 50 || now - this.#since < PATIENCE_MS) return;
    this.#since = now;
    this.#least = keys;
    if (this.#ms === 0) this.times++;
    this.#ms = Math.min(this.#longestMs, Math.max(5, this.#ms * 3));
    this.#pace(this.#ms);
  }

  /** Full speed again. */
  ended(): void {
    this.#ms = 0;
    this.#since = 0;
    this.#least = Number.POSITIVE_INFINITY;
    this.#pace(0);
  }
}
