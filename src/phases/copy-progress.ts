/** Rows, rate and time left of the copy, reported at most twice a second. */
import type { PhaseContext } from "./phase.js";

interface Start {
  rowsEstimated: number;
  rowsDone: number;
  blocksTotal: number;
  blocksDone: number;
  batchesDone: number;
  /** Blocks of the next batch. */
  batchBlocks: number;
  workers: number;
}

export class CopyProgress {
  readonly #context: PhaseContext;
  readonly #state: Start;
  /** (time, batches, blocks, rows) marks of the last ten seconds. */
  #marks: { at: number; batches: number; blocks: number; rows: number }[] = [];
  #reportedAt = 0;

  constructor(context: PhaseContext, start: Start) {
    this.#context = context;
    this.#state = { ...start };
    this.#mark(performance.now());
    this.#report();
  }

  /** One more batch is committed; the next one will have `next` blocks. */
  add(rows: number, blocks: number, next: number): void {
    this.#state.rowsDone += rows;
    this.#state.blocksDone += blocks;
    this.#state.batchesDone += 1;
    this.#state.batchBlocks = next;
    const now = performance.now();
    this.#mark(now);
    while (this.#marks.length > 2 && (this.#marks[1]?.at ?? now) < now - 10_000) this.#marks.shift();
    if (now - this.#reportedAt >= 500) this.#report();
  }

  finish(): void {
    this.#report();
  }

  #mark(at: number): void {
    const { batchesDone, blocksDone, rowsDone } = this.#state;
    this.#marks.push({ at, batches: batchesDone, blocks: blocksDone, rows: rowsDone });
  }

  #report(): void {
    const now = performance.now();
    this.#reportedAt = now;
    const { rowsDone, blocksDone, blocksTotal, batchesDone, batchBlocks, rowsEstimated, workers } =
      this.#state;
    const first = this.#marks[0];
    const seconds = first === undefined ? 0 : (now - first.at) / 1000;
    const batches = first === undefined ? 0 : batchesDone - first.batches;
    const blocks = first === undefined ? 0 : blocksDone - first.blocks;
    const rows = first === undefined ? 0 : rowsDone - first.rows;
    const known = seconds >= 1 && batches >= 2;
    const left = blocksTotal - blocksDone;
    this.#context.emit({
      event: "copy",
      rowsDone,
      // The estimate is scaled by what the blocks have shown so far, so the bar ends where the rows end.
      rowsEstimated: blocksDone > 0 ? Math.round((rowsDone / blocksDone) * blocksTotal) : rowsEstimated,
      batchesDone,
      // At the size of now; nothing is left exactly when the two are the same.
      batchesTotal: batchesDone + Math.ceil(left / batchBlocks),
      blocksDone,
      blocksTotal,
      batchBlocks,
      rowsPerSecond: known ? rows / seconds : null,
      secondsLeft: known ? (left * seconds) / blocks : null,
      workers,
    });
  }
}
