/** Folds the events of a run into the view a screen shows. Pure; `createViewStore` is the one holder of state. */
import { type HeldFacts, PHASES, type PhaseName, type RunEvent, type UndoName } from "./events.js";
import { rollbackVerdict, safetyOf } from "./safety.js";
import { createStore } from "./store.js";
import type { PhaseView, RunView, ViewSource } from "./view.js";

/** How many messages a view keeps. */
const LOG_LIMIT = 50;

type Level = RunView["log"][number]["level"];
type PhaseEvent = Extract<RunEvent, { event: "phase" }>;

/**
 * The view after one more event. Total over every event kind (checked by the compiler), never throws, never
 * changes its arguments. Works on a whole stored history and on a stream that starts in the middle of a run.
 */
export function fold(view: RunView, event: RunEvent): RunView {
  const next = step(view, event);
  return { ...next, safety: safetyOf(next) };
}

/** A view that listens: `push` folds an event in and tells the subscribers. */
export function createViewStore(initial: RunView): ViewSource & { push(event: RunEvent): void } {
  const { current, subscribe, set } = createStore(initial);
  return { current, subscribe, push: (event) => set(fold(current(), event)) };
}

function step(view: RunView, event: RunEvent): RunView {
  switch (event.event) {
    case "phase":
      return foldPhase(view, event);
    case "backup":
      return { ...view, backup: event };
    case "copy":
      return { ...view, copy: event };
    case "copy-restarted":
      return note(restartCopy(view), event.at, "warn", `The copy starts again: ${event.reason}`);
    case "index":
      return { ...view, index: event };
    case "backlog":
      return mark({ ...view, backlog: event }, event.at, event.keys);
    case "forecast":
      return { ...view, forecast: event };
    case "leaves":
      return { ...view, leaves: event.leaves };
    case "map":
      return { ...view, map: event };
    case "comparing":
      return { ...view, comparing: event };
    case "sample":
      return foldSample(view, event);
    case "check":
      return foldCheck(view, event);
    case "validation":
      return foldValidation(view, event);
    case "difference":
      return note(
        view,
        event.at,
        "error",
        `Row ${event.kind} in ${event.leaf}: key ${event.key}, ${event.partition}`,
      );
    case "repaired":
      return note(view, event.at, "warn", `Repaired ${event.keys} keys; validation runs again`);
    case "leaf-created":
      return note(view, event.at, "info", `Partition ${event.leaf} made: ${event.reason}`);
    case "lock-try":
      return { ...view, lockTry: event };
    case "cutover":
      return foldCutover(view, event);
    case "ready":
      return note({ ...view, ready: event.message }, event.at, "info", event.message);
    case "window":
      return foldWindow(view, event);
    case "process":
      // What held the one before ended with it.
      return { ...view, held: null };
    case "sizes":
      return view;
    case "query":
      return event.error === null
        ? view
        : note(view, event.at, "warn", `Query ${event.name} (${event.when} cutover): ${event.error}`);
    case "smoke":
      return event.passed
        ? view
        : note(
            view,
            event.at,
            "error",
            `Smoke check ${event.check} FAILED: expected ${event.expected}, found ${event.found}`,
          );
    case "smoke-done":
      return foldSmoke(view, event);
    case "paused":
      return note({ ...view, paused: true }, event.at, "info", "Paused");
    case "continued":
      return note({ ...view, paused: false }, event.at, "info", "Continued");
    case "throttle":
      return note(
        { ...view, throttle: event.percent },
        event.at,
        "info",
        event.percent === 100 ? "At full speed" : `Throttled: works ${event.percent} % of the time`,
      );
    case "throttled":
      return foldThrottled(view, event);
    case "released":
      return note(
        { ...view, held: null },
        event.at,
        "info",
        `Goes on after ${Math.round(event.ms / 1000)} s: ${event.reason} no longer holds it`,
      );
    case "postponed":
      return note(
        { ...view, postponed: event.on },
        event.at,
        "info",
        event.on ? "Cutover postponed" : "Cutover allowed",
      );
    case "stopped":
      return { ...view, stopped: event, paused: false, held: null };
    case "finished":
      return foldFinished(view, event);
    case "log":
      return note(view, event.at, event.level, event.message);
    default:
      return neverReached(event, view);
  }
}

/** Compiles only while `step` knows every kind; at run time an event from a newer version changes nothing. */
function neverReached(_event: never, view: RunView): RunView {
  return view;
}

function note(view: RunView, at: string, level: Level, message: string): RunView {
  return { ...view, log: [...view.log, { at, level, message }].slice(-LOG_LIMIT) };
}

function isUndo(name: PhaseName | UndoName): name is UndoName {
  return name === "rollback" || name === "abort";
}

function foldPhase(view: RunView, event: PhaseEvent): RunView {
  const next = isUndo(event.phase)
    ? { ...view, undo: advance(view.undo ?? waiting(event.phase), event) }
    : { ...view, phases: advanceAmong(view.phases, event) };
  switch (event.status) {
    case "started":
      // A started phase means a run is at work again, whatever an earlier process left behind.
      return {
        ...{ ...next, ready: null, stopped: null, finished: null, lockTry: null },
        ...{ map: null, comparing: null, checks: [], held: null },
      };
    case "done":
      return {
        ...next,
        lockTry: null,
        map: null,
        comparing: null,
        window: event.phase === "drop" ? null : next.window,
      };
    case "failed":
      return note(next, event.at, "error", `${event.phase} failed`);
  }
}

function waiting(name: PhaseName | UndoName): PhaseView {
  return { name, status: "waiting", startedAt: null, ms: null };
}

function advance(phase: PhaseView, event: PhaseEvent): PhaseView {
  if (event.status === "started") return { ...phase, status: "running", startedAt: event.at, ms: null };
  return { ...phase, status: event.status, ms: event.ms ?? elapsed(phase.startedAt, event.at) };
}

/** A phase that starts again makes everything after it unproven: those phases wait once more. */
function advanceAmong(phases: PhaseView[], event: PhaseEvent): PhaseView[] {
  const at = phases.findIndex((phase) => phase.name === event.phase);
  return phases.map((phase, index) => {
    if (index === at) return advance(phase, event);
    return event.status === "started" && index > at ? waiting(phase.name) : phase;
  });
}

function elapsed(from: string | null, to: string): number | null {
  if (from === null) return null;
  const ms = Date.parse(to) - Date.parse(from);
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

/** DESIGN 3.2: a rewrite of the source discards shadow and ledger, so nothing after the shadow counts any more. */
function restartCopy(view: RunView): RunView {
  const copyAt = PHASES.indexOf("copy");
  const phases = view.phases.map((phase, index) => {
    const running = index === copyAt && phase.status === "running";
    return index < copyAt || running ? phase : waiting(phase.name);
  });
  return { ...view, phases, copy: null, index: null, validation: null, ready: null, map: null, trend: [] };
}

function foldValidation(view: RunView, event: Extract<RunEvent, { event: "validation" }>): RunView {
  const next = { ...view, validation: event };
  return event.result === "equal" ? next : note(next, event.at, "error", "Validation found a difference");
}

function foldCutover(view: RunView, event: Extract<RunEvent, { event: "cutover" }>): RunView {
  const where = event.direction === "forward" ? "new" : "original";
  // The backlog counted the other direction, and a window is only there while the new table is live.
  const next = {
    ...{ ...view, cutover: event, lockTry: null, ready: null, backlog: null, window: null, sample: null },
    trend: [],
  };
  return note(
    next,
    event.at,
    "info",
    `The application is on the ${where} table; locks held ${Math.round(event.heldMs)} ms`,
  );
}

/** How many marks of the change log's length a view keeps, and how far apart, ms. */
const TREND_LIMIT = 120;
const TREND_EVERY_MS = 2_000;

function mark(view: RunView, at: string, keys: number): RunView {
  const last = view.trend.at(-1);
  const early = last !== undefined && Date.parse(at) - Date.parse(last.at) < TREND_EVERY_MS;
  return early ? view : { ...view, trend: [...view.trend, { at, keys }].slice(-TREND_LIMIT) };
}

/** The statistics' estimate counts only while nobody counts exactly: a drain reports twice a second. */
function foldSample(view: RunView, event: Extract<RunEvent, { event: "sample" }>): RunView {
  const held = view.held === null || event.held === undefined ? view.held : refreshed(view.held, event.held);
  const next = { ...view, sample: event, held };
  const counted = view.backlog !== null && Date.parse(event.at) - Date.parse(view.backlog.at) < 5_000;
  return event.logged === null || counted ? next : mark(next, event.at, event.logged);
}

/** The same reasons with the numbers of now. */
function refreshed(held: NonNullable<RunView["held"]>, now: readonly HeldFacts[]): RunView["held"] {
  const reasons = held.reasons.map((one) => now.find(({ signal }) => signal === one.signal) ?? one);
  return { ...held, reasons };
}

function foldThrottled(view: RunView, event: Extract<RunEvent, { event: "throttled" }>): RunView {
  const held = { reasons: event.reasons, since: view.held?.since ?? event.at };
  const why = event.reasons.map(({ reason }) => reason).join("; ");
  return note({ ...view, held }, event.at, "warn", `Held: ${why}`);
}

function foldCheck(view: RunView, { name, ok }: Extract<RunEvent, { event: "check" }>): RunView {
  const known = view.checks.some((check) => check.name === name);
  const checks = known
    ? view.checks.map((check) => (check.name === name ? { name, ok } : check))
    : [...view.checks, { name, ok }];
  return { ...view, checks };
}

function foldSmoke(view: RunView, event: Extract<RunEvent, { event: "smoke-done" }>): RunView {
  const next = event.on === "new" ? { ...view, smoke: event } : view;
  const { failed, total } = event;
  if (failed.length === 0) return note(next, event.at, "info", `All ${total} smoke checks passed`);
  const back = event.next === null ? "" : ` Back: ${event.next}`;
  return note(next, event.at, "error", `${failed.length} of ${total} smoke checks FAILED.${back}`);
}

function foldWindow(view: RunView, event: Extract<RunEvent, { event: "window" }>): RunView {
  const next = { ...view, window: event };
  if (view.window === null || view.window.safe === event.safe) return next;
  return note(next, event.at, event.safe ? "info" : "error", `Verdict: ${rollbackVerdict(event)}`);
}

function foldFinished(view: RunView, event: Extract<RunEvent, { event: "finished" }>): RunView {
  const next = { ...view, finished: event, paused: false, held: null };
  const over = event.outcome === "done" || event.outcome === "rolled-back" || event.outcome === "aborted";
  return over ? { ...next, window: null, ready: null, lockTry: null } : next;
}
