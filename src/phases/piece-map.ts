/**
 * Which pieces of a phase are done and who works on which: what a screen draws as a grid. Counts only, asks nothing of
 * the server. Every change is told; the engine lets at most one a second through.
 */
import type { RunEventBody, WorkerFacts } from "../../state/events.js";

type MapEvent = Extract<RunEventBody, { event: "map" }>;

export interface Telling {
  emit(event: RunEventBody): void;
}

/** More cells than this no screen shows one by one. */
const MOST_BLOCK_CELLS = 400;

export class PieceMap {
  readonly #context: Telling;
  readonly #kind: Pick<MapEvent, "phase" | "of">;
  readonly #done: number[];
  /** Units of work in each cell. */
  readonly #whole: number[];
  /** Each cell as it is told: kept, because there may be thousands, and every change is told. */
  readonly #marks: string[];
  readonly #different = new Set<number>();
  readonly #numbers = new Map<number, number>();
  readonly #busy = new Map<number, WorkerFacts>();

  /** `whole`: how many units of work make each cell complete. */
  constructor(context: Telling, kind: Pick<MapEvent, "phase" | "of">, whole: number[]) {
    this.#context = context;
    this.#kind = kind;
    this.#whole = whole;
    this.#done = whole.map(() => 0);
    this.#marks = whole.map((units, cell) => this.#mark(cell, units));
  }

  /** The backend `pid` begins with `what`, in a cell or in none of them. */
  begin(pid: number, cell: number | null, what: string): void {
    const worker = this.#numbers.get(pid) ?? this.#numbers.size + 1;
    this.#numbers.set(pid, worker);
    this.#busy.set(pid, { worker, cell, what, since: new Date().toISOString() });
    this.tell();
  }

  /** One unit of a cell is done. */
  end(pid: number, cell: number | null): void {
    this.#busy.delete(pid);
    if (cell !== null) this.count(cell);
    this.tell();
  }

  /** One unit of a cell was done before, by an earlier process perhaps. */
  count(cell: number): void {
    this.#done[cell] = (this.#done[cell] ?? 0) + 1;
    this.#redraw(cell);
  }

  /** A piece that was found to differ. */
  differs(cell: number): void {
    this.#different.add(cell);
    this.#redraw(cell);
  }

  tell(): void {
    this.#context.emit({
      event: "map",
      ...this.#kind,
      cells: this.#marks.join(""),
      workers: [...this.#busy.values()].sort((a, b) => a.worker - b.worker),
    });
  }

  #redraw(cell: number): void {
    const whole = this.#whole[cell];
    if (whole !== undefined) this.#marks[cell] = this.#mark(cell, whole);
  }

  #mark(cell: number, whole: number): string {
    const done = this.#done[cell] ?? 0;
    if (this.#different.has(cell)) return "!";
    if (done >= whole) return "x";
    return done === 0 ? "." : String(Math.floor((10 * done) / whole));
  }
}

/** The cell of each of `total` batches, and how many batches each cell has. */
export function blockCells(total: number): { cellOf(batch: number): number; whole: number[] } {
  const count = Math.min(MOST_BLOCK_CELLS, total);
  const cellOf = (batch: number) => Math.floor((batch * count) / total);
  const whole = new Array<number>(count).fill(0);
  for (let batch = 0; batch < total; batch += 1) {
    const cell = cellOf(batch);
    whole[cell] = (whole[cell] ?? 0) + 1;
  }
  return { cellOf, whole };
}
