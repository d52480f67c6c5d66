/** What was asked, what came of it, and the numbers people ask for first. */
import { bytes, count, countdown, duration, millis, moment, plural } from "../../../ui/format.js";
import { schemeText } from "../../plan/scheme-text.js";
import { type Doc, type Tone, toned } from "../doc.js";
import { eventsOf, type History } from "../history.js";
import { stretchesOf, workedMs } from "../story.js";
import { lastRound } from "./smoke.js";

/** How it stands: the last word of the journal, unless a process is at work right now. */
export function stateOf(history: History): Doc["state"] {
  const { outcome, state } = history.migration;
  if (history.isDriven) return toned(`running: ${state}`, "plain");
  switch (outcome) {
    case "done":
      return toned("done", "good");
    case "rolled-back":
      return toned("rolled back", "warn");
    case "aborted":
      return toned("aborted", "warn");
    case "ready-for-cutover":
      return toned("ready for cutover", "plain");
    case "retained":
      return toned("cut over, in the retention window", "good");
    case "stopped":
      return toned("stopped, can be resumed", "warn");
    case "failed":
      return toned("stopped by a failure, can be resumed", "bad");
    case null:
      return toned("interrupted, can be resumed", "warn");
  }
}

/** One plain sentence. */
export function sentenceOf(history: History): string {
  const { plan, migration } = history;
  const { source, names, request } = plan;
  const rows = source.estimatedRows < 0 ? "" : `about ${count(source.estimatedRows)} rows, `;
  const size = bytes(source.heapBytes + source.toastBytes + source.indexBytes);
  const asked = `On ${moment(migration.createdAt)} the table ${names.schema}.${names.source} (${rows}${size}) was to be partitioned by ${schemeText(request.scheme).replace(", bounds in UTC", "")}`;
  return `${asked}; ${result(history)}.`;
}

function result(history: History): string {
  const { plan, migration } = history;
  const { retired, failed } = plan.names;
  const forward = history.cutovers.findLast(({ direction }) => direction === "forward");
  const back = history.cutovers.findLast(({ direction }) => direction === "reverse");
  const swapped = forward === undefined ? "" : ` since ${moment(forward.at)}`;
  const compared = validated(history);
  const smoke = lastRound(history, "new");
  const checks =
    smoke === null || smoke.done.failed.length === 0
      ? ""
      : `, BUT ${smoke.done.failed.length} of ${plural(smoke.done.total, "smoke check")} failed`;
  switch (migration.outcome) {
    case "done":
      return `it has been${swapped}${compared}, and the old table is gone${checks}`;
    case "rolled-back":
      return `it was rolled back${back === undefined ? "" : ` at ${moment(back.at)}`}: the application is on the old table again, with every write made since cutover, and the new one was kept as ${failed}${checks}`;
    case "aborted":
      return "it was aborted before cutover: the table is as it was, and everything Partway made is gone";
    case "ready-for-cutover":
      return `the new table is complete${compared} and waits for its cutover; the application is on the old one`;
    default:
      return forward === undefined || back !== undefined
        ? `it stands at ${position(history)}, nothing has been switched, and the application is on the old table`
        : `it has been${swapped}${compared}, and the old table is kept as ${retired}${checks}`;
  }
}

function validated(history: History): string {
  const last = history.validations.findLast(({ direction }) => direction === "forward");
  return last?.result === "equal" ? `, after ${count(last.rows)} rows were compared and found equal` : "";
}

/** Where it goes on. */
export function position(history: History): string {
  return stretchesOf(history).at(-1)?.state ?? history.migration.state;
}

export function tilesOf(history: History): Doc["tiles"] {
  const stretches = stretchesOf(history);
  const validation = history.validations.at(-1);
  const swap = history.cutovers.findLast(({ direction }) => direction === "forward");
  const smoke = lastRound(history, "new");
  const work = workedMs(stretches, ["backup", "shadow", "copy", "index", "validate", "cutover"]);
  const tile = (label: string, value: string | null, tone: Tone = "plain") => ({
    label,
    value: value ?? "not yet",
    tone: value === null ? ("quiet" as const) : tone,
  });
  return [
    tile(
      "rows compared",
      validation === undefined ? null : count(validation.rows),
      validation?.result === "different" ? "bad" : "plain",
    ),
    tile("time at work", work > 0 ? duration(work) : null),
    tile("locks held at cutover", swap === undefined ? null : millis(swap.heldMs)),
    tile("longest stall of a writer", swap === undefined ? null : millis(swap.longestStallMs)),
    tile("interruptions", String(stretches.filter(({ how }) => how !== "done" && how !== "running").length)),
    ...(smoke === null
      ? []
      : [
          tile(
            "smoke checks passed",
            `${smoke.done.total - smoke.done.failed.length} of ${smoke.done.total}`,
            smoke.done.failed.length > 0 ? "bad" : "good",
          ),
        ]),
  ];
}

/** What the database says now, or why it could not be asked. */
export function nowFacts(history: History): [string, Doc["state"] | string][] {
  const { database, next, plan } = history;
  const window = eventsOf(history, "window").at(-1);
  if (!database.reachable)
    return [
      [
        "database",
        toned(`could not be asked: ${database.why}. What follows is what the journal knows`, "warn"),
      ],
      ...(window === undefined || history.migration.outcome !== "retained"
        ? []
        : [["window", `until ${moment(window.deadline)}, by the journal`] as [string, string]]),
      ["next", next],
    ];
  if (!database.known)
    return [
      ["database", "has no record of it any more: it ended, or this is another database"],
      ["next", next],
    ];
  const facts: [string, Doc["state"] | string][] = [["database", `next phase ${database.phase}`]];
  if (database.keysBehind !== null)
    facts.push(["change log", `${plural(database.keysBehind, "key")} to apply`]);
  if (database.deadline !== null && database.secondsLeft !== null)
    facts.push([
      "window",
      `until ${moment(database.deadline)} (${countdown(database.secondsLeft)} left), old table ${plan.names.retired}`,
    ]);
  if (database.verdict !== null)
    facts.push(["verdict", toned(database.verdict, database.rollbackSafe === false ? "bad" : "good")]);
  return [...facts, ["next", next]];
}
