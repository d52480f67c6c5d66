/** How long it will take, as far as that can be said honestly. Pure. */
import type { PhaseView, RunView } from "../state/view.js";
import { copyShare } from "./copied.js";
import { countdown } from "./format.js";

/** `low` and `high` in seconds; the same where the run's own pace says it. `due`: longer than was thought. */
export type Estimate = { kind: "measuring" } | { kind: "due"; phase: string; after: Left | null } | Left;

interface Left {
  kind: "left";
  low: number;
  high: number;
}

/** Phases whose time grows with the table; the others take a moment. */
const LONG = ["copy", "index", "validate"] as const;
type Long = (typeof LONG)[number];

/** Time left until everything before the cutover is done; null outside of that part of a run. */
export function untilCutover(view: RunView, now: number): Estimate | null {
  const at = LONG.findIndex((name) => phaseOf(view, name)?.status === "running");
  const name = LONG[at];
  if (name === undefined || view.forecast === null) return null;
  const here = inPhase(view, name, now);
  if (here.kind === "measuring") return here;
  const pace = paceOf(view, now);
  const later = LONG.slice(at + 1)
    .map((phase) => forecastOf(view, phase))
    .reduce(
      (sum, { low, high }) => ({
        low: sum.low + (pace === null ? low : low * pace),
        high: sum.high + (pace === null ? high : low * pace),
      }),
      { low: 0, high: 0 },
    );
  if (here.kind === "due") return { ...here, after: later.high === 0 ? null : { kind: "left", ...later } };
  return { kind: "left", low: here.low + later.low, high: here.high + later.high };
}

/** Time left of one phase that is running: what it measures itself, else the plan's forecast at the run's pace. */
function inPhase(view: RunView, name: Long, now: number): Estimate {
  const measured = ownEstimate(view, name);
  if (measured !== null && name !== "index") return { kind: "left", low: measured, high: measured };
  if (name === "copy" || (name === "index" && isBuilding(view) && measured === null))
    return { kind: "measuring" };
  const { low, high } = forecastOf(view, name);
  const pace = paceOf(view, now);
  const gone = secondsIn(phaseOf(view, name), now);
  const most = Math.max((pace === null ? high : low * pace) - gone, measured ?? 0);
  if (most <= 0) return { kind: "due", phase: name, after: null };
  return {
    kind: "left",
    low: Math.max(0, (pace === null ? low : low * pace) - gone, measured ?? 0),
    high: most,
  };
}

function ownEstimate(view: RunView, name: Long): number | null {
  switch (name) {
    case "copy":
      return view.copy?.secondsLeft ?? null;
    case "index":
      return view.index?.secondsLeft ?? null;
    case "validate":
      return view.comparing?.secondsLeft ?? null;
  }
}

function isBuilding(view: RunView): boolean {
  return view.index !== null && view.index.built < view.index.total;
}

/**
 * This server's time over the forecast's for an idle machine, from the copy: the one phase that says at every moment
 * how much is left. Null while it does not.
 */
function paceOf(view: RunView, now: number): number | null {
  const { low } = forecastOf(view, "copy");
  const phase = phaseOf(view, "copy");
  if (view.copy === null || low <= 0 || phase === undefined) return null;
  const { secondsLeft } = view.copy;
  const { done, total } = copyShare(view.copy);
  if (phase.status === "done" && phase.ms !== null) return phase.ms / 1000 / low;
  if (secondsLeft === null || done === 0) return null;
  // A resumed copy has not been running all the time: its pace now says what the whole takes.
  const rest = total - done;
  return (rest === 0 ? secondsIn(phase, now) : (secondsLeft * total) / rest) / low;
}

function forecastOf(view: RunView, name: Long): { low: number; high: number } {
  return view.forecast?.phases.find((one) => one.phase === name) ?? { low: 0, high: 0 };
}

function phaseOf(view: RunView, name: Long): PhaseView | undefined {
  return view.phases.find((phase) => phase.name === name);
}

function secondsIn(phase: PhaseView | undefined, now: number): number {
  const since = phase?.startedAt == null ? Number.NaN : (now - Date.parse(phase.startedAt)) / 1000;
  return Number.isNaN(since) ? 0 : Math.max(0, since);
}

/** `about 3m 10s`, `3m 10s to 12m 00s`, `due`, `measuring`. */
export function estimateText(estimate: Estimate): string {
  switch (estimate.kind) {
    case "measuring":
      return "measuring";
    case "due":
      return `${estimate.phase} is due${estimate.after === null ? "" : `, then ${estimateText(estimate.after)}`}`;
    case "left": {
      const [low, high] = [countdown(estimate.low), countdown(estimate.high)];
      return low === high ? `about ${low}` : `${low} to ${high}`;
    }
  }
}
