/** Seconds and spans out of the lines of `partway run --json`. Pure. */

import type { RunEvent } from "../../state/events.js";
import { EVENTS, type Kind } from "../../state/journal-events.js";
import type { Span } from "./latency.js";

export type Lines = readonly RunEvent[];

/** The lines that are events of a migration; the others (a refusal, say) are left out. */
export function eventsOf(lines: readonly unknown[]): RunEvent[] {
  return lines.flatMap((line) => {
    const kind = typeof line === "object" && line !== null && "event" in line ? line.event : null;
    if (typeof kind !== "string" || !Object.hasOwn(EVENTS, kind)) return [];
    return [EVENTS[kind as Kind].parse(line)];
  });
}

export const at = (event: RunEvent): number => Date.parse(event.at);

export function ofKind<K extends Kind>(events: Lines, kind: K): Extract<RunEvent, { event: K }>[] {
  return events.filter((one): one is Extract<RunEvent, { event: K }> => one.event === kind);
}

/** Epoch ms between which each phase ran, by its first start and its last end. */
export function phaseSpans(events: Lines): Span[] {
  const phases = ofKind(events, "phase");
  return [...new Set(phases.map(({ phase }) => phase))].flatMap((name) => {
    const from = phases.find(({ phase, status }) => phase === name && status === "started");
    const to = phases.findLast(({ phase, status }) => phase === name && status === "done");
    return from === undefined || to === undefined ? [] : [{ name, from: at(from), to: at(to) }];
  });
}

/** Seconds of each phase, and of the index phase's steps as `<step>Seconds`. */
export function phaseSeconds(events: Lines): Record<string, number> {
  const spans = phaseSpans(events);
  const found = Object.fromEntries(spans.map(({ name, from, to }) => [`${name}Seconds`, (to - from) / 1000]));
  const of = (name: string) => spans.find((span) => span.name === name);
  const [shadow, index, validate] = [of("shadow"), of("index"), of("validate")];
  if (shadow === undefined || index === undefined) return found;
  const steps = stepSeconds(events, index);
  const seconds = (index.to - shadow.from) / 1000;
  return {
    ...found,
    ...steps,
    seconds,
    // Like the floor, which does not end with one.
    secondsWithoutVacuum: seconds - (steps["vacuumSeconds"] ?? 0),
    ...(validate === undefined ? {} : { secondsWithValidation: (validate.to - shadow.from) / 1000 }),
  };
}

/** The index phase's last step. */
export const CATCHING_UP = "catching up with the change log";

/** As the index phase tells them. */
export const STEPS: Readonly<Record<string, string>> = {
  "removing rows that were copied twice": "dedupeSeconds",
  "building indexes": "buildSeconds",
  "attaching indexes": "attachSeconds",
  "freezing rows, gathering statistics": "vacuumSeconds",
  [CATCHING_UP]: "catchUpSeconds",
};

/** A step lasts until the next one is told, the last until the phase's end. */
function stepSeconds(events: Lines, index: Span): Record<string, number> {
  const told = ofKind(events, "index").filter(
    ({ step }, i, all) => step !== undefined && step !== all[i - 1]?.step,
  );
  return Object.fromEntries(
    told.flatMap((event, i) => {
      const name = STEPS[event.step ?? ""];
      const next = told[i + 1];
      const to = next === undefined ? index.to : at(next);
      return name === undefined ? [] : [[name, (to - at(event)) / 1000]];
    }),
  );
}
