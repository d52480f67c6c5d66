/** What a key does, decided apart from the terminal: state and key in, state and command out. Pure. */
import type { Wish } from "../state/events.js";
import type { RunView } from "../state/view.js";
import { oneLine } from "./format.js";

export interface Controls {
  help: boolean;
  /** What has been typed to confirm a rollback; null while nothing is being confirmed. */
  typed: string | null;
  /** The command sent last, until the view shows its effect. */
  asked: Wish | null;
  /** Why the last key did nothing. */
  notice: string | null;
}

export interface Press {
  input: string;
  ctrl: boolean;
  escape: boolean;
  enter: boolean;
  erase: boolean;
}

/** `leave`: the operator does not want to wait; the terminal is given back at once. */
export interface Reaction {
  controls: Controls;
  command: Wish | null;
  leave: boolean;
}

export const IDLE: Controls = { help: false, typed: null, asked: null, notice: null };

/** Has the run ended, so that no key can change it any more? */
export function isOver(view: RunView): boolean {
  return view.finished !== null || view.stopped !== null;
}

/** May `r` be pressed: in the retention window, before a rollback has begun. */
export function canRollBack(view: RunView): boolean {
  return view.window !== null && view.undo === null && !isOver(view);
}

/** May `c` be pressed? */
export function canCutOver(view: RunView): boolean {
  return view.ready !== null && view.undo === null && !isOver(view);
}

/** May `o` be pressed: the cutover has not begun. */
export function canPostpone(view: RunView): boolean {
  const cutover = view.phases.find((phase) => phase.name === "cutover");
  return cutover?.status === "waiting" && view.window === null && view.undo === null && !isOver(view);
}

/** What a key does, given what is on the screen. `watching`: another process runs it, and leaving stops nothing. */
export function press(controls: Controls, key: Press, view: RunView, watching = false): Reaction {
  if (isInterrupt(key)) return watching ? leave(controls) : interrupt(controls, view);
  if (controls.typed !== null) return confirm(controls, controls.typed, key, view);
  const still = { ...controls, notice: null };
  if (key.escape) return only({ ...still, help: false });
  if (key.ctrl) return only(still);
  switch (key.input) {
    case "q":
      return isOver(view) || watching ? leave(still) : send(still, "stop");
    case "p":
      return isOver(view) ? only(still) : send(still, view.paused ? "continue" : "pause");
    case "?":
      return only({ ...still, help: !controls.help });
    case "c":
      return canCutOver(view)
        ? send(still, "cutover")
        : only({ ...still, notice: "Not ready for cutover yet." });
    case "r":
      return only(openConfirmation(still, view));
    case "o":
      if (!canPostpone(view)) return only({ ...still, notice: "The cutover cannot be postponed any more." });
      return send(still, view.postponed ? "allow" : "postpone");
    case "-":
    case "+":
    case "=":
      return isOver(view) ? only(still) : send(still, key.input === "-" ? "slower" : "faster");
    case "d":
      if (watching) return only({ ...still, notice: "The run does not need this terminal: q leaves it." });
      // Whoever goes on elsewhere does not know that it was paused.
      if (view.paused || controls.asked === "pause")
        return only({ ...still, notice: "It is paused: continue it first (p), then d." });
      return isOver(view) ? only(still) : send(still, "detach");
    default:
      return only(still);
  }
}

/** Forgets a command once the view shows that it was heard. */
export function settle(controls: Controls, view: RunView): Controls {
  return controls.asked !== null && pending(controls.asked, view) === null
    ? { ...controls, asked: null }
    : controls;
}

/** What is being waited for after a command, as a sentence; null when it has happened. */
export function pending(asked: Wish, view: RunView): string | null {
  if (isOver(view)) return null;
  switch (asked) {
    case "stop":
      return "Stopping at the next safe point; the run resumes. Ctrl-C leaves at once.";
    case "pause":
      return view.paused ? null : "Pausing at the next safe point.";
    case "continue":
      return view.paused ? "Continuing." : null;
    case "cutover":
      return view.ready === null ? null : "Cutover asked for.";
    case "rollback":
      return view.undo === null ? "Rollback asked for." : null;
    case "postpone":
      return view.postponed ? null : "Postponing the cutover.";
    case "allow":
      return view.postponed ? "Allowing the cutover." : null;
    case "detach":
      return "Going on without this terminal, from the next safe point. Ctrl-C leaves at once.";
    default:
      // The pace changes at once, and the log says to what.
      return null;
  }
}

function only(controls: Controls): Reaction {
  return { controls, command: null, leave: false };
}

function leave(controls: Controls): Reaction {
  return { ...only(controls), leave: true };
}

function send(controls: Controls, command: Wish): Reaction {
  return { controls: { ...controls, asked: command }, command, leave: false };
}

/** Ctrl-C, also when two of them arrive in one read. */
function isInterrupt(key: Press): boolean {
  return (key.ctrl && key.input === "c") || key.input.includes("\u0003");
}

function interrupt(controls: Controls, view: RunView): Reaction {
  if (isOver(view) || controls.asked === "stop" || controls.asked === "detach") return leave(controls);
  return send({ ...controls, typed: null, notice: null }, "stop");
}

function openConfirmation(controls: Controls, view: RunView): Controls {
  if (!canRollBack(view)) return { ...controls, notice: "There is nothing to roll back now." };
  if (view.window?.safe === false) return { ...controls, notice: "Rollback is not safe now; see above." };
  return { ...controls, typed: "", help: false };
}

function confirm(controls: Controls, typed: string, key: Press, view: RunView): Reaction {
  if (key.escape) return only({ ...controls, typed: null, notice: "Rollback cancelled." });
  if (key.erase) return only({ ...controls, typed: [...typed].slice(0, -1).join(""), notice: null });
  if (!key.enter) {
    return only({ ...controls, typed: key.ctrl ? typed : typing(typed, key.input), notice: null });
  }
  if (view.window?.safe !== true || !canRollBack(view)) {
    return only({ ...controls, typed: null, notice: "Rollback is not possible any more; see above." });
  }
  if (typed.trim() !== oneLine(view.table)) {
    return only({ ...controls, notice: "That is not the table's name." });
  }
  return send({ ...controls, typed: null, notice: null }, "rollback");
}

/**
 * `typed` after one read of the terminal, which may hold several keys (fast typing, a slow line, a paste): backspaces
 * erase, other control characters count for nothing. A pasted line end is not an answer: only the Enter key is.
 */
function typing(typed: string, input: string): string {
  let text = typed;
  for (const char of input) {
    if (char === "\u007F" || char === "\b") text = [...text].slice(0, -1).join("");
    else if (!/\p{Cc}/u.test(char)) text += char;
  }
  return text;
}
