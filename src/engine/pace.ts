/** The throttle: after work, a rest long enough that only the asked share of the time was work. */
import { rest } from "../sync/drain.js";

/** Node's timers end at 2^31 ms; a longer rest is several. */
const LONGEST_MS = 60_000;

/** The rest owed after `workedMs` of work at `percent` (1 to 100) of the time, ms. */
export function restMs(workedMs: number, percent: number): number {
  return workedMs * (100 / percent - 1);
}

export class Pace {
  #percent: number;
  #turned = new AbortController();

  constructor(percent: number) {
    this.#percent = percent;
  }

  /** From now on; whoever rests, rests by the new number. */
  set(percent: number): void {
    if (percent === this.#percent) return;
    this.#percent = percent;
    this.#turned.abort();
    this.#turned = new AbortController();
  }

  /** Rests for `workedMs` of work; ends when `signal` fires, and never throws. */
  async rest(workedMs: number, signal: AbortSignal): Promise<void> {
    const from = performance.now();
    while (!signal.aborted) {
      const owed = restMs(workedMs, this.#percent) - (performance.now() - from);
      if (owed <= 0) return;
      await rest(Math.min(owed, LONGEST_MS), AbortSignal.any([signal, this.#turned.signal]));
    }
  }
}
