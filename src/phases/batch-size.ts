/**
 * How many blocks the next batch of the copy has: always the same, or as many as take about the time asked for. Size
 * hardly changes the speed of the whole (DESIGN 8); it decides how soon a pause, a throttle or a resume takes hold. Pure.
 */

export interface BatchSize {
  /** Blocks of the next batch when `left` are left for `workers`. */
  next(left: number, workers: number): number;
  /** A batch of so many blocks has taken `ms`. */
  took(blocks: number, ms: number): void;
}

/** --batch-blocks: every batch the same. */
export function fixedSize(blocks: number): BatchSize {
  return { next: () => blocks, took: () => undefined };
}

/** Eight megabytes: 65 ms by DESIGN 8. A slow server's first batch is short too; a fast one's fourth is the whole size. */
const FIRST_BLOCKS = 1024;
/** A block that is empty takes no time: without a bound a stretch of them would lead to a batch of minutes behind it. */
export const MOST_BLOCKS = 32_768;
const GROWTH = 2;
/** A batch that takes so many times the target is trouble. */
const TROUBLE = 2;
const REMEMBERED = 10;
/** Below what the throttle calls too long, by as much as it wants to see before it lets go. */
const BELOW_LIMIT = 0.8;

export interface ServoOptions {
  /** What a batch should take, ms. */
  targetMs: number;
  /** The throttle's limit of a batch, ms; null: none. */
  limitMs: number | null;
  /** The smallest batch, blocks. */
  least: number;
}

/**
 * Towards a target time, from the blocks that nine of the last ten batches were as fast as. Grows twofold at most with
 * each batch; shrinks at once when one takes twice the target or what the throttle calls too long, and then stays
 * small until that one is ten batches old.
 */
export class BatchServo implements BatchSize {
  readonly #targetMs: number;
  readonly #troubleMs: number;
  readonly #least: number;
  readonly #most: number;
  #size: number;
  /** Milliseconds a block, of the last batches. */
  #pace: number[] = [];

  constructor({ targetMs, limitMs, least }: ServoOptions) {
    this.#targetMs = Math.min(targetMs, limitMs === null ? targetMs : limitMs * BELOW_LIMIT);
    this.#troubleMs = Math.min(this.#targetMs * TROUBLE, limitMs ?? Number.POSITIVE_INFINITY);
    this.#least = Math.max(1, least);
    this.#most = Math.max(MOST_BLOCKS, this.#least);
    this.#size = this.#bounded(FIRST_BLOCKS);
  }

  /** The last batches are cut so that the workers end together, but no smaller than a quarter: each is a commit. */
  next(left: number, workers: number): number {
    const share = Math.max(Math.ceil(left / workers), Math.ceil(this.#size / 4));
    return this.#bounded(Math.min(this.#size, share));
  }

  took(blocks: number, ms: number): void {
    if (blocks <= 0) return;
    const pace = ms / blocks;
    if (ms >= this.#troubleMs) {
      // What was fast before says nothing any more. By its own blocks: another worker may have shrunk it already.
      this.#pace = [pace];
      this.#size = this.#bounded(Math.min(this.#size, this.#targetMs / pace));
      return;
    }
    this.#pace = [...this.#pace, pace].slice(-REMEMBERED);
    const sorted = [...this.#pace].sort((a, b) => a - b);
    const p90 = sorted[Math.ceil(sorted.length * 0.9) - 1] ?? pace;
    const wanted = p90 > 0 ? this.#targetMs / p90 : this.#most;
    this.#size = this.#bounded(Math.min(wanted, this.#size * GROWTH));
  }

  #bounded(blocks: number): number {
    return Math.max(this.#least, Math.min(this.#most, Math.floor(blocks)));
  }
}
