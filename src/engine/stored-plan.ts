/** Plan, settings and position of a migration as the journal holds them. */
import { z } from "zod";
import { PHASES, type PhaseName } from "../../state/events.js";
import type { MigrationRecord } from "../../state/journal-rows.js";
import { WORKING, type Working } from "../../state/machine.js";
import { QueryShape, SmokeCheckShape } from "../checks/types.js";
import { mergePolicy, parseSettings, type RawSettings } from "../config/request.js";
import { parseThrottle, rawThrottle, SLOT_WAL } from "../config/throttle.js";
import { badInput, PartwayError } from "../errors.js";
import type { Settings } from "../phases/phase.js";
import type { Plan } from "../plan/types.js";
import type { ThrottleSettings } from "../throttle/types.js";

/** Written by this program and guarded by the journal's checks: the version is what has to be looked at. */
const PlanShape = z.custom<Plan>(
  (value) => z.object({ version: z.literal(1), id: z.string() }).safeParse(value).success,
);

const limit = z.number().nullable();
const ThrottleShape = z.object({
  maxReplicaLagMs: limit,
  isReplicaLagAsked: z.boolean(),
  maxActive: limit,
  maxBatchMs: limit,
  maxXminAge: limit,
  maxWalRate: limit,
  maxCheckpointWal: limit,
  maxSlotWal: limit.default(SLOT_WAL),
  sql: z.string().nullable(),
  canarySql: z.string().nullable(),
  maxCanaryMs: limit,
  between: z.object({ from: z.number(), to: z.number(), zone: z.string() }).nullable(),
}) satisfies z.ZodType<ThrottleSettings>;

/** Of a migration that an older Partway began: the defaults. */
const UNTHROTTLED = parseThrottle({});

const SettingsShape = z.object({
  workers: z.number(),
  workersWhy: z.string().nullable().default(null),
  batchBlocks: z.number(),
  // An older Partway's batches were all of one size.
  batchTimeMs: z.number().default(0),
  lockTimeoutMs: z.number(),
  lockTimeoutMaxMs: z.number(),
  lockTries: z.number(),
  holdBudgetMs: z.number(),
  backupDir: z.string().nullable(),
  repair: z.boolean(),
  forceDrop: z.boolean().default(false),
  hooks: z.array(z.object({ event: z.string(), command: z.string() })).default([]),
  hookTimeoutMs: z.number().default(60_000),
  smoke: z.array(SmokeCheckShape).default([]),
  smokeFailure: z.enum(["report", "rollback"]).default("report"),
  queries: z.array(QueryShape).default([]),
  onHangup: z.enum(["stop", "continue"]).default("stop"),
  throttle: ThrottleShape.default(UNTHROTTLED),
  rehearse: z.object({ file: z.string().nullable(), required: z.boolean() }).nullable().default(null),
});

const SnapshotShape = z.object({
  context: z.object({
    from: z.enum(WORKING),
    until: z.enum(PHASES).nullable(),
    postponed: z.boolean().default(false),
    throttle: z.number().min(1).max(100).default(100),
  }),
});

function unreadable(record: MigrationRecord, what: string): PartwayError {
  return new PartwayError("bad-input", {
    what: `the journal's ${what} of migration ${record.id} cannot be read by this version of Partway`,
    state: "Nothing was touched.",
    next: "Use the version of Partway that started it (CHANGELOG.md).",
  });
}

/** The plan a migration was started with. */
export function readPlan(record: MigrationRecord): Plan {
  const parsed = PlanShape.safeParse(record.plan);
  if (!parsed.success) throw unreadable(record, "plan");
  return parsed.data;
}

/** The plan as the database keeps it, for a journal that was lost. Errors: bad-input when this version cannot read it. */
export function parseStoredPlan(id: string, json: string): Plan {
  const parsed = PlanShape.safeParse(JSON.parse(json));
  if (parsed.success) return parsed.data;
  throw badInput(
    `the database's plan of migration ${id} cannot be read by this version of Partway`,
    "Use the version of Partway that started it (CHANGELOG.md).",
  );
}

/** The settings it was started with, under what is given now. */
export function readSettings(record: MigrationRecord, given: RawSettings): Settings {
  const parsed = SettingsShape.safeParse(record.settings);
  if (!parsed.success) throw unreadable(record, "settings");
  const s = parsed.data;
  const before: RawSettings = {
    workers: String(s.workers),
    ...(s.batchTimeMs === 0 ? { batchBlocks: String(s.batchBlocks) } : { batchTime: `${s.batchTimeMs}ms` }),
    lockTimeout: `${s.lockTimeoutMs}ms`,
    lockTimeoutMax: given.lockTimeout === undefined ? `${s.lockTimeoutMaxMs}ms` : undefined,
    lockTries: String(s.lockTries),
    holdBudget: `${s.holdBudgetMs}ms`,
    backup: s.backupDir ?? false,
    repair: false,
    on: s.hooks.map(({ event, command }) => `${event}=${command}`),
    hookTimeout: `${s.hookTimeoutMs}ms`,
    smoke: s.smoke.map(({ timeoutMs, ...check }) => ({ ...check, timeout: `${timeoutMs}ms` })),
    smokeFailure: s.smokeFailure,
    queries: s.queries,
    onHangup: s.onHangup,
    ...rawThrottle(s.throttle),
    rehearse:
      s.rehearse === null ? undefined : { file: s.rehearse.file ?? undefined, required: s.rehearse.required },
  };
  const settings = parseSettings(mergePolicy(before, given));
  return given.workers === undefined ? { ...settings, workersWhy: s.workersWhy } : settings;
}

/** Where the journal says the run stands: the state itself, or where a halted run goes on from. */
export function positionOf(record: MigrationRecord): Working {
  const state = WORKING.find((name) => name === record.state);
  if (state !== undefined) return state;
  const snapshot = SnapshotShape.safeParse(record.snapshot);
  return snapshot.success ? snapshot.data.context.from : "backup";
}

/** The phase the run was asked to stop after, or null. */
export function untilOf(record: MigrationRecord): PhaseName | null {
  const snapshot = SnapshotShape.safeParse(record.snapshot);
  return snapshot.success ? snapshot.data.context.until : null;
}

/** What an operator has asked of the run and a resume keeps: the throttle, and whether the cutover is postponed. */
export interface Controls {
  postponed: boolean;
  throttle: number;
}

export const UNCONTROLLED: Controls = { postponed: false, throttle: 100 };

/** As the journal has them. */
export function controlsOf(record: MigrationRecord): Controls {
  const snapshot = SnapshotShape.safeParse(record.snapshot);
  if (!snapshot.success) return UNCONTROLLED;
  const { postponed, throttle } = snapshot.data.context;
  return { postponed, throttle };
}
