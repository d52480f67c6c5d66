/** Rows a second and the change log's length over time, out of single measurements. Pure. */
import type { BatchRecord, MeasurementRecord } from "../../state/journal-rows.js";
import type { LineChart, Span } from "./doc.js";

/** Points of a curve: more cannot be told apart at the width of a page. */
const POINTS = 72;

/** A gap of more than this share of the whole is an interruption, and no curve leads across it. */
const GAP = 0.2;

type Line = LineChart["lines"][number];

/**
 * Rows a second over the time of the copy. A batch's rows are spread over the time it took. Batches that were written
 * down late or all at once have no length: then there is nothing to draw.
 */
export function rowRate(batches: readonly BatchRecord[]): Line[] {
  const spans = batches.map(({ at, ms, rows }) => ({ to: Date.parse(at), from: Date.parse(at) - ms, rows }));
  return clusters(spans, 2_000).flatMap((cluster) => {
    const from = Math.min(...cluster.map((span) => span.from));
    const to = Math.max(...cluster.map((span) => span.to));
    const step = Math.max((to - from) / Math.min(POINTS, Math.max(4, cluster.length * 2)), 1);
    if (to <= from) return [];
    const line: Line = [];
    for (let at = from; at < to - step / 2; at += step) {
      const rows = cluster.reduce((sum, span) => sum + span.rows * share(span, at, at + step), 0);
      line.push({ t: at + step / 2, v: (rows / step) * 1000 });
    }
    return [line];
  });
}

/** The measurements of one name as curves. */
export function levels(measurements: readonly MeasurementRecord[], name: string): Line[] {
  const points = measurements
    .filter((one) => one.name === name)
    .map(({ at, value }) => ({ from: Date.parse(at), to: Date.parse(at), v: value }));
  return clusters(points, 120_000).map((cluster) => thinned(cluster.map(({ from, v }) => ({ t: from, v }))));
}

/** How much of a span lies within [from, to). */
function share(span: Span, from: number, to: number): number {
  const length = Math.max(span.to - span.from, 1);
  return Math.max(0, Math.min(span.to, to) - Math.max(span.to - length, from)) / length;
}

/** `least`: a gap shorter than this, ms, is none. */
function clusters<T extends Span>(spans: readonly T[], least: number): T[][] {
  const sorted = spans.toSorted((a, b) => a.from - b.from);
  const whole = Math.max(...sorted.map(({ to }) => to)) - (sorted[0]?.from ?? 0);
  const groups: T[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const span of sorted) {
    if (span.from - end > whole * GAP && span.from - end > least) groups.push([]);
    groups.at(-1)?.push(span);
    end = Math.max(end, span.to);
  }
  return groups;
}

/** The highest point of each piece: a peak is what somebody looks for. */
function thinned(line: Line): Line {
  const size = Math.ceil(line.length / (POINTS * 2));
  const pieces: Line = [];
  for (let at = 0; at < line.length; at += size) {
    const [first, ...rest] = line.slice(at, at + size);
    if (first !== undefined)
      pieces.push(rest.reduce((high, point) => (point.v > high.v ? point : high), first));
  }
  return pieces;
}
