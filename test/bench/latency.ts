/** What writers did, cut into spans of time. Pure. */
import { quantile } from "../../src/throttle/marks.js";

/** One statement of a writer. A failed one counts as an error and has no latency. */
export interface Sample {
  /** Epoch ms at which it was due: in a closed loop when it was sent, in an open one when the rate called for it. */
  due: number;
  /** From `due` to its answer, ms: what waits behind a stalled statement is late too. */
  ms: number;
  ok: boolean;
}

/** A person notices an answer that is later than this. */
export const LATE_MS = 100;

/** Epoch ms, half-open. */
export interface Span {
  name: string;
  from: number;
  to: number;
}

export interface Latency {
  seconds: number;
  /** Answers a second that came in the span. */
  perSecond: number;
  /** Of what was due in the span, the share that was answered within `LATE_MS`. */
  onTime: number;
  count: number;
  errors: number;
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** The latency of the statements that were due in the span; null when none was. */
export function latencyIn(samples: readonly Sample[], { from, to }: Span): Latency | null {
  const due = samples.filter((one) => one.due >= from && one.due < to);
  const sorted = due
    .filter(({ ok }) => ok)
    .map(({ ms }) => ms)
    .sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const of = (share: number) => quantile(sorted, share);
  const answered = samples.filter(({ due: at, ms, ok }) => ok && at + ms >= from && at + ms < to).length;
  const seconds = (to - from) / 1000;
  return {
    ...{ seconds, perSecond: answered / seconds },
    onTime: sorted.filter((ms) => ms <= LATE_MS).length / due.length,
    ...{ count: sorted.length, errors: due.length - sorted.length },
    ...{ p50: of(0.5), p99: of(0.99), p999: of(0.999), max: of(1) },
  };
}

/** As `<span>.p99` and so on; nothing of a span in which nothing was due. */
export const named = (span: string, latency: Latency | null): Record<string, number> =>
  Object.fromEntries(Object.entries(latency ?? {}).map(([name, value]) => [`${span}.${name}`, value]));

/** Each second of a run. */
export interface Second {
  /** Since the first statement was due. */
  second: number;
  /** The last of the spans that it begins in, or "". */
  span: string;
  count: number;
  p99: number;
  max: number;
}

/** p99 and max of each whole second, of the statements due in it; a second in which none was answered is left out. */
export function bySecond(samples: readonly Sample[], spans: readonly Span[]): (Second & { from: number })[] {
  const begun = samples.reduce((first, { due }) => Math.min(first, due), Number.POSITIVE_INFINITY);
  const seconds = new Map<number, number[]>();
  for (const { due, ms, ok } of samples) {
    if (!ok) continue;
    const second = Math.floor((due - begun) / 1000);
    const all = seconds.get(second);
    if (all === undefined) seconds.set(second, [ms]);
    else all.push(ms);
  }
  return [...seconds]
    .sort(([a], [b]) => a - b)
    .map(([second, all]) => {
      const from = begun + second * 1000;
      const sorted = all.sort((a, b) => a - b);
      const span = spans.findLast((one) => from >= one.from && from < one.to)?.name ?? "";
      const [p99, max] = [quantile(sorted, 0.99), quantile(sorted, 1)].map((ms) => Number(ms.toFixed(2)));
      return { from, second, span, count: all.length, p99: p99 ?? 0, max: max ?? 0 };
    });
}

/** The longest wait of all, and of what was due in the span before it began too: it may have waited in it. */
export function longestTouching(samples: readonly Sample[], { from, to }: Omit<Span, "name">): number {
  return samples.reduce(
    (longest, { due, ms }) => (due < to && due + ms >= from ? Math.max(longest, ms) : longest),
    0,
  );
}
