/** Which hooks there are, and which of them an event calls. Pure. */
import { PHASES, type RunEvent } from "../../state/events.js";
import type { RunView } from "../../state/view.js";
import { badInput, FAULT_KINDS } from "../errors.js";

/** A command for the shell, and when it is run. */
export interface Hook {
  event: string;
  command: string;
}

/** Asked, not told: a command that fails stops the cutover before anything is locked. */
export const BEFORE_CUTOVER = "before-cutover";

const FULL_NAMES: readonly string[] = [
  ...[...PHASES, "rollback", "abort"].flatMap((phase) =>
    ["started", "done", "failed"].map((status) => `phase:${phase}:${status}`),
  ),
  ...["copy-restarted", "validation:equal", "validation:different", "repaired", "leaf-created", "ready"],
  ...[BEFORE_CUTOVER, "cutover:forward", "cutover:reverse"],
  ...["window:opened", "window:safe", "window:unsafe", "paused", "continued"],
  ...["smoke:passed", "smoke:failed"],
  ...["throttle", "throttled", "released", "postponed"],
  ...FAULT_KINDS.map((kind) => `stopped:${kind}`),
  ...["done", "rolled-back", "aborted", "ready-for-cutover", "retained", "stopped"].map(
    (outcome) => `finished:${outcome}`,
  ),
];

/** What `--on` may name: `phase:copy:done`, or a beginning of it, `phase:copy` and `phase`, for all that begin so. */
export const HOOK_EVENTS: readonly string[] = [
  ...new Set(
    FULL_NAMES.flatMap((name) => {
      const parts = name.split(":");
      return parts.map((_part, at) => parts.slice(0, at + 1).join(":"));
    }),
  ),
];

/** The full names of what an event means to hooks, given the view before it; none for mere progress. */
export function hookNames(before: RunView, event: RunEvent): string[] {
  switch (event.event) {
    case "phase":
      return [`phase:${event.phase}:${event.status}`];
    case "validation":
      return [`validation:${event.result}`];
    case "cutover":
      return [`cutover:${event.direction}`];
    case "window":
      return windowNames(before.window, event.safe);
    case "stopped":
      return [`stopped:${event.kind}`];
    case "finished":
      return [`finished:${event.outcome}`];
    case "copy-restarted":
    case "repaired":
    case "leaf-created":
    case "ready":
    case "paused":
    case "continued":
    case "throttle":
    case "throttled":
    case "released":
    case "postponed":
      return [event.event];
    case "backup":
    case "copy":
    case "index":
    case "backlog":
    case "difference":
    case "lock-try":
    case "log":
    case "forecast":
    case "leaves":
    case "map":
    case "comparing":
    case "sample":
    case "check":
    case "process":
    case "sizes":
    case "query":
    case "smoke":
      return [];
    case "smoke-done":
      return [event.failed.length === 0 ? "smoke:passed" : "smoke:failed"];
  }
}

/** The window is told every second; a hook hears of what has changed. */
function windowNames(before: RunView["window"], safe: boolean): string[] {
  if (before === null) return safe ? ["window:opened"] : ["window:opened", "window:unsafe"];
  if (before.safe === safe) return [];
  return [safe ? "window:safe" : "window:unsafe"];
}

/** The hooks that a full name calls, in the order they were given. */
export function hooksFor(hooks: readonly Hook[], name: string): Hook[] {
  return hooks.filter(({ event }) => event === name || name.startsWith(`${event}:`));
}

/** `phase:copy:done=./notify.sh`, as typed. Errors: bad-input naming what is wrong with it. */
export function parseHook(text: string): Hook {
  const at = text.indexOf("=");
  const [event, command] = at < 0 ? [text, ""] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (!HOOK_EVENTS.includes(event))
    throw badInput(
      `--on: "${event}" is not an event that a hook can have`,
      `Those there are: ${whole().join(", ")}; and phase:copy:done, finished:retained and the like.`,
    );
  if (command === "")
    throw badInput(`--on ${event}: no command is given`, `Write --on '${event}=<command for the shell>'.`);
  return { event, command };
}

/** The same event given again replaces what it had in `under`; other events keep theirs. */
export function mergeOn(
  under: readonly string[] | undefined,
  over: readonly string[] | undefined,
): string[] | undefined {
  if (over === undefined) return under?.slice();
  if (under === undefined) return over.slice();
  const again = new Set(over.map((text) => text.split("=")[0]?.trim()));
  return [...under.filter((text) => !again.has(text.split("=")[0]?.trim())), ...over];
}

const whole = (): string[] => HOOK_EVENTS.filter((name) => !name.includes(":"));
