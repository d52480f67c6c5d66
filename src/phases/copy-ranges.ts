/**
 * What is left to copy, and who gets it. A ledger row says which blocks it stands for, so what is left is the gaps
 * between the rows, whatever sizes they were cut in. Pure.
 *
 * Ranges begin at multiples of the generation's unit, and a batch's number is its first unit: the same numbers that
 * batches of one fixed size (then the unit) have, so a ledger that an older Partway began reads the same.
 */
import { PartwayError } from "../errors.js";

/** Blocks [from, to). */
export interface Range {
  from: number;
  to: number;
}

/** Half a megabyte: 4 ms of copying by DESIGN 8, so no target time is too short for it. */
const UNIT_BLOCKS = 64;

/** The unit of a generation whose batches begin with `batchBlocks`: that size must be a whole number of it. */
export function unitFor(batchBlocks: number): number {
  return batchBlocks % UNIT_BLOCKS === 0 ? UNIT_BLOCKS : batchBlocks;
}

/** What of [0, blocks) is in none of `done`, in order. Errors: unexpected when two of `done` share a block. */
export function gapsOf(blocks: number, done: readonly Range[]): Range[] {
  const gaps: Range[] = [];
  let at = 0;
  for (const { from, to } of [...done].sort((a, b) => a.from - b.from)) {
    if (from < at) throw copiedTwice({ from, to: Math.min(to, at) });
    if (from > at) gaps.push({ from: at, to: from });
    at = to;
  }
  if (at < blocks) gaps.push({ from: at, to: blocks });
  return gaps;
}

/** The ledger says so: rows of these blocks stand twice, or would. */
export function copiedTwice({ from, to }: Range): PartwayError {
  return new PartwayError("unexpected", {
    what: `blocks ${from} to ${to} of the source are in two batches of the ledger`,
    state: "The source is untouched. The copy cannot be trusted: rows may stand in it twice.",
    next: "partway abort removes the copy; partway run begins anew. Please report it.",
  });
}

/** Hands out what is left, first block first, each block once. One per copy: its workers share it. */
export class Ranges {
  readonly #gaps: Range[];
  readonly #unit: number;
  #left: number;

  /** `done`: what the ledger has. Errors: unexpected when its rows overlap. */
  constructor(blocks: number, unit: number, done: readonly Range[]) {
    this.#gaps = gapsOf(blocks, done);
    this.#unit = unit;
    this.#left = this.#gaps.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  /** Blocks that nobody has taken. */
  get left(): number {
    return this.#left;
  }

  /** `blocks` in whole units: one at least. */
  whole(blocks: number): number {
    return Math.max(1, Math.floor(blocks / this.#unit)) * this.#unit;
  }

  /** The next blocks: `most` of them in whole units, no further than the end of the gap they are in. */
  take(most: number): Range | undefined {
    const gap = this.#gaps[0];
    if (gap === undefined) return undefined;
    const range = { from: gap.from, to: Math.min(gap.from + this.whole(most), gap.to) };
    gap.from = range.to;
    if (gap.from >= gap.to) this.#gaps.shift();
    this.#left -= range.to - range.from;
    return range;
  }
}
