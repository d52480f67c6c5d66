/** What writers did, cut into spans of time. Pure. */
import { percentile } from "./stats.js";

/** One statement of a writer. A failed one counts as an error and has no latency. */
export interface Sample {
  /** Epoch ms at which it was due: in a closed loop when it was sent, in an open one when the rate called for it. */
  due: number;
  /** From `due` to its answer, ms: what waits behind a stalled statement is late too. */
  ms: number;
  ok: boolean;
}

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
  const [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1].map((share) => percentile(sorted, share));
  if (p50 == null || p99 == null || p999 == null || max == null) return null;
  const answered = samples.filter(({ due: at, ms, ok }) => ok && at + ms >= from && at + ms < to).length;
  const seconds = (to - from) / 1000;
  return {
    ...{ seconds, perSecond: answered / seconds },
    ...{ count: sorted.length, errors: due.length - sorted.length },
    ...{ p50, p99, p999, max },
  };
}

/** The longest wait of all, and of what was due in the span before it began too: it may have waited in it. */
export function longestTouching(samples: readonly Sample[], { from, to }: Omit<Span, "name">): number {
  return samples.reduce(
    (longest, { due, ms }) => (due < to && due + ms >= from ? Math.max(longest, ms) : longest),
    0,
  );
}
