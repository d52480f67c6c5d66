/**
 * What `--json` prints while a migration runs, one object a line: the run's events as they are, and with `--all` the
 * tables' turns. Made from the schemas that the journal reads events back with, so there is one definition of each.
 */
import { z } from "zod";
import { EVENTS, type Kind } from "../../state/journal-events.js";
import type { AllResult, TableEvent, TableReport } from "../many/run.js";

/** When each is told, and units that its fields' names do not say. */
const ABOUT: Record<Kind, string> = {
  phase: "A phase, or an undo, begins or ends. ms: how long it took; null when it begins.",
  backup: "Progress of the backup; rows is null while they are not counted.",
  copy: "Progress of the copy, in blocks of the source; batchesTotal goes by the size of the next batch. rowsPerSecond over the last ten seconds; it and secondsLeft are null while measuring.",
  "copy-restarted": "The source was rewritten or truncated: the copy starts again.",
  index: "Progress of the index builds; current: those being built.",
  forecast: "What each phase will take by the plan, in seconds: on an idle machine and on a busy one.",
  leaves:
    "The partitions, in the order of a map's cells. rows: compared where exact, else estimated; null: unknown.",
  map: "How far the pieces of a phase are, at most once a second. cells: one character a piece: . not begun, 0 to 9 so many tenths done, x done, ! differs. cell: counted from 0.",
  comparing: "A comparison under way: pieces of both sides that have been read.",
  sample:
    "What the server says of itself, about once a second. logged: changes waiting in the log by its statistics; null: no log, or not known. slot: the replication slot of --capture wal; null: none, or not known. canary: times of the last minute, ms; null: none. held: what holds the run, with the readings of now.",
  check: "A condition of the cutover, looked at before the locks are asked for; ok null: not looked at yet.",
  process: "A process begins or goes on: what it was asked for, versions, settings (lists as their number).",
  sizes: "How large the tables are, in bytes; null: not there, or nobody may look.",
  query:
    "A configured query was measured. runs: execution time of each, ms; empty: it failed. plan: as EXPLAIN prints it.",
  smoke: "A smoke check passed or failed.",
  "smoke-done": "A round of smoke checks is over. failed: names. next: the command that goes back.",
  backlog: "Changed keys that the other side has yet to follow. forward: before cutover; reverse: after it.",
  validation: "Both sides were compared. excluded: keys in the change log, left out on both sides.",
  difference: "A row that differs, by leaf and key.",
  repaired: "Keys that were copied again because of --repair.",
  "leaf-created": "A leaf was made for a row that no leaf could hold.",
  "lock-try": "A try to have a lock. blockers: who stood in the way; ageSeconds: of its transaction.",
  cutover: "The names were swapped. forward: the cutover; reverse: a rollback.",
  ready: "Validated, kept current, ready for cutover.",
  window:
    "The retention window, told every second while a process stays. deadline: by the database's clock. safe: whether a rollback is.",
  paused: "The run pauses.",
  continued: "The run goes on.",
  throttle: "How fast it works has changed. percent: of the time; 100 is full speed.",
  throttled:
    "The automatic throttle holds work back before its next piece, for these reasons. Told again when other signals hold.",
  released: "Nothing holds work back any more. reason: what did, as it was when it began. ms: how long.",
  postponed: "on: the run does not begin the cutover by itself; off: it may.",
  stopped: "The run ended before its aim: what, in which state, the command to type next. The last line.",
  finished: "The run ended, or rests where it was told to. The last line.",
  log: "A message for people.",
};

const text = z.string();
const tableOf = text.optional().describe("With --all: the table it belongs to.");
const code = z.int().describe("Exit code of the process (README.md, Exit codes).");

const kinds = Object.keys(EVENTS).filter((kind): kind is Kind => Object.hasOwn(EVENTS, kind));

const reportShape = {
  table: text,
  state: z.enum(["starting", "resuming", "migrated", "rests", "refused", "stopped", "failed", "waiting"]),
  migration: text.nullable(),
  what: text.describe("One sentence."),
  next: text.describe("The command to type next; empty when there is none."),
  exitCode: code,
} satisfies { [F in keyof TableReport]: z.ZodType<TableReport[F]> };

const turn = z
  .looseObject({ at: text, event: z.literal("table"), ...reportShape })
  .describe("With --all: a table's turn came, or ended.") satisfies z.ZodType<TableEvent>;

const all = z
  .looseObject({ event: z.literal("all"), tables: z.array(z.looseObject(reportShape)), exitCode: code })
  .describe("With --all: how every table stands. The last line.") satisfies z.ZodType<AllResult>;

/** The fields of a failure: those of a PartwayError, and of the event `stopped`. */
export const failureShape = {
  kind: text.describe("What kind of failure; the exit code follows from it."),
  what: text.describe("What happened, one sentence."),
  state: text.describe("What state things are in."),
  next: text.describe("The command to type next."),
  exitCode: code,
};

export const failure = z
  .looseObject({ event: z.literal("error"), table: tableOf, ...failureShape })
  .describe("The command failed before a run began, or could not look. The only line, except with --all.");

/** An event of a run, as its line. */
export const eventLines = kinds.map((kind) =>
  z.looseObject({ ...EVENTS[kind].shape, table: tableOf }).describe(ABOUT[kind]),
);

export const EventLine = z.union([...eventLines, turn, all, failure]);
