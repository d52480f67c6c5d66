/** Rows, rate and time left of the copy, reported at most twice a second. */
import type { PhaseContext } from "./phase.js";

interface Start {
  rowsEstimated: number;
  rowsDone: number;
  batchesTotal: number;
  batchesDone: number;
  workers: number;
}

export class CopyProgress {
  readonly #context: PhaseContext;
  readonly #state: Start;
  /** (time, batches, rows) marks of the last ten seconds. */
  #marks: { at: number; batches: number; rows: number }[];
  #reportedAt = 0;

  constructor(context: PhaseContext, start: Start) {
    this.#context = context;
    this.#state = { ...start };
    this.#marks = [{ at: performance.now(), batches: start.batchesDone, rows: start.rowsDone }];
    this.#report();
  }

  add(rows: number): void {
    this.#state.rowsDone += rows;
    this.#state.batchesDone += 1;
    const now = performance.now();
    this.#marks.push({ at: now, batches: this.#state.batchesDone, rows: this.#state.rowsDone });
    while (this.#marks.length > 2 && (this.#marks[1]?.at ?? now) < now - 10_000) this.#marks.shift();
    if (now - this.#reportedAt >= 500) this.#report();
  }

  finish(): void {
    this.#report();
  }

  #report(): void {
    const now = performance.now();
    this.#reportedAt = now;
    const { rowsDone, batchesDone, batchesTotal, rowsEstimated, workers } = this.#state;
    const first = this.#marks[0];
    const seconds = first === undefined ? 0 : (now - first.at) / 1000;
    const batches = first === undefined ? 0 : batchesDone - first.batches;
    const rows = first === undefined ? 0 : rowsDone - first.rows;
    const known = seconds >= 1 && batches >= 2;
    this.#context.emit({
      event: "copy",
      rowsDone,
      // The estimate is scaled by what the batches have shown so far, so the bar ends where the rows end.
      rowsEstimated: batchesDone > 0 ? Math.round((rowsDone / batchesDone) * batchesTotal) : rowsEstimated,
      batchesDone,
      batchesTotal,
      rowsPerSecond: known ? rows / seconds : null,
      secondsLeft: known ? ((batchesTotal - batchesDone) * seconds) / batches : null,
      workers,
    });
  }
}
