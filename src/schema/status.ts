/** What `status --json` and `list --json` print. Built field by field: what a screen adds to its view is not published by chance. */
import { z } from "zod";
import { PHASES } from "../../state/events.js";
import { EVENTS } from "../../state/journal-events.js";
import { OutcomeSchema } from "../../state/journal-rows.js";
import { WORKING } from "../../state/machine.js";
import type { ListedMigration, StatusReport } from "../inspect.js";

export const STATUS_ID = "partway/status/1";
export const LIST_ID = "partway/list/1";

const text = z.string();
const instant = text.describe("ISO 8601.");
const STATES = [...WORKING, "halted", "done", "rolledBack", "aborted"];

const listedShape = {
  id: text.describe("The migration's id, as every command takes it."),
  table: text.describe("schema.name"),
  server: text.describe("user@host:port/database"),
  state: text.describe(`Of the machine: ${STATES.join(", ")}. halted: no phase is at work.`),
  outcome: OutcomeSchema.nullable().describe("How the last run ended or rests; null while one is at work."),
  createdAt: instant,
  updatedAt: instant,
} satisfies { [F in keyof ListedMigration]: z.ZodType<ListedMigration[F]> };

const phase = z.object({
  name: z.enum([...PHASES, "rollback", "abort"]),
  status: z.enum(["waiting", "running", "done", "failed"]),
  startedAt: instant.nullable(),
  ms: z.number().nullable().describe("How long it took; null until it has ended."),
});

const newest = "The newest event of that name; null when there is none that still holds.";

const view = z
  .object({
    safety: text.describe("Is the table safe? One plain sentence."),
    startedAt: instant,
    paused: z.boolean(),
    throttle: z.number().describe("The share of the time that it works, in percent; 100 is full speed."),
    held: z
      .object({ reasons: EVENTS.throttled.shape.reasons, since: instant })
      .nullable()
      .describe("What holds work back by itself, with the newest readings; null: nothing does."),
    canary: EVENTS.sample.shape.canary.describe(
      "What the canary, one small statement a second, took in the last minute, ms; null: not known.",
    ),
    postponed: z.boolean().describe("Whether it rests at ready instead of beginning the cutover."),
    phases: z.array(phase).describe("In order."),
    undo: phase.nullable().describe("A rollback or abort, once asked for."),
    backup: EVENTS.backup.nullable().describe(newest),
    copy: EVENTS.copy.nullable().describe(newest),
    index: EVENTS.index.nullable().describe(newest),
    backlog: EVENTS.backlog.nullable().describe(newest),
    validation: EVENTS.validation.nullable().describe(newest),
    lockTry: EVENTS["lock-try"].nullable().describe(newest),
    cutover: EVENTS.cutover.nullable().describe(newest),
    window: EVENTS.window.nullable().describe(newest),
    ready: text.nullable(),
    stopped: EVENTS.stopped.nullable().describe(newest),
    finished: EVENTS.finished.nullable().describe(newest),
    log: z
      .array(z.object({ at: instant, level: z.enum(["info", "warn", "error"]), message: text }))
      .describe("The newest messages, oldest first, at most 50."),
  })
  .describe("What the journal's events say (partway schema events).");

const database = z
  .union([
    z.object({ reachable: z.literal(false), why: text }),
    z.object({ reachable: z.literal(true), known: z.literal(false) }),
    z.object({
      reachable: z.literal(true),
      known: z.literal(true),
      phase: text.describe("The next phase to do."),
      keysBehind: z.int().nullable().describe("Keys in the change log."),
      cutoverAt: instant.nullable(),
      deadline: instant.nullable().describe("When the retention window ends, by the database's clock."),
      secondsLeft: z.number().nullable(),
      rollbackSafe: z.boolean().nullable().describe("null outside the retention window."),
      verdict: text.nullable(),
      slot: z
        .object({
          name: text,
          status: text.describe("pg_replication_slots.wal_status: reserved, extended, unreserved or lost."),
          retainedBytes: z.number().describe("WAL that the server keeps for it."),
          keptBytes: z.number().nullable().describe("max_slot_wal_keep_size; null: no bound."),
        })
        .nullable()
        .describe("The replication slot of --capture wal, while it stands."),
    }),
  ])
  .describe("What the database says now. known: it has a record of the migration.");

export const Status = z.object({
  schema: z.literal(STATUS_ID),
  ...listedShape,
  position: z.enum(WORKING).describe("Where the run is, or goes on."),
  driver: z
    .object({ pid: z.int(), host: text })
    .nullable()
    .describe("The process that drives it, when one is alive."),
  view,
  database,
  next: text.describe("The command to type next."),
});
export type StatusDocument = z.output<typeof Status>;

export const List = z.object({
  schema: z.literal(LIST_ID),
  migrations: z.array(z.object(listedShape)).describe("Newest first."),
});
export type ListDocument = z.output<typeof List>;

/** The published form of a status. */
export function statusDocument(report: StatusReport): StatusDocument {
  const { view: v, position, driver, database: now, next } = report;
  const view: StatusDocument["view"] = {
    ...{ safety: v.safety, startedAt: v.startedAt, paused: v.paused, phases: v.phases, undo: v.undo },
    ...{ throttle: v.throttle, postponed: v.postponed, held: v.held, canary: v.sample?.canary ?? null },
    ...{ backup: v.backup, copy: v.copy, index: v.index, backlog: v.backlog, validation: v.validation },
    ...{ lockTry: v.lockTry, cutover: v.cutover, window: v.window, ready: v.ready },
    ...{ stopped: v.stopped, finished: v.finished, log: v.log },
  };
  return { schema: STATUS_ID, ...listed(report), position, driver, view, database: now, next };
}

/** The published form of a list. */
export function listDocument(migrations: readonly ListedMigration[]): ListDocument {
  return { schema: LIST_ID, migrations: migrations.map(listed) };
}

function listed({ id, table, server, state, outcome, createdAt, updatedAt }: ListedMigration) {
  return { id, table, server, state, outcome, createdAt, updatedAt };
}
