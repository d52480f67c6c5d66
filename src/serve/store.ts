/**
 * What the scheduler keeps in the database, so that a restart knows what was missed and several services on one
 * database run each job once. A run is the row (job, scheduled time); who runs it holds the job's advisory lock.
 */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import type { Session } from "../pg/session.js";
import { STORE_SQL } from "../sync/store.js";

const iso = (value: string) => `to_char(${value} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Processes that may die over one run before nobody tries it again. */
export const MOST_ATTEMPTS = 3;

/** Runs kept of each job. */
const KEPT = 200;

export const JOBS_SQL = {
  /** Not to_regclass: who has waited for the other maker would be answered from a cache that is older than the wait. */
  exists: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'partway' AND c.relname = 'job_runs')::text AS present`,
  make: /*sql*/ `
CREATE TABLE partway.jobs (
  job text PRIMARY KEY,
  cron text NOT NULL,
  known_since timestamptz NOT NULL);
CREATE TABLE partway.job_runs (
  job text NOT NULL,
  scheduled_for timestamptz NOT NULL,
  started_at timestamptz NOT NULL,
  finished_at timestamptz,
  attempts integer NOT NULL DEFAULT 1,
  outcome text CHECK (outcome IN ('done', 'unhealthy', 'failed')),
  message text,
  runner text NOT NULL,
  PRIMARY KEY (job, scheduled_for))`,
  now: /*sql*/ `SELECT ${iso("clock_timestamp()")} AS now`,
  /** A job that is new, or whose times are others now, has missed nothing before this moment. */
  know: /*sql*/ `
INSERT INTO partway.jobs AS j (job, cron, known_since) VALUES ($1, $2, $3::timestamptz)
ON CONFLICT (job) DO UPDATE SET cron = excluded.cron, known_since = excluded.known_since WHERE j.cron <> excluded.cron`,
  since: /*sql*/ `
SELECT j.job, ${iso(`greatest(j.known_since, (SELECT max(r.scheduled_for) FROM partway.job_runs r
         WHERE r.job = j.job AND r.finished_at IS NOT NULL AND r.scheduled_for <= $2::timestamptz))`)} AS since
  FROM partway.jobs j WHERE j.job = ANY ($1::text[])`,
  /** Seen first while the clock was ahead: its times count from now on, not from then. */
  settle: /*sql*/ `
UPDATE partway.jobs SET known_since = $2::timestamptz WHERE job = ANY ($1::text[]) AND known_since > $2::timestamptz`,
  lock: /*sql*/ `SELECT pg_try_advisory_lock(hashtext('partway job ' || $1), 1)::text AS held`,
  /** Older ones that never ended are answered for by this one. */
  supersede: /*sql*/ `
UPDATE partway.job_runs SET finished_at = $3::timestamptz, outcome = 'failed', message = 'it did not end; a later run took its place'
 WHERE job = $1 AND scheduled_for < $2::timestamptz AND finished_at IS NULL`,
  claim: /*sql*/ `
INSERT INTO partway.job_runs AS r (job, scheduled_for, started_at, runner) VALUES ($1, $2::timestamptz, $3::timestamptz, $4)
ON CONFLICT (job, scheduled_for) DO UPDATE
   SET started_at = excluded.started_at, runner = excluded.runner, attempts = r.attempts + 1
 WHERE r.finished_at IS NULL
RETURNING r.attempts::text AS attempts`,
  finish: /*sql*/ `
UPDATE partway.job_runs SET finished_at = $3::timestamptz, outcome = $4, message = $5
 WHERE job = $1 AND scheduled_for = $2::timestamptz AND finished_at IS NULL`,
  /** Stopped on purpose, or kept from its work: that does not count against it. */
  letGo: /*sql*/ `
UPDATE partway.job_runs SET attempts = attempts - 1, message = $3
 WHERE job = $1 AND scheduled_for = $2::timestamptz AND finished_at IS NULL`,
  prune: /*sql*/ `
DELETE FROM partway.job_runs WHERE job = $1 AND scheduled_for <=
  (SELECT scheduled_for FROM partway.job_runs WHERE job = $1 ORDER BY scheduled_for DESC OFFSET ${KEPT} LIMIT 1)`,
  /** The newest of each job first, and the newest that went well, however long ago. */
  last: /*sql*/ `
SELECT r.job, ${iso("r.scheduled_for")} AS "scheduledFor", ${iso("r.started_at")} AS "startedAt",
       ${iso("r.finished_at")} AS "finishedAt", r.attempts, r.outcome, r.message, r.runner
  FROM (SELECT *, row_number() OVER (PARTITION BY job ORDER BY scheduled_for DESC) AS place,
               row_number() OVER (PARTITION BY job, outcome IS NOT DISTINCT FROM 'done' ORDER BY scheduled_for DESC) AS of_kind
          FROM partway.job_runs) AS r
 WHERE r.place <= $1::int OR r.outcome = 'done' AND r.of_kind = 1 ORDER BY r.scheduled_for DESC, r.job`,
} as const;

const Present = z.object({ present: z.enum(["true", "false"]) });

const RunRow = z.object({
  job: z.string(),
  scheduledFor: z.string(),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  attempts: z.number(),
  /** Null: it has not ended. */
  outcome: z.enum(["done", "unhealthy", "failed"]).nullable(),
  message: z.string().nullable(),
  runner: z.string(),
});
/** A run, as it is kept; times are ISO 8601 in UTC. */
export type JobRun = z.infer<typeof RunRow>;
export type JobOutcome = NonNullable<JobRun["outcome"]>;

async function isThere(session: Session): Promise<boolean> {
  return (await session.one(Present, JOBS_SQL.exists)).present === "true";
}

/** Makes schema and tables where they are not there yet. */
export async function makeJobStore(session: Session): Promise<void> {
  if (await isThere(session)) return;
  await session.tx(async () => {
    await session.query(STORE_SQL.oneMaker);
    if (await isThere(session)) return;
    if ((await session.one(Present, STORE_SQL.schemaExists)).present === "false")
      await session.query(STORE_SQL.makeSchema);
    await session.query(JOBS_SQL.make);
  });
}

/** The database's clock. */
export async function databaseNow(session: Session): Promise<Date> {
  return new Date((await session.one(z.object({ now: z.string() }), JOBS_SQL.now)).now);
}

/**
 * From when on each job's times count: what came due after it has not been done. Runs of a time that has not come by
 * `now` were done under a clock that was ahead, and count for nothing.
 */
export async function readSince(
  session: Session,
  jobs: readonly string[],
  now: Date,
): Promise<Map<string, Date>> {
  const Since = z.object({ job: z.string(), since: z.string() });
  const rows = await session.rows(Since, JOBS_SQL.since, [[...jobs], now.toISOString()]);
  return new Map(rows.map(({ job, since }) => [job, new Date(since)]));
}

/** The newest `of` runs of every job, and its newest that went well. */
export async function readRuns(session: Session, of: number): Promise<JobRun[]> {
  if (!(await isThere(session))) return [];
  return jsonRows(session, RunRow, JOBS_SQL.last, [of]);
}
