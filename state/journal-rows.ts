/** The journal's rows as they come out: zod turns columns into the records the rest of Partway sees. */
import { z } from "zod";
import type { Command, Outcome } from "./events.js";

/** Which process drives a migration. */
export interface Owner {
  pid: number;
  host: string;
  /** ISO 8601; tells two processes of the same pid apart. */
  startedAt: string;
}

export interface MigrationRecord {
  id: string;
  createdAt: string;
  updatedAt: string;
  /** `user@host:port/database`, no secret. */
  server: string;
  /** `schema.name`, for people. */
  table: string;
  /** The machine's state. */
  state: string;
  outcome: Outcome | null;
  plan: unknown;
  settings: unknown;
  /** XState's persisted snapshot. */
  snapshot: unknown;
  owner: Owner | null;
}

export const OutcomeSchema = z.enum([
  "done",
  "rolled-back",
  "aborted",
  "ready-for-cutover",
  "retained",
  "stopped",
  "failed",
]) satisfies z.ZodType<Outcome>;

export const CommandSchema = z.union([
  z.enum(["pause", "continue", "stop", "cutover", "rollback", "postpone", "allow", "slower", "faster"]),
  // Within a template literal zod leaves bounds unchecked.
  z.templateLiteral(["throttle-", z.int()]).refine((name) => /^throttle-(100|[1-9]\d?)$/.test(name)),
]) satisfies z.ZodType<Command>;

const id = z.int();
const count = z.int();
const ms = z.number();
const text = z.string();

const json = text.transform((value, context): unknown => {
  try {
    return JSON.parse(value);
  } catch (error) {
    context.addIssue({ code: "custom", message: `not JSON: ${String(error)}` });
    return z.NEVER;
  }
});

const ownerColumns = {
  owner_pid: z.int().positive().nullable(),
  owner_host: text.nullable(),
  owner_started_at: text.nullable(),
};

function ownerOf(row: {
  owner_pid: number | null;
  owner_host: string | null;
  owner_started_at: string | null;
}): Owner | null {
  const { owner_pid: pid, owner_host: host, owner_started_at: startedAt } = row;
  return pid === null || host === null || startedAt === null ? null : { pid, host, startedAt };
}

/** Asked before each write: plan and snapshot of a thousand leaves are not to be read for it. */
export const OwnerRow = z.object(ownerColumns).transform((row) => ({ owner: ownerOf(row) }));

export const MigrationRow = z
  .object({
    id: text,
    created_at: text,
    updated_at: text,
    server: text,
    table_name: text,
    state: text,
    outcome: OutcomeSchema.nullable(),
    plan: json,
    settings: json,
    snapshot: json,
    ...ownerColumns,
  })
  .transform(
    (row): MigrationRecord => ({
      id: row.id,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
      server: row.server,
      table: row.table_name,
      state: row.state,
      outcome: row.outcome,
      plan: row.plan,
      settings: row.settings,
      snapshot: row.snapshot,
      owner: ownerOf(row),
    }),
  );

export const TransitionRow = z
  .object({ id, from_state: text, to_state: text, event: text, outcome: OutcomeSchema.nullable(), at: text })
  .transform((row) => ({
    rowid: row.id,
    from: row.from_state,
    to: row.to_state,
    event: row.event,
    outcome: row.outcome,
    at: row.at,
  }));

export const BatchRow = z.object({ generation: count, batch: count, rows: count, ms, at: text });

export const IndexBuildRow = z
  .object({ leaf: text, index_name: text, ms, at: text })
  .transform((row) => ({ leaf: row.leaf, index: row.index_name, ms: row.ms, at: row.at }));

export const ValidationRow = z
  .object({ direction: text, result: text, rows: count, source_hash: text, shadow_hash: text, ms, at: text })
  .transform((row) => ({
    direction: row.direction,
    result: row.result,
    rows: row.rows,
    sourceHash: row.source_hash,
    shadowHash: row.shadow_hash,
    ms: row.ms,
    at: row.at,
  }));

export const CutoverRow = z
  .object({ direction: text, tries: count, waited_ms: ms, held_ms: ms, longest_stall_ms: ms, at: text })
  .transform((row) => ({
    direction: row.direction,
    tries: row.tries,
    waitedMs: row.waited_ms,
    heldMs: row.held_ms,
    longestStallMs: row.longest_stall_ms,
    at: row.at,
  }));

export const MeasurementRow = z.object({ name: text, value: z.number(), at: text });
export const RehearsalRow = z.object({ id, body: json, at: text });
export const FindingRow = z
  .object({
    n: count,
    verdict: text,
    statement: text,
    reason: text,
    accepted_at: text.nullable(),
    origin: text,
  })
  .transform((row) => ({
    n: row.n,
    verdict: row.verdict,
    statement: row.statement,
    reason: row.reason,
    acceptedAt: row.accepted_at,
    origin: row.origin,
  }));
export const EventRow = z.object({ id, kind: text, body: text });
export const CommandRow = z
  .object({ id, name: CommandSchema, at: text })
  .transform((row) => ({ rowid: row.id, name: row.name, at: row.at }));
export const AnswerRow = z
  .object({ ok: z.int(), message: text })
  .transform((row) => ({ ok: row.ok === 1, message: row.message }));

export type TransitionRecord = z.output<typeof TransitionRow>;
export type BatchRecord = z.output<typeof BatchRow>;
export type IndexBuildRecord = z.output<typeof IndexBuildRow>;
export type ValidationRecord = z.output<typeof ValidationRow>;
export type CutoverRecord = z.output<typeof CutoverRow>;
export type MeasurementRecord = z.output<typeof MeasurementRow>;
/** A statement that is held against the cutover, and when somebody accepted it. */
export type FindingRecord = z.output<typeof FindingRow>;
export type CommandRecord = z.output<typeof CommandRow>;
