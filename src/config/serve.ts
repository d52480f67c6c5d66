/** What a configuration file may say about `partway serve`, under `serve`. */
import { z } from "zod";

/** What a job can be; `maintenance` is all of `partway maintain`. */
export const JOB_KINDS = ["maintenance", "create", "analyze", "vacuum", "cleanup", "health"] as const;
export type JobKind = (typeof JOB_KINDS)[number];

export const SCOPES = ["read", "write"] as const;
export type Scope = (typeof SCOPES)[number];

const name = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/, {
  error: "write letters, digits, dots, underscores and hyphens, 63 at most",
});

const job = z.strictObject({
  /** Five fields, in UTC: `0 2 1 * *`. */
  cron: z.string().min(1),
  run: z.enum(JOB_KINDS),
  /** Left out: all that are in care. */
  tables: z.array(z.string().min(1)).min(1).optional(),
  /** maintenance and cleanup: detach and drop what is expired; otherwise it is only named. */
  apply: z.boolean().optional(),
});

const token = z.strictObject({
  /** Who it is, for the log. */
  name,
  /** Of the token itself, in hexadecimal: `partway token` prints both. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, {
    error: "is not a SHA-256 in hexadecimal; partway token prints it",
  }),
  scope: z.enum(SCOPES).optional(),
});

export const serveSchema = z.strictObject({
  host: z.string().min(1).optional(),
  port: z.int().min(0).max(65_535).optional(),
  tokens: z.array(token).optional(),
  /** By the job's name. */
  schedule: z.record(name, job).optional(),
  /** Do once what came due while nobody was there; true unless said otherwise. */
  catchUp: z.boolean().optional(),
  /** Requests a minute, of each token. */
  perMinute: z.int().min(1).max(1_000_000).optional(),
});

export type ServeConfig = z.output<typeof serveSchema>;
