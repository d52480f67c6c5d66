/**
 * What a screen may know: a plain object folded from events (fold.ts). Of everything outside `ui/`, a screen
 * imports this file and the types of events.ts, nothing else.
 */
import {
  type HeldFacts,
  type LeafFacts,
  PHASES,
  type PhaseName,
  type RunEvent,
  type UndoName,
} from "./events.js";

export type PhaseStatus = "waiting" | "running" | "done" | "failed";

export interface PhaseView {
  name: PhaseName | UndoName;
  status: PhaseStatus;
  startedAt: string | null;
  ms: number | null;
}

export interface RunView {
  migration: string;
  table: string;
  server: string;
  startedAt: string;
  phases: PhaseView[];
  undo: PhaseView | null;
  paused: boolean;
  /** The share of the time that Partway works, in percent; 100: at full speed. */
  throttle: number;
  /** What holds work back now, since when; null: nothing does. */
  held: { reasons: HeldFacts[]; since: string } | null;
  /** The run does not begin the cutover by itself. */
  postponed: boolean;
  copy: Extract<RunEvent, { event: "copy" }> | null;
  backup: Extract<RunEvent, { event: "backup" }> | null;
  index: Extract<RunEvent, { event: "index" }> | null;
  backlog: Extract<RunEvent, { event: "backlog" }> | null;
  validation: Extract<RunEvent, { event: "validation" }> | null;
  lockTry: Extract<RunEvent, { event: "lock-try" }> | null;
  cutover: Extract<RunEvent, { event: "cutover" }> | null;
  window: Extract<RunEvent, { event: "window" }> | null;
  forecast: Extract<RunEvent, { event: "forecast" }> | null;
  leaves: LeafFacts[];
  map: Extract<RunEvent, { event: "map" }> | null;
  comparing: Extract<RunEvent, { event: "comparing" }> | null;
  sample: Extract<RunEvent, { event: "sample" }> | null;
  /** The cutover's conditions, as far as they were looked at in this try. */
  checks: { name: string; ok: boolean | null }[];
  /** How long the change log has been, oldest first: at most 120 marks, two seconds apart or more. */
  trend: { at: string; keys: number }[];
  /** The newest round of smoke checks on the new table. */
  smoke: Extract<RunEvent, { event: "smoke-done" }> | null;
  ready: string | null;
  stopped: Extract<RunEvent, { event: "stopped" }> | null;
  finished: Extract<RunEvent, { event: "finished" }> | null;
  /** The newest messages, oldest first, at most 50. */
  log: { at: string; level: "info" | "warn" | "error"; message: string }[];
  /** One plain sentence: is the table safe? */
  safety: string;
}

/** Where a screen reads the view from: the newest one, and word of every change. */
export interface ViewSource {
  /** The newest view; the same object until it changes. */
  current(): RunView;
  /** Calls `listener` after every change; gives the function that ends it. */
  subscribe(listener: () => void): () => void;
}

/** An empty view of a migration. */
export function emptyView(facts: {
  migration: string;
  table: string;
  server: string;
  startedAt: string;
}): RunView {
  return {
    ...facts,
    phases: PHASES.map((name) => ({ name, status: "waiting", startedAt: null, ms: null })),
    undo: null,
    paused: false,
    throttle: 100,
    held: null,
    postponed: false,
    copy: null,
    backup: null,
    index: null,
    backlog: null,
    validation: null,
    lockTry: null,
    cutover: null,
    window: null,
    forecast: null,
    leaves: [],
    map: null,
    comparing: null,
    sample: null,
    checks: [],
    trend: [],
    smoke: null,
    ready: null,
    stopped: null,
    finished: null,
    log: [],
    safety: "The source is untouched; the application is using it.",
  };
}
