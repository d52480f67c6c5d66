/** A report as a document without a format: sections of blocks, which html and markdown render each in its own way. */
export type Tone = "plain" | "good" | "warn" | "bad" | "quiet";

export interface Toned {
  text: string;
  tone: Tone;
}

export type Cell = string | Toned;

export type Block =
  | { kind: "text"; text: string; tone?: Tone }
  | { kind: "facts"; rows: [label: string, value: Cell][] }
  | { kind: "table"; head: string[] /** Columns of numbers. */; right?: number[]; rows: Cell[][] }
  | { kind: "code"; title: string; text: string }
  | { kind: "timeline"; timeline: Timeline }
  | { kind: "line"; chart: LineChart };

export interface Section {
  title: string;
  blocks: Block[];
}

export interface Doc {
  title: string;
  /** How it stands, in a word or two. */
  state: Toned;
  /** What was asked and what came of it. */
  sentence: string;
  /** The handful of numbers people ask for first. */
  tiles: { label: string; value: string; tone: Tone }[];
  sections: Section[];
  footer: string;
}

/** Milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

export interface Bar extends Span {
  tone: Tone;
  label: string;
}

export interface Timeline {
  rows: { name: string; bars: Bar[] }[];
  /** Time in which something was done; what lies between is drawn shortened. */
  work: Span[];
}

export interface LineChart {
  title: string;
  unit: string;
  /** Joined points; between two of them nothing was measured. */
  lines: { t: number; v: number }[][];
  /** The same in words, for readers without pictures. */
  words: string;
}

/** Said wherever there is nothing to show, so that a gap is not taken for a zero. */
export const NOT_MEASURED: Block = { kind: "text", text: "Not measured.", tone: "quiet" };

export const toned = (text: string, tone: Tone): Toned => ({ text, tone });

/** At most `most` rows, and how many there were beyond. */
export function folded(rows: Cell[][], most: number): Cell[][] {
  if (rows.length <= most) return rows;
  return [...rows.slice(0, most), [toned(`... ${rows.length - most} more`, "quiet")]];
}
