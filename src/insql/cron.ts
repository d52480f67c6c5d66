/**
 * The jobs of pg_cron. The extension lives in one database of the server and starts jobs in any of them; a job's name is
 * unique for its owner, so where another database has the name already, this one's is said behind it.
 */
import { z } from "zod";
import { withSession } from "../api.js";
import { messageOf, PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";

export const CRON_SQL = {
  version: /*sql*/ `SELECT extversion AS version FROM pg_extension WHERE extname = 'pg_cron'`,
  /** Hidden from who may not read all settings; pg_cron's own default then. */
  home: /*sql*/ `SELECT coalesce((SELECT setting FROM pg_settings WHERE name = 'cron.database_name'), 'postgres') AS name`,
  anywhere: /*sql*/ `SELECT (to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)') IS NOT NULL)::text AS there`,
  jobs: /*sql*/ `
SELECT jobid::text AS id, jobname AS name, schedule, command, active::text AS active FROM cron.job
 WHERE database = $1 AND username = current_user AND regexp_replace(jobname, ' in .*$', '') = ANY ($2::text[]) ORDER BY jobid`,
  taken: /*sql*/ `
SELECT EXISTS (SELECT FROM cron.job WHERE jobname = $1 AND username = current_user AND database <> $2)::text AS there`,
  schedule: /*sql*/ `SELECT cron.schedule($1, $2, $3)::text AS id`,
  scheduleIn: /*sql*/ `SELECT cron.schedule_in_database($1, $2, $3, $4, NULL, $5::boolean)::text AS id`,
  unschedule: /*sql*/ `SELECT cron.unschedule($1::bigint)::text AS done`,
} as const;

export interface CronJob {
  name: string;
  /** In pg_cron's time zone, which is UTC unless somebody has set it. */
  schedule: string;
  command: string;
  /** What a job of this name ran before; null: there was none, or the same. */
  replaced: string | null;
}

interface Job {
  name: string;
  schedule: string;
  command: string;
}

/**
 * The documents' names. Daily, where they say monthly and quarterly: a run that finds nothing to do costs nothing, and
 * one that could not have its lock is done a day later instead of a month.
 */
export function cronJobs(apply: boolean): Job[] {
  const expired = apply ? "false" : "true";
  return [
    {
      name: "create-monthly-partitions",
      schedule: "0 2 * * *",
      command: "SELECT * FROM partway.maintain_partitions()",
    },
    {
      name: "cleanup-old-partitions",
      schedule: "0 3 * * *",
      command: `SELECT * FROM partway.cleanup_old_partitions(${expired})`,
    },
    {
      name: "partition-health-check",
      schedule: "0 4 * * *",
      command: "SELECT partway.assert_partition_health()",
    },
  ];
}

const Job = z.object({
  id: z.string(),
  name: z.string(),
  schedule: z.string(),
  command: z.string(),
  active: z.enum(["t", "f", "true", "false"]),
});
const There = z.object({ there: z.enum(["true", "false"]) });
const Version = z.object({ version: z.string() });

/**
 * Runs `work` where pg_cron is: in the target's database, in `named`, or in the one that the server's setting names.
 * Errors: `refused` where it is in none of them, saying how it comes there; nothing was done then.
 */
export async function withCron<T>(
  target: Target,
  session: Session,
  named: string | undefined,
  work: (cron: Session) => Promise<T>,
): Promise<T> {
  if (named === undefined && (await session.maybe(Version, CRON_SQL.version)) !== null) return work(session);
  const { name } = await session.one(z.object({ name: z.string() }), CRON_SQL.home);
  const database = named ?? name;
  return withSession({ ...target, database }, async (cron) => {
    if ((await cron.maybe(Version, CRON_SQL.version)) === null) throw noCron(database);
    return work(cron);
  });
}

function noCron(database: string): PartwayError {
  return new PartwayError("refused", {
    what: `pg_cron is not installed in database ${database}`,
    state: "Nothing was changed.",
    next:
      "A superuser: apt-get install postgresql-15-cron (the package of your server's version), shared_preload_libraries = 'pg_cron', " +
      `restart, then CREATE EXTENSION pg_cron in database ${database} (cron.database_name; another one: --cron-database). Without it: 0 2 * * * partway maintain --apply`,
  });
}

/** Makes the jobs, or brings them up to date: in one transaction. A job that was switched off stays off. */
export async function scheduleJobs(cron: Session, database: string, apply: boolean): Promise<CronJob[]> {
  return inOwnJobs(cron, async () => {
    const wanted = cronJobs(apply);
    const there = await jobsOf(cron, database);
    const { there: anywhere } = await cron.one(There, CRON_SQL.anywhere);
    const made: CronJob[] = [];
    for (const { name: plain, schedule, command } of wanted) {
      const before = there.find(({ name }) => name === plain || name.startsWith(`${plain} in `));
      const { there: taken } = await cron.one(There, CRON_SQL.taken, [plain, database]);
      const name = before?.name ?? (taken === "true" ? `${plain} in ${database}` : plain);
      const active = before === undefined || before.active.startsWith("t");
      if (anywhere === "true")
        await cron.query(CRON_SQL.scheduleIn, [name, schedule, command, database, active]);
      else await cron.query(CRON_SQL.schedule, [name, schedule, command]);
      const replaced = before === undefined || before.command === command ? null : before.command;
      made.push({ name, schedule, command, replaced });
    }
    return made;
  });
}

/** Takes our jobs of this database away; those of the same name that run something else stay. Gives their names. */
export async function unscheduleJobs(cron: Session, database: string): Promise<string[]> {
  return inOwnJobs(cron, async () => {
    const ours = (await jobsOf(cron, database)).filter(({ command }) => command.includes(" partway."));
    for (const { id } of ours) await cron.query(CRON_SQL.unschedule, [id]);
    return ours.map(({ name }) => name);
  });
}

/** A role sees its own jobs through a row-level policy, which Partway's sessions refuse to be filtered by elsewhere. */
function inOwnJobs<T>(cron: Session, work: () => Promise<T>): Promise<T> {
  return cron.tx(async () => {
    await cron.query("SET LOCAL row_security = on");
    return work();
  });
}

function jobsOf(cron: Session, database: string) {
  return cron.rows(Job, CRON_SQL.jobs, [database, cronJobs(false).map(({ name }) => name)]);
}

/** What uninstall says where it could not look: an unknown pg_cron is not a reason to keep the functions. */
export function unseen(error: unknown): string {
  return `pg_cron's jobs were not looked for: ${messageOf(error)}`;
}
