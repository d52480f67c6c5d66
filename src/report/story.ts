/** When each phase was at work, and what lay in between, read from the journal's transitions. Pure. */
import { WORKING } from "../../state/machine.js";
import type { Span } from "./doc.js";
import { eventsOf, type History } from "./history.js";

export interface Stretch extends Span {
  state: string;
  /** `lost`: the process vanished without a word. */
  how: "done" | "stopped" | "failed" | "lost" | "running";
}

const ENDED_BY: Record<string, Stretch["how"]> = { STOP: "stopped", FAULT: "failed" };

const isWorking = (state: string): boolean => WORKING.some((name) => name === state);

/** The stretches in which a phase ran, oldest first. */
export function stretchesOf(history: History): Stretch[] {
  const moves = history.transitions.filter(({ event }) => event !== "end");
  const signs = signsOfLife(history);
  const starts = eventsOf(history, "process").map(({ at }) => Date.parse(at));
  return moves.flatMap((move, at): Stretch[] => {
    if (!isWorking(move.to)) return [];
    const from = Date.parse(move.at);
    const next = moves[at + 1];
    if (next !== undefined && next.from === move.to)
      return [{ state: move.to, from, to: Date.parse(next.at), how: ENDED_BY[next.event] ?? "done" }];
    // The next process began halted: this one left no word of its end.
    const begun = next === undefined ? Number.POSITIVE_INFINITY : Date.parse(next.at);
    const before = starts.findLast((start) => start > from && start <= begun) ?? begun;
    const to = Math.max(from, ...signs.filter((sign) => sign < before).slice(-1));
    const isRunning = next === undefined && history.isDriven;
    return [
      {
        state: move.to,
        from,
        to: isRunning ? Date.parse(history.madeAt) : to,
        how: isRunning ? "running" : "lost",
      },
    ];
  });
}

/** When the throttle held work back; one that no process told the end of ends with its last sign of life. */
export function holdsOf(history: History): (Span & { reason: string })[] {
  const holds: (Span & { reason: string })[] = [];
  let open: { from: number; reason: string } | null = null;
  const close = (to: number) => {
    if (open !== null) holds.push({ ...open, to });
    open = null;
  };
  for (const event of history.events) {
    const at = Date.parse(event.at);
    if (event.event === "throttled")
      open ??= { from: at, reason: event.reasons.map(({ reason }) => reason).join("; ") };
    else if (event.event === "released" || event.event === "stopped" || event.event === "finished") close(at);
    else if (event.event === "process") close(signsOfLife(history).findLast((sign) => sign < at) ?? at);
  }
  close(history.isDriven ? Date.parse(history.madeAt) : (signsOfLife(history).at(-1) ?? 0));
  return holds;
}

/** Every moment at which the journal heard of the run, in order. */
function signsOfLife({ events, batches, indexBuilds, measurements }: History): number[] {
  return [...events, ...batches, ...indexBuilds, ...measurements]
    .map(({ at }) => Date.parse(at))
    .toSorted((a, b) => a - b);
}

/** In these the run waits for a person or a clock: as long as it takes. */
const WAITING = new Set(["ready", "retain"]);

/** Where work was done. */
export function workOf(stretches: readonly Stretch[]): Span[] {
  return stretches.filter(({ state, to, from }) => !WAITING.has(state) && to > from);
}

/** Milliseconds at work in these states. */
export function workedMs(stretches: readonly Stretch[], states: readonly string[]): number {
  return stretches
    .filter(({ state }) => states.includes(state))
    .reduce((sum, { from, to }) => sum + (to - from), 0);
}
