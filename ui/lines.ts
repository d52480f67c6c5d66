/** What a pipe or a log file gets instead of the screen: one readable line an event. */
import type { Blocker, RunEvent } from "../state/events.js";
import type { RunView, ViewSource } from "../state/view.js";
import { copyShare } from "./copied.js";
import {
  bytes,
  count,
  countdown,
  duration,
  millis,
  moment,
  oneLine,
  percent,
  plural,
  rate,
  timeLeft,
} from "./format.js";

/** Progress comes many times a second; a log wants it now and then. Milliseconds between two lines of a kind. */
const EVERY_MS: Partial<Record<RunEvent["event"], number>> = {
  backup: 5_000,
  copy: 5_000,
  index: 5_000,
  backlog: 5_000,
  comparing: 5_000,
  // A day-long window would fill a log with nothing new.
  window: 60_000,
};

/** An event as one line without time stamp or line end; null when there is nothing to say to a person. */
export function lineFor(event: RunEvent, view: RunView): string | null {
  switch (event.event) {
    case "phase":
      return `${event.phase} ${event.status}${event.ms === null ? "" : ` in ${duration(event.ms)}`}`;
    case "backup":
      return `backup ${event.done ? "verified" : "being written"}: ${bytes(event.bytes)} by ${event.method} to ${event.path}`;
    case "copy": {
      const { done, total } = copyShare(event);
      return (
        `copy ${percent(done, total)}: ${count(event.rowsDone)} rows, ` +
        `${rate(event.rowsPerSecond, "rows")}, ${timeLeft(event.secondsLeft)}`
      );
    }
    case "copy-restarted":
      return `warning: the copy starts again: ${event.reason}`;
    case "index":
      return `index ${event.built} of ${event.total} built, ${timeLeft(event.secondsLeft)}${event.step === undefined ? "" : `; ${event.step}`}`;
    case "comparing":
      return `comparing: ${percent(event.done, event.total)} of both sides read, ${timeLeft(event.secondsLeft)}`;
    case "check":
      return event.ok === null ? null : `${event.ok ? "checked" : "error: not so"}: ${event.name}`;
    // Pictures and numbers for a screen: in words they come with what they belong to.
    case "forecast":
    case "leaves":
    case "map":
    case "sample":
      return null;
    case "backlog":
      return `change log (${event.direction}): ${plural(event.keys, "key")} to apply, ${rate(event.appliedPerSecond, "keys")}`;
    case "validation":
      return `validation ${event.result}: ${plural(event.rows, "row")}, ${plural(event.excluded, "key")} left out, ${duration(event.ms)}`;
    case "difference":
      return `error: row ${event.kind} in ${event.leaf}: key ${event.key}, ${event.partition}`;
    case "repaired":
      return `warning: repaired ${plural(event.keys, "key")}; validation runs again`;
    case "leaf-created":
      return `partition ${event.leaf} made: ${event.reason}`;
    case "lock-try":
      return lockLine(event);
    case "cutover":
      return (
        `${event.direction === "forward" ? "cutover" : "rollback"}: locks held ${millis(event.heldMs)}, longest stall ` +
        `${millis(event.longestStallMs)}, tries ${event.tries}, waited ${millis(event.waitedMs)}. ${view.safety}`
      );
    case "ready":
      return `ready: ${event.message}`;
    case "window":
      return (
        `window: ${countdown(event.secondsLeft)} left, until ${moment(event.deadline)}; ` +
        `${event.safe ? "rollback is safe" : `ROLLBACK IS NOT SAFE: ${event.verdict}`}, ${plural(event.keysBehind, "key")} behind`
      );
    case "process":
    case "sizes":
      return null;
    case "query":
      return queryLine(event);
    case "smoke":
      return `${event.passed ? "" : "error: "}smoke check ${event.check} ${event.passed ? "passed" : "FAILED"} in ${millis(event.ms)}: expected ${event.expected}, found ${event.found}`;
    case "smoke-done":
      return smokeLine(event);
    case "paused":
      return "paused";
    case "continued":
      return "continued";
    case "throttle":
      return event.percent === 100 ? "at full speed" : `throttled: works ${event.percent} % of the time`;
    case "throttled":
      return `held: ${event.reasons.map(({ reason }) => reason).join("; ")}`;
    case "released":
      return `goes on after ${duration(event.ms)}; held by: ${event.reason}`;
    case "postponed":
      return event.on ? "cutover postponed" : "cutover allowed";
    case "stopped":
      return `stopped (${event.kind}, exit code ${event.exitCode}): ${event.what} State: ${event.state} Next: ${event.next}`;
    case "finished":
      return `finished (${event.outcome}): ${event.message}`;
    case "log":
      return event.level === "info"
        ? event.message
        : `${event.level === "warn" ? "warning" : "error"}: ${event.message}`;
    default:
      return event satisfies never;
  }
}

/** Prints events as lines, progress at most once an interval. Time is the events' own, so a replay prints the same. */
export class LinePrinter {
  readonly #write: (line: string) => void;
  readonly #printed = new Map<string, { atMs: number; text: string; safe: boolean | null }>();

  /** `write` gets one whole line, line end included. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Prints the event if it is due. `view`: the view with the event already folded in. */
  print(event: RunEvent, view: RunView): void {
    const line = lineFor(event, view);
    if (line === null) return;
    const text = oneLine(line);
    if (!this.#isDue(event, text)) return;
    this.#write(`${event.at} ${text}\n`);
  }

  #isDue(event: RunEvent, text: string): boolean {
    const every = EVERY_MS[event.event];
    if (every === undefined) return true;
    const before = this.#printed.get(event.event);
    const atMs = Date.parse(event.at);
    const safe = event.event === "window" ? event.safe : null;
    const turned = before !== undefined && before.safe !== safe;
    const due =
      before === undefined || (text !== before.text && (atMs - before.atMs >= every || isLast(event)));
    if (due || turned) this.#printed.set(event.event, { atMs, text, safe });
    return due || turned;
  }
}

/** Writes a run's events as lines, each behind `table` where there are several. Gives the function that ends it. */
export function startLines(options: {
  source: ViewSource;
  subscribeEvents(listener: (event: RunEvent) => void): () => void;
  write(line: string): void;
  table?: string;
}): () => void {
  const { table, write } = options;
  const printer = new LinePrinter(
    table === undefined ? write : (line) => write(`${oneLine(table)}  ${line}`),
  );
  return options.subscribeEvents((event) => printer.print(event, options.source.current()));
}

/** The event that completes a count is never left out. */
function isLast(event: RunEvent): boolean {
  if (event.event === "backup") return event.done;
  if (event.event === "comparing") return event.done === event.total;
  if (event.event === "copy") return event.batchesDone === event.batchesTotal;
  return event.event === "index" && event.built === event.total;
}

function lockLine(event: Extract<RunEvent, { event: "lock-try" }>): string {
  const waited = `after ${millis(event.waitedMs)} of ${millis(event.timeoutMs)}`;
  if (event.outcome === "acquired")
    return `lock acquired on try ${event.attempt} ${waited} (${event.purpose})`;
  const who = event.blockers.map(blockerText).join("; ");
  return `lock busy on try ${event.attempt} ${waited} (${event.purpose})${who === "" ? "" : `, held by ${who}`}`;
}

function blockerText(blocker: Blocker): string {
  const application = blocker.application === "" ? "" : ` ${blocker.application}`;
  return `pid ${blocker.pid}${application}, open ${countdown(blocker.ageSeconds)}: ${blocker.query}`;
}

function queryLine(event: Extract<RunEvent, { event: "query" }>): string {
  if (event.error !== null) return `warning: query ${event.name} ${event.when} cutover: ${event.error}`;
  const leaves = event.leavesScanned === null ? "" : `, ${plural(event.leavesScanned, "partition")} read`;
  return `query ${event.name} ${event.when} cutover: ${millis(event.runs.at(-1) ?? 0)}${leaves}`;
}

function smokeLine({ failed, total, next }: Extract<RunEvent, { event: "smoke-done" }>): string {
  if (failed.length === 0) return `smoke: ${plural(total, "check")} passed`;
  const back = next === null ? "" : ` TO GO BACK: ${next}`;
  return `error: SMOKE: ${failed.length} of ${plural(total, "check")} FAILED (${failed.join(", ")}).${back}`;
}
