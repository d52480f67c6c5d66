/** What a hook's environment says of the event. Pure; holds no secret that Partway knows of. */
import type { RunEvent } from "../../state/events.js";
import { redact } from "../log.js";

export interface RunFacts {
  migration: string;
  table: string;
  /** `user@host:port/database`. */
  server: string;
}

/** What is told to hooks: an event of the run, or the question before the cutover. */
export type Told = RunEvent | { at: string; migration: string; event: "before-cutover" };

/** The variables. `phase`: where the run is. The operator's own environment is passed on beside them. */
export function environmentOf(
  name: string,
  told: Told,
  run: RunFacts,
  phase: string,
): Record<string, string> {
  const facts = {
    PARTWAY_EVENT: name,
    PARTWAY_AT: told.at,
    PARTWAY_MIGRATION: run.migration,
    PARTWAY_TABLE: run.table,
    PARTWAY_SERVER: run.server,
    PARTWAY_PHASE: phase,
    PARTWAY_MESSAGE: messageOf(told, run),
  };
  return {
    ...Object.fromEntries(Object.entries(facts).map(([key, value]) => [key, redact(value)])),
    // Value by value, or what is hidden could take a quote or a brace along.
    PARTWAY_JSON: JSON.stringify(told, (_key, value: unknown) =>
      typeof value === "string" ? redact(value) : value,
    ),
  };
}

/** One sentence for people. */
function messageOf(told: Told, { table }: RunFacts): string {
  switch (told.event) {
    case "before-cutover":
      return `${table} is about to be cut over`;
    case "phase":
      return `${table}: ${told.phase} ${told.status}`;
    case "validation":
      return `${table}: both sides are ${told.result}, ${told.rows} rows`;
    case "cutover":
      return `${table}: the application is on the ${told.direction === "forward" ? "new" : "old"} table; locks held ${Math.round(told.heldMs)} ms`;
    case "window":
      return `${table}: ${told.verdict}, until ${told.deadline}`;
    case "stopped":
      return `${table}: ${told.what}. Next: ${told.next}`;
    case "finished":
    case "ready":
      return told.message;
    case "copy-restarted":
      return `${table}: the copy starts again: ${told.reason}`;
    case "leaf-created":
      return `${table}: leaf ${told.leaf} was made: ${told.reason}`;
    default:
      return `${table}: ${told.event}`;
  }
}
