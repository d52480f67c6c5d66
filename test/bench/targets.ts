/** What Partway promises itself (issue 7), and whether a run of the bench held it. */
import { LATE_MS } from "./latency.js";
import { medianOf, type Of, type Result, ratiosOf, valuesOf } from "./result.js";
import { ratio as divided, median } from "./stats.js";

export interface Target {
  name: string;
  /** Of the measured value: "<= 1.35". */
  bound: { is: "at most" | "at least"; than: number };
  unit: "x" | "ms" | "s" | "MB" | "%" | "keys/s";
  /** null: not measured in this run. */
  value(result: Result): number | null;
}

const most = (than: number): Target["bound"] => ({ is: "at most", than });
const least = (than: number): Target["bound"] => ({ is: "at least", than });

const ratio = (value: Of, base: Of) => (result: Result) => median(ratiosOf(result, value, base));
const middle = (part: string, name: string) => (result: Result) => medianOf(result, part, name);
const worst = (part: string, name: string) => (result: Result) => {
  const values = valuesOf(result, part, name);
  return values.length === 0 ? null : Math.max(...values);
};

/** The largest over every part that has it. */
const worstOfAll = (name: string) => (result: Result) => {
  const values = result.measurements.flatMap(({ values: all }) => all[name] ?? []);
  return values.length === 0 ? null : Math.max(...values);
};

/** How much longer than the lock_timeout of the try and the held time a writer's statement took; at most 0 is asked for. */
function stalledBeyond(result: Result): number | null {
  const beyond = result.measurements.flatMap(({ part, values }) => {
    const { writerStallMs, heldMs, lockTimeoutMs } = values;
    return !part.startsWith("cutover") ||
      writerStallMs === undefined ||
      heldMs === undefined ||
      lockTimeoutMs === undefined
      ? []
      : [writerStallMs - heldMs - lockTimeoutMs];
  });
  return beyond.length === 0 ? null : Math.max(...beyond);
}

/** Keys a second that are applied to the statements a second that 4 clients make with capture installed. */
function applyAgainstWriters(result: Result): number | null {
  const [applied, written] = [
    medianOf(result, "apply", "applyPerSecond"),
    medianOf(result, "saturation", "capture"),
  ];
  return divided(applied, written);
}

const percent = (of: (result: Result) => number | null) => (result: Result) => {
  const share = of(result);
  return share === null ? null : share * 100;
};

const UNDER = "partway-500";
const HALF = "partway-half";

export const TARGETS: readonly Target[] = [
  {
    name: "from the shadow on, without validation, idle, against the floor (start, plan and end left out)",
    ...{ bound: most(1), unit: "x", value: ratio(["partway", "seconds"], ["floor", "seconds"]) },
  },
  {
    name: "from the shadow on, with validation, idle, against the floor",
    ...{ bound: most(1.35), unit: "x" },
    value: ratio(["partway", "secondsWithValidation"], ["floor", "seconds"]),
  },
  {
    name: "from the shadow on, without validation under 500 writes/s, against the idle floor",
    ...{ bound: most(1.25), unit: "x", value: ratio([UNDER, "seconds"], ["floor", "seconds"]) },
  },
  {
    name: "from the shadow on, faster than keyset batches on one connection into an indexed shadow",
    ...{ bound: least(3), unit: "x", value: ratio(["keyset", "seconds"], ["partway", "seconds"]) },
  },
  {
    name: "WAL a row, against the floor with the same VACUUM (FREEZE)",
    ...{ bound: most(1.02), unit: "x" },
    value: ratio(["partway", "walPerRow"], ["floor", "walPerRowWithVacuum"]),
  },
  ...([UNDER, HALF] as const).flatMap((part): Target[] => {
    const load = part === UNDER ? "500 writes/s" : "half of the server's writes";
    return (["copy", "window"] as const).flatMap((span): Target[] => [
      {
        name: `${load} answered within ${LATE_MS} ms during the ${span}`,
        ...{ bound: least(98), unit: "%", value: percent(middle(part, `${span}.onTime`)) },
      },
      {
        name: `p99 of ${load} during the ${span}, against before`,
        ...{ bound: most(1.3), unit: "x", value: middle(part, `${span}.p99Ratio`) },
      },
    ]);
  }),
  {
    name: "saturated writers with capture, against none",
    ...{ bound: least(0.85), unit: "x", value: middle("saturation", "captureKept") },
  },
  {
    name: "saturated writers with capture through WAL, against none",
    ...{ bound: least(0.95), unit: "x", value: middle("wal", "walKept") },
  },
  {
    name: "cutover lock held, 28 leaves, 4 writing clients, median",
    ...{ bound: most(50), unit: "ms", value: middle("cutover", "heldMs") },
  },
  {
    name: "cutover lock held, 28 leaves, 4 writing clients, worst",
    ...{ bound: most(100), unit: "ms", value: worst("cutover", "heldMs") },
  },
  {
    name: "cutover lock held, 1,000 leaves, worst",
    ...{ bound: most(150), unit: "ms", value: worst("cutover-1000", "heldMs") },
  },
  {
    name: "a statement stalled beyond lock_timeout and held time",
    ...{ bound: most(0), unit: "ms", value: stalledBeyond },
  },
  {
    name: "apply of random keys",
    ...{ bound: least(20_000), unit: "keys/s", value: middle("apply", "applyPerSecond") },
  },
  {
    name: "apply against saturated writers, keys to statements",
    ...{ bound: least(1), unit: "x", value: applyAgainstWriters },
  },
  { name: "orchestrator's memory", bound: most(150), unit: "MB", value: worstOfAll("rssMb") },
  {
    name: "orchestrator's processor, share of one core",
    ...{ bound: most(5), unit: "%", value: percent(middle("partway", "cpuShare")) },
  },
  { name: "resume ready to work", bound: most(2), unit: "s", value: worst("resume", "resumeSeconds") },
];

export interface Judged {
  name: string;
  /** As a reader wants it: "<= 1.35x". */
  bound: string;
  measured: string;
  verdict: "met" | "missed" | "not measured";
}

export function judge(target: Target, result: Result): Judged {
  const { bound, unit } = target;
  const value = target.value(result);
  const said = { name: target.name, bound: `${bound.is} ${shown(bound.than, unit)}` };
  if (value === null) return { ...said, measured: "", verdict: "not measured" };
  const verdict = holds(bound, value) ? "met" : "missed";
  return { ...said, measured: shown(value, unit, bound), verdict };
}

export const judged = (result: Result): Judged[] => TARGETS.map((target) => judge(target, result));

const holds = ({ is, than }: Target["bound"], value: number): boolean =>
  is === "at most" ? value <= than : value >= than;

/** As few digits as it takes, and enough that what missed the bound does not read as if it had held it. */
function shown(value: number, unit: Target["unit"], bound?: Target["bound"]): string {
  const least = unit === "keys/s" ? 0 : unit === "x" || unit === "s" ? 2 : 1;
  let digits = least;
  const rounded = () => Number(value.toFixed(digits));
  while (bound !== undefined && digits < 12 && holds(bound, rounded()) !== holds(bound, value)) digits++;
  const text = rounded().toLocaleString("en-US", { maximumFractionDigits: digits });
  return unit === "x" || unit === "%" ? `${text}${unit}` : `${text} ${unit}`;
}
