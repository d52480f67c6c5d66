/** Cells of a map folded into the characters a terminal has room for. Pure. */
export type CellState = "waiting" | "partly" | "done" | "different";

export interface Cell {
  state: CellState;
  /** 0 to 1. */
  share: number;
  busy: boolean;
  /** The pieces it stands for: from (included), to (excluded). */
  from: number;
  to: number;
}

/** How a grid is laid out. */
export interface GridShape {
  /** Pieces in a cell. */
  each: number;
  /** Cells in a line. */
  across: number;
  /** Characters of a cell; more than one has an empty one after it. */
  width: number;
}

const WIDEST = 8;
/** Wide cells take no more lines than this: a screen full of blocks tells nothing more. */
const MOST_WIDE_ROWS = 6;

/** The layout of `pieces` in `rows` lines of `columns` characters: wide cells for few, several pieces a cell for many. */
export function shapeFor(pieces: number, columns: number, rows: number): GridShape {
  for (let width = WIDEST; width > 1; width -= 1) {
    const most = Math.floor((columns + 1) / (width + 1));
    const lines = Math.ceil(pieces / Math.max(1, most));
    // Lines of the same length: a last one with two cells looks like something missing.
    if (most > 0 && lines <= Math.min(rows, MOST_WIDE_ROWS))
      return { each: 1, across: Math.ceil(pieces / lines), width };
  }
  const each = Math.max(1, Math.ceil(pieces / Math.max(1, columns * rows)));
  return { each, across: columns, width: 1 };
}

/** The cells of `marks` (events.ts, `map`), in order, `each` pieces in one. */
export function foldCells(marks: string, busy: ReadonlySet<number>, each: number): Cell[] {
  const cells: Cell[] = [];
  for (let from = 0; from < marks.length; from += each)
    cells.push(cellOf(marks, busy, from, Math.min(from + each, marks.length)));
  return cells;
}

function cellOf(marks: string, busy: ReadonlySet<number>, from: number, to: number): Cell {
  const pieces = [...marks.slice(from, to)];
  const share = pieces.reduce((sum, mark) => sum + shareOf(mark), 0) / pieces.length;
  const begun = pieces.some((_, at) => busy.has(from + at));
  return { state: stateOf(pieces, share, begun), share, busy: begun, from, to };
}

function stateOf(pieces: string[], share: number, begun: boolean): CellState {
  if (pieces.includes("!")) return "different";
  if (pieces.every((mark) => mark === "x")) return "done";
  return share > 0 || begun || pieces.some((mark) => mark !== ".") ? "partly" : "waiting";
}

function shareOf(mark: string): number {
  if (mark === "x" || mark === "!") return 1;
  // `0` is begun: not nothing.
  return mark === "." ? 0 : (Number(mark) + 0.5) / 10;
}

/** How many pieces are done. */
export function doneCount(marks: string): number {
  return [...marks].filter((mark) => mark === "x").length;
}

/** Numbers as bars, from low to high as `heights` has them: all of them in at most `width`, scaled to the largest. */
export function sparkline(values: readonly number[], width: number, heights: string): string {
  const most = Math.max(...values, 1);
  const steps = [...heights];
  return spread(values, Math.max(1, width))
    .map((value) => steps[Math.ceil((value / most) * (steps.length - 1))] ?? "")
    .join("");
}

/** Neighbours become one, the largest of them: a peak must not be averaged away. */
function spread(values: readonly number[], width: number): number[] {
  const each = Math.max(1, Math.ceil(values.length / width));
  const result: number[] = [];
  for (let from = 0; from < values.length; from += each)
    result.push(Math.max(...values.slice(from, from + each)));
  return result;
}
