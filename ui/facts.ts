/** What is known about the run besides its phases: a label and one line each. Pure. */
import type { RunEvent } from "../state/events.js";
import type { RunView } from "../state/view.js";
import { isOver } from "./controls.js";
import { batchesText } from "./copied.js";
import { estimateText, untilCutover } from "./estimate.js";
import { bytes, count, countdown, duration, millis, moment, oneLine, plural } from "./format.js";
import { sparkline } from "./grid.js";
import type { Tone } from "./theme.js";

export interface Fact {
  label: string;
  text: string;
  tone: Tone;
}

/** How a sparkline is drawn: its characters from low to high, and how many fit. */
export interface Spark {
  heights: string;
  width: number;
}

/** The facts worth a line now, in the order of the run. `now`: milliseconds since the epoch. */
export function factsOf(view: RunView, now: number, spark: Spark): Fact[] {
  const facts: (Fact | null)[] = [
    view.cutover === null && view.backup !== null ? backup(view.backup) : null,
    view.copy === null ? null : copied(view.copy),
    view.cutover === null && view.index !== null ? indexes(view.index) : null,
    view.cutover === null ? wal(view) : null,
    view.cutover === null ? slot(view) : null,
    view.cutover === null ? left(view, now) : null,
    backlog(view),
    trend(view, spark),
    view.validation === null ? null : validation(view.validation),
    view.lockTry === null ? null : lockTry(view.lockTry, now),
    view.cutover === null ? null : cutover(view.cutover),
    ...(view.window === null ? [] : window(view.window, now)),
    canary(view),
    view.held === null ? null : held(view.held, now),
    view.throttle === 100 ? null : fact("throttle", `works ${view.throttle} % of the time`, "warn"),
    view.postponed ? fact("postponed", "no cutover until it is allowed", "warn") : null,
  ];
  return facts.filter((fact) => fact !== null);
}

/** Seconds left of the retention window: as reported, less the time since. */
export function windowLeft(window: Extract<RunEvent, { event: "window" }>, now: number): number {
  const since = (now - Date.parse(window.at)) / 1000;
  return Math.max(0, window.secondsLeft - (Number.isNaN(since) ? 0 : Math.max(0, since)));
}

type Of<K extends RunEvent["event"]> = Extract<RunEvent, { event: K }>;

function fact(label: string, text: string, tone: Tone = "plain"): Fact {
  return { label, text, tone };
}

function backup(event: Of<"backup">): Fact {
  const rows = event.rows === null ? "" : `, ${plural(event.rows, "row")}`;
  const state = event.done ? "verified" : "writing";
  return fact("backup", `${bytes(event.bytes)} by ${event.method}, ${state}${rows}`);
}

function copied(event: Of<"copy">): Fact {
  return fact("copied", `${plural(event.rowsDone, "row")}, ${batchesText(event)}`);
}

function indexes(event: Of<"index">): Fact {
  const [first, ...others] = event.current.map(oneLine);
  const more = others.length > 0 ? ` and ${others.length} more` : "";
  const current = first === undefined ? "" : `, now ${first}${more}`;
  return fact("indexes", `${event.built} of ${event.total} built${current}`);
}

/** The whole server's, the application's part in it included: that is what archive and replicas have to bear. */
function wal({ sample }: RunView): Fact | null {
  if (sample?.walBytesPerSecond == null || sample.walBytes === null) return null;
  return fact("WAL", `${bytes(sample.walBytesPerSecond)}/s, ${bytes(sample.walBytes)} in this run (server)`);
}

/** What the server keeps for the changes that are read from its log. */
function slot({ sample }: RunView): Fact | null {
  if (sample?.slot == null) return null;
  const { retainedBytes, keptBytes, status } = sample.slot;
  const isBad = status === "unreserved" || status === "lost";
  const kept =
    keptBytes === null
      ? `keeps ${bytes(retainedBytes)} of WAL, no bound but the disk`
      : `keeps ${bytes(retainedBytes)} of at most ${bytes(keptBytes)}`;
  return fact("slot", isBad ? `${kept}, ${status}` : kept, isBad ? "warn" : "plain");
}

/** One small statement a second, timed by Partway; not the application's own. */
function canary({ sample }: RunView): Fact | null {
  if (sample?.canary == null) return null;
  const { p50, p99 } = sample.canary;
  return fact("canary", `${fine(p50)}, 99 % within ${fine(p99)} (last minute)`);
}

/** A look-up by key takes less than a millisecond. */
function fine(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : millis(ms);
}

function held({ reasons, since }: NonNullable<RunView["held"]>, now: number): Fact {
  const seconds = Math.max(0, now - Date.parse(since)) / 1000;
  const text = reasons.map(({ reason }) => oneLine(reason)).join("; ");
  return fact("held", `${Number.isNaN(seconds) ? "" : `${countdown(seconds)}: `}${text}`, "warn");
}

/** Until the cutover: `about` at this run's pace, from and to by the plan's forecast. */
function left(view: RunView, now: number): Fact | null {
  const estimate = untilCutover(view, now);
  return estimate === null || isOver(view) ? null : fact("to cutover", estimateText(estimate));
}

/** What a drain counted last, or what the server's statistics say waits since then. */
function backlog({ backlog: counted, sample }: RunView): Fact | null {
  const estimated = sample?.logged ?? null;
  const since =
    sample === null || counted === null ? 0 : (Date.parse(sample.at) - Date.parse(counted.at)) / 1000;
  if (estimated !== null && (counted === null || since > 5))
    return fact("change log", `~${plural(estimated, "change")} captured, applied later`);
  if (counted === null) return null;
  const applied =
    counted.appliedPerSecond === null ? "rate: measuring" : `${count(counted.appliedPerSecond)}/s applied`;
  return fact("change log", `${plural(counted.keys, "key")} behind, ${applied}`);
}

/** The last minutes of the change log's length. */
function trend({ trend: marks }: RunView, { heights, width }: Spark): Fact | null {
  const [first, last] = [marks[0], marks.at(-1)];
  if (first === undefined || last === undefined || marks.length < 3) return null;
  const keys = marks.map((mark) => mark.keys);
  const over = duration(Date.parse(last.at) - Date.parse(first.at));
  return fact("", `${sparkline(keys, width, heights)} ${over}, most ${count(Math.max(...keys))}`);
}

function validation(event: Of<"validation">): Fact {
  // Pairs in the change log are left out of both sides: they are applied, not compared.
  const pending = event.excluded === 0 ? "" : `, ${count(event.excluded)} pending`;
  const equal = event.result === "equal";
  return fact(
    "validation",
    `${equal ? "equal" : "DIFFERENT"}, ${plural(event.rows, "row")}${pending}`,
    equal ? "good" : "bad",
  );
}

/** A lock that was had is no news for long. */
const OLD_NEWS_MS = 10_000;

function lockTry(event: Of<"lock-try">, now: number): Fact | null {
  const acquired = event.outcome === "acquired";
  if (acquired && now - Date.parse(event.at) > OLD_NEWS_MS) return null;
  const result = `${acquired ? "acquired" : "busy"} after ${millis(event.waitedMs)}`;
  return fact(
    "lock",
    `try ${event.attempt}: ${result} (${oneLine(event.purpose)})`,
    acquired ? "good" : "warn",
  );
}

function cutover(event: Of<"cutover">): Fact {
  const label = event.direction === "forward" ? "cutover" : "swap back";
  const tries = event.tries === 1 ? "1 try" : `${event.tries} tries`;
  return fact(label, `held ${millis(event.heldMs)}, worst stall ${millis(event.longestStallMs)}, ${tries}`);
}

function window(event: Of<"window">, now: number): Fact[] {
  const left = windowLeft(event, now);
  const until =
    left > 0
      ? `${countdown(left)} left, to ${moment(event.deadline)}`
      : `over since ${moment(event.deadline)}`;
  const behind = `${plural(event.keysBehind, "key")} behind`;
  return [
    fact("window", until),
    event.safe ? fact("rollback", `safe, ${behind}`, "good") : fact("rollback", `NOT SAFE, ${behind}`, "bad"),
    ...sizes(event),
  ];
}

function sizes({ liveBytes, retiredBytes }: Of<"window">): Fact[] {
  const parts = [
    ...(liveBytes === undefined ? [] : [`new ${bytes(liveBytes)}`]),
    ...(retiredBytes === undefined ? [] : [`retired ${bytes(retiredBytes)}`]),
  ];
  return parts.length === 0 ? [] : [fact("on disk", parts.join(", "))];
}
