/** Places on a chart: a time axis that shortens the time in which nothing happened, and round numbers to label. Pure. */
import type { Span } from "./doc.js";

/** A rest is drawn at most this share of the work's length. */
const REST_SHARE = 0.07;

export interface TimeAxis {
  /** Pixels of a moment. */
  x(t: number): number;
  ticks: { x: number; label: string }[];
  /** Shortened rests, and how long they were, ms. */
  breaks: { x: number; ms: number }[];
}

interface Piece extends Span {
  /** Pixels. */
  x: number;
  width: number;
  cut: boolean;
}

/** `spans`: the time to show; between them time is shortened where it would take up too much. */
export function timeAxis(spans: readonly Span[], left: number, width: number): TimeAxis {
  const work = merged(spans);
  const total = work.reduce((sum, { from, to }) => sum + to - from, 0);
  const longest = Math.max(total * REST_SHARE, 1);
  const lengths: (Span & { drawn: number; cut: boolean })[] = work.flatMap((span, at) => {
    const before = work[at - 1];
    const gap = before === undefined ? [] : [{ from: before.to, to: span.from }];
    return [
      ...gap.map((g) => ({ ...g, drawn: Math.min(g.to - g.from, longest), cut: g.to - g.from > longest })),
      { ...span, drawn: Math.max(span.to - span.from, 1), cut: false },
    ];
  });
  const scale =
    width /
    Math.max(
      1,
      lengths.reduce((sum, { drawn }) => sum + drawn, 0),
    );
  let x = left;
  const pieces: Piece[] = lengths.map(({ from, to, drawn, cut }) => {
    const piece = { from, to, cut, x, width: drawn * scale };
    x += piece.width;
    return piece;
  });
  const place = (t: number): number => {
    const piece = pieces.find(({ to }) => t <= to) ?? pieces.at(-1);
    if (piece === undefined) return left;
    const share = (t - piece.from) / Math.max(1, piece.to - piece.from);
    return piece.x + Math.min(1, Math.max(0, share)) * piece.width;
  };
  return {
    x: place,
    ticks: timeTicks(pieces, scale),
    breaks: pieces.filter(({ cut }) => cut).map((p) => ({ x: p.x + p.width / 2, ms: p.to - p.from })),
  };
}

function merged(spans: readonly Span[]): Span[] {
  const out: Span[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else out.push({ from, to });
  }
  return out;
}

const SECOND = 1000;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * 60 * SECOND),
  ...[1, 2, 3, 6, 12, 24, 48, 168].map((n) => n * 3600 * SECOND),
];

/** Labels stand at least so many pixels apart. */
const APART = 84;

function timeTicks(pieces: readonly Piece[], scale: number): { x: number; label: string }[] {
  const step = STEPS.find((ms) => ms * scale >= APART) ?? 168 * 3600 * SECOND;
  const ticks: { x: number; label: string }[] = [];
  for (const { from, to, x, width, cut } of pieces) {
    if (cut) continue;
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      const at = x + ((t - from) / Math.max(1, to - from)) * width;
      if (at - (ticks.at(-1)?.x ?? Number.NEGATIVE_INFINITY) >= APART * 0.75)
        ticks.push({ x: at, label: clock(t, step) });
    }
  }
  return ticks;
}

function clock(t: number, step: number): string {
  const iso = new Date(t).toISOString();
  if (step >= 24 * 3600 * SECOND) return iso.slice(5, 10);
  return step < 60 * SECOND ? iso.slice(11, 19) : iso.slice(11, 16);
}

/** Round numbers from 0 to at least `top`, about `wanted` of them. */
export function niceTicks(top: number, wanted = 4): number[] {
  if (!(top > 0)) return [0, 1];
  const raw = top / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(([1, 2, 5, 10].find((n) => n * power >= raw) ?? 10) * power, 1);
  const count = Math.ceil(top / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}
