/** Keys a second that are applied, over the last ten seconds. Pure. */

const OVER_MS = 10_000;
/** A rate over less than this is no rate, seconds. */
const LEAST_SECONDS = 0.2;

export class ApplyRate {
  readonly #batches: { from: number; to: number; keys: number }[] = [];

  /** `keys` were applied between the two moments (performance.now()). */
  add(from: number, to: number, keys: number): void {
    this.#batches.push({ from, to, keys });
    while ((this.#batches[0]?.to ?? to) < to - OVER_MS) this.#batches.shift();
  }

  /** Since the first of these batches began, rests too; null while that is too short to say. */
  perSecond(): number | null {
    const [first, last] = [this.#batches[0], this.#batches.at(-1)];
    if (first === undefined || last === undefined) return null;
    const seconds = (last.to - first.from) / 1000;
    return seconds > LEAST_SECONDS ? this.#batches.reduce((sum, { keys }) => sum + keys, 0) / seconds : null;
  }
}
