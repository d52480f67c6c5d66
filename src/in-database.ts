/** Care in the database, without a service: install-sql, uninstall-sql, handover. Part of the programmatic interface. */
import { type ConnectOptions, targetOf, withSession } from "./api.js";
import { lacking } from "./care.js";
import { explainUntouched } from "./engine/faults.js";
import { asPartwayError, badInput, messageOf, PartwayError } from "./errors.js";
import { type CronJob, scheduleJobs, unscheduleJobs, unseen, withCron } from "./insql/cron.js";
import { install, installedVersion, type Removed, uninstall } from "./insql/install.js";
import { type HandoverReport, handOver, takeBack } from "./insql/partman.js";
import { installScript } from "./insql/script.js";
import type { Session } from "./pg/session.js";
import { SQLSTATE, sqlState } from "./pg/sqlstate.js";
import { version } from "./version.js";

export interface InstallSqlOptions extends ConnectOptions {
  /** The jobs of pg_cron, too. */
  cron?: boolean | undefined;
  /** Where pg_cron is, if neither in this database nor where the server says. */
  cronDatabase?: string | undefined;
  /** The cleanup job detaches and drops; without it, it only names what is expired. */
  apply?: boolean | undefined;
}

export interface InstalledSql {
  version: string;
  /** What was there before; null: nothing. */
  before: string | null;
  jobs: CronJob[];
}

export interface RemovedSql extends Removed {
  /** Jobs of pg_cron. */
  jobs: string[];
  /** What could not be looked at; null: nothing. */
  note: string | null;
}

/** The script that `installSql` runs, for review or psql. Connects to nothing. */
export function sqlScript(): string {
  return installScript(version());
}

/** Installs the functions, or brings them up to date, in one transaction. Errors: `refused` without pg_cron or a right. */
export async function installSql(options: InstallSqlOptions): Promise<InstalledSql> {
  if (options.cron !== true && (options.apply === true || options.cronDatabase !== undefined))
    throw badInput("--apply and --cron-database are about pg_cron's jobs", "Give --cron, too.");
  const target = await targetOf(options);
  const put = async (session: Session) => {
    const before = await installedVersion(session);
    await install(session, version());
    return before;
  };
  return connected(options, async (session) => {
    if (options.cron !== true) return { version: version(), before: await put(session), jobs: [] };
    return withCron(target, session, options.cronDatabase, async (cron) => {
      const before = await put(session);
      const jobs = await scheduleJobs(cron, target.database, options.apply === true).catch(
        (error: unknown) => {
          throw noJobs(error);
        },
      );
      return { version: version(), before, jobs };
    });
  });
}

function noJobs(error: unknown): PartwayError {
  const state = "The functions are installed; none of the jobs was made or changed.";
  const next = "The same command again goes on from there.";
  if (sqlState(error) !== SQLSTATE.insufficientPrivilege) return asPartwayError(error, state, next);
  const ask =
    "A superuser, where pg_cron is: GRANT USAGE ON SCHEMA cron TO this role; GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO it; then the same command again.";
  return new PartwayError("refused", { what: messageOf(error), state, next: ask }, { cause: error });
}

/** Takes functions and jobs away. Errors: `refused` while a migration has not ended, or maintenance is at work. */
export async function uninstallSql(
  options: ConnectOptions & { cronDatabase?: string | undefined; policies?: boolean | undefined },
): Promise<RemovedSql> {
  const target = await targetOf(options);
  return connected(options, async (session) => {
    const removed = await uninstall(session, options.policies === true);
    let note: string | null = null;
    const jobs = await withCron(target, session, options.cronDatabase, (cron) =>
      unscheduleJobs(cron, target.database),
    ).catch((error: unknown) => {
      note = unseen(error);
      return [];
    });
    return { ...removed, jobs, note };
  });
}

export interface HandoverOptions extends ConnectOptions {
  table: string;
  /** Do it; without, it is only shown. */
  apply?: boolean | undefined;
  /** Back into Partway's care. */
  undo?: boolean | undefined;
}

/** Registers a table in care with pg_partman, or takes it back. Errors: `refused` saying what pg_partman would do wrong. */
export function handover(options: HandoverOptions): Promise<HandoverReport> {
  const { table, apply = false, undo = false } = options;
  return connected(options, (session) => (undo ? takeBack : handOver)(session, table, apply));
}

const GRANT =
  "Connect as the owner of the tables, with CREATE on schema partway (or on the database, where it is not there yet) and what pg_partman's own rights ask for.";

async function connected<T>(options: ConnectOptions, work: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await withSession(await targetOf(options), work);
  } catch (error) {
    throw explainUntouched(lacking(error, GRANT));
  }
}
