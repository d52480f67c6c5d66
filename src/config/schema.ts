/** What a configuration file may say. Strict: an unknown key is a mistake, not a wish. */
import { z } from "zod";
import { HOOK_EVENTS } from "../hooks/names.js";
import { serveSchema } from "./serve.js";

/** Numbers are welcome where a number is meant; everything is handed on as text, as if typed on the command line. */
const number = z.union([z.int().nonnegative(), z.string()]).transform(String);

/** The scheme and everything else that `partway plan` and `partway run` take about one table. */
const requestShape = {
  by: z.string().optional(),
  every: z.string().optional(),
  step: number.optional(),
  hash: number.optional(),
  list: z
    .union([z.array(z.union([z.string(), z.number(), z.boolean()])), z.string()])
    .transform(listText)
    .optional(),
  ahead: number.optional(),
  leaf: z.string().optional(),
  keep: z.string().optional(),
  key: z.string().optional(),
  incomingFk: z.enum(["refuse", "drop", "repoint"]).optional(),
  nullKeys: z.enum(["refuse", "default-leaf"]).optional(),
  capture: z.enum(["trigger", "wal"]).optional(),
};

/** `{ "finished": "./notify.sh", "phase": ["./a.sh", "./b.sh"] }`, handed on as `--on` takes it. */
const hooks = z
  .partialRecord(
    z.enum(HOOK_EVENTS, { error: "there is no such event for a hook" }),
    z.union([z.string().min(1), z.array(z.string().min(1))]),
  )
  .transform((on) =>
    Object.entries(on).flatMap(([event, commands]) =>
      [commands ?? []].flat().map((command) => `${event}=${command}`),
    ),
  );

const settingsShape = {
  /** Free space on the server's disk, in bytes or as `50GB`: a run that would not fit is refused. */
  freeDisk: number.optional(),
  /** false: no sample of the table for the forecast. */
  sample: z.boolean().optional(),
  workers: number.optional(),
  batchBlocks: number.optional(),
  batchTime: number.optional(),
  lockTimeout: z.string().optional(),
  lockTimeoutMax: z.string().optional(),
  lockTries: number.optional(),
  holdBudget: z.string().optional(),
  /** A directory, or false for none. */
  backup: z.union([z.string(), z.literal(false)]).optional(),
  repair: z.boolean().optional(),
  /** Commands on events (src/hooks). */
  on: hooks.optional(),
  hookTimeout: z.string().optional(),
  onHangup: z.enum(["stop", "continue"]).optional(),
  /** The automatic throttle (src/config/throttle.ts); `off` where a value may be. */
  maxReplicaLag: z.string().optional(),
  maxBatchTime: z.string().optional(),
  maxActive: number.optional(),
  maxXminAge: number.optional(),
  maxWalRate: number.optional(),
  maxCheckpointWal: number.optional(),
  maxSlotWal: number.optional(),
  throttleSql: z.string().optional(),
  canarySql: z.string().optional(),
  maxCanary: z.string().optional(),
  /** Hours of the day: `22:00-06:00 Europe/Berlin`. */
  between: z.string().optional(),
  /** Rehearse the application's statements before the cutover; `required`: no cutover without. */
  rehearse: z.strictObject({ file: z.string().optional(), required: z.boolean().optional() }).optional(),
};

/** What a smoke check must find. `equals` is compared as text; null is SQL's NULL. */
const expectation = z.union([
  z.literal("no error"),
  z.strictObject({ rows: z.int().nonnegative() }),
  z.strictObject({ atLeast: z.int().nonnegative() }),
  z.strictObject({ equals: z.union([z.string(), z.number(), z.boolean(), z.null()]) }),
]);

const smokeCheck = z.strictObject({
  name: z.string().min(1),
  sql: z.string().min(1),
  expect: expectation.default("no error"),
  timeout: z.string().optional(),
});

const smokeShape = {
  /** For every table; a table's own come on top. */
  smoke: z.array(smokeCheck).optional(),
  smokeFailure: z.enum(["report", "rollback"]).optional(),
};

const query = z.union([
  z.string().min(1),
  z.strictObject({ name: z.string().min(1), sql: z.string().min(1) }),
]);

/** When a table's turn comes in `partway run --all` (src/many/order.ts). */
const orderShape = {
  /** A larger number goes first; critical is 4, high 3, medium 2, low 1. */
  priority: z.union([z.enum(["critical", "high", "medium", "low"]), z.number()]).optional(),
  after: z.array(z.string()).optional(),
  together: z.union([z.boolean(), z.string().min(1)]).optional(),
};

export const tableConfigSchema = z.strictObject({
  ...requestShape,
  ...settingsShape,
  ...smokeShape,
  /** Measured before and after cutover. */
  queries: z.array(query).optional(),
  ...orderShape,
});

/** When `partway health` raises its voice about one table; what is left out has a default for its interval. */
export const thresholdsSchema = z.strictObject({
  /** Fewer leaves than this, or more than that: WARNING. */
  minLeaves: z.int().min(0).optional(),
  maxLeaves: z.int().min(1).optional(),
  /** A leaf above so many GB (10^9 bytes): WARNING. */
  leafGb: z.number().positive().optional(),
});

export const archiveFormats = ["csv", "parquet"] as const;

/** Where expired leaves are archived (src/archive/settings.ts reads it). No secret has a place here. */
export const archiveSchema = z.strictObject({
  /** An absolute path, or `s3://bucket/prefix`. */
  to: z.string().min(1),
  /** Of an S3-compatible storage that is not AWS. */
  endpoint: z.string().optional(),
  region: z.string().optional(),
  /** Where the key is that archives are sealed with: a file, or a variable of the environment. */
  keyFile: z.string().min(1).optional(),
  keyEnv: z.string().min(1).optional(),
  /** What they are written as: CSV, gzipped (the default), or Parquet. */
  format: z.enum(archiveFormats).optional(),
});
export type ArchiveSettings = z.output<typeof archiveSchema>;

/** The care of a partitioned table (src/care/policy.ts reads it); what is left out is recognised, or has a default. */
export const partitionPolicySchema = z.strictObject({
  every: z.enum(["hour", "day", "week", "month", "quarter", "year"]).optional(),
  step: number.optional(),
  leaf: z.string().optional(),
  ahead: z.int().min(0).max(1000).optional(),
  retention: z.union([z.string(), z.int().positive().transform(String)]).optional(),
  expired: z.enum(["drop", "detach", "archive"]).optional(),
  archive: archiveSchema.optional(),
  thresholds: thresholdsSchema.optional(),
  enabled: z.boolean().optional(),
});
export type PartitionPolicy = z.output<typeof partitionPolicySchema>;

/** `partway.config.*`: settings for every table, and per table under `tables`, which win. */
export const configSchema = z.strictObject({
  /** Where an editor finds the schema of this file (`partway schema config`). */
  $schema: z.string().optional(),
  ...settingsShape,
  ...smokeShape,
  keep: z.string().optional(),
  /** How many tables `partway run --all` migrates at once, at most. */
  parallel: z.int().min(1).max(64).optional(),
  tables: z.record(z.string(), tableConfigSchema).default({}),
  /** Partitioned tables that `partway adopt` takes into care. */
  partitions: z.record(z.string(), partitionPolicySchema).default({}),
  /** The service that cares for them (`partway serve`). */
  serve: serveSchema.optional(),
});

export type TableConfig = z.output<typeof tableConfigSchema>;
/** How a table is migrated, without when. */
export type TablePolicy = Omit<TableConfig, keyof typeof orderShape>;
export type SmokeConfig = z.output<typeof smokeCheck>;
export type QueryConfig = z.output<typeof query>;
export type Config = z.output<typeof configSchema>;
/** For `satisfies PartwayConfig` in a TypeScript configuration file. */
export type PartwayConfig = z.input<typeof configSchema>;

/** Values to the text that `--list` takes: comma-separated, quoted where a value holds a comma or a quote. */
function listText(values: string | (string | number | boolean)[]): string {
  if (typeof values === "string") return values;
  return values
    .map(String)
    .map((value) => (/[",]|^\s|\s$|^$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value))
    .join(",");
}
