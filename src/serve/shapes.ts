/** What the API takes and gives, field by field: requests are checked against it, and the OpenAPI document is made of it. */
import { z } from "zod";

const table = z
  .string()
  .min(1)
  .max(260)
  .meta({ description: "A table in care, as SQL writes it: events, public.events" });
const dryRun = z
  .boolean()
  .default(true)
  .meta({ description: "true, also when left out: only say what would be done" });

export const BODY = {
  maintenance: z.strictObject({ table: table.optional(), dryRun }),
  create: z.strictObject({
    table,
    monthsAhead: z.int().min(0).max(1200).optional().meta({
      description: "Partitions until the end of the month so many ahead; left out: as the policy says",
    }),
    dryRun: z.boolean().default(false).meta({ description: "true: only say what would be made" }),
  }),
  analyze: z.strictObject({ table }),
  vacuum: z.strictObject({
    table,
    full: z.boolean().default(false).meta({
      description: "VACUUM FULL: locks each partition against everybody while it is rewritten",
    }),
  }),
  cleanup: z.strictObject({
    table,
    retentionMonths: z
      .int()
      .min(1)
      .max(12_000)
      .optional()
      .meta({ description: "Instead of the policy's retention, this once" }),
    dryRun,
  }),
} as const;

export const ListQuery = z.strictObject({ table: table.optional() });
export const NoQuery = z.strictObject({});

const when = z.string().nullable().meta({ description: "UTC" });
const finding = z.strictObject({
  level: z.enum(["CLEANUP_NEEDED", "WARNING", "CRITICAL"]),
  code: z.string(),
  what: z.string(),
  next: z.string(),
});
const status = z.enum(["HEALTHY", "CLEANUP_NEEDED", "NO_PARTITIONS", "WARNING", "CRITICAL"]);

export const HealthAnswer = z.strictObject({
  /** The worst of all. */
  status,
  tables: z.array(
    z.strictObject({
      table: z.string(),
      status,
      totalPartitions: z.int(),
      totalRows: z.int().meta({ description: "Estimated" }),
      totalBytes: z.int().meta({ description: "With indexes and TOAST" }),
      oldestPartition: z.string().nullable(),
      oldestDate: when,
      newestPartition: z.string().nullable(),
      newestDate: when.meta({ description: "UTC; the lower bound of the newest" }),
      pendingCleanup: z.int(),
      interval: z.string().nullable(),
      coveredUntil: z.string().nullable(),
      lastMaintenance: when,
      findings: z.array(finding),
    }),
  ),
});
export type HealthAnswer = z.output<typeof HealthAnswer>;

export const ListAnswer = z.strictObject({
  partitions: z.array(
    z.strictObject({
      table: z.string(),
      schema: z.string(),
      partition: z.string(),
      partitionDate: when.meta({ description: "The lower bound" }),
      from: z.string().nullable(),
      to: z.string().nullable(),
      bound: z.string(),
      rows: z.int(),
      bytes: z.int(),
      lastAnalyze: when,
      lastVacuum: when,
      detachPending: z.boolean(),
    }),
  ),
});
export type ListAnswer = z.output<typeof ListAnswer>;

const run = z.strictObject({
  job: z.string(),
  scheduledFor: z.string(),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  attempts: z.int(),
  outcome: z.enum(["done", "unhealthy", "failed"]).nullable(),
  message: z.string().nullable(),
  runner: z.string(),
});

export const StatusAnswer = z.strictObject({
  scheduler: z.strictObject({ enabled: z.boolean(), reason: z.string().nullable(), catchUp: z.boolean() }),
  timeZone: z.literal("UTC"),
  now: z.string(),
  jobs: z.array(
    z.strictObject({
      name: z.string(),
      schedule: z.string(),
      run: z.string(),
      tables: z.array(z.string()).meta({ description: "Empty: all in care" }),
      apply: z.boolean(),
      running: z.boolean().meta({ description: "In the service that answers" }),
      nextRun: z.string().nullable(),
      lastRun: run.nullable(),
    }),
  ),
  version: z.string(),
});
export type StatusAnswer = z.output<typeof StatusAnswer>;

export const ErrorAnswer = z.strictObject({
  error: z.strictObject({
    code: z.string(),
    message: z.string(),
    state: z.string(),
    next: z.string(),
    fields: z.array(z.strictObject({ field: z.string(), message: z.string() })).optional(),
  }),
  dryRun: z.boolean().optional(),
  tables: z.array(z.unknown()).optional().meta({ description: "What was done nevertheless" }),
});

const retired = z.strictObject({ name: z.string(), bound: z.string(), fate: z.string() });

export const WorkAnswer = z.strictObject({
  dryRun: z.boolean(),
  tables: z.array(
    z.strictObject({
      table: z.string(),
      skipped: z.string().nullable(),
      limits: z.array(z.string()),
      finished: z.array(z.strictObject({ name: z.string(), fate: z.string() })),
      created: z.array(z.strictObject({ name: z.string(), from: z.string(), to: z.string() })),
      analyzed: z.array(z.string()),
      retired: z.array(retired).meta({
        description:
          "dropped, archived, detached or pending; would-drop, would-archive and would-detach where nothing was done",
      }),
    }),
  ),
});
export type WorkAnswer = z.output<typeof WorkAnswer>;

export const UpkeepAnswer = z.strictObject({
  tables: z.array(
    z.strictObject({ table: z.string(), done: z.array(z.string()), locked: z.array(z.string()) }),
  ),
});
