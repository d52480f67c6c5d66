/** What each kind of job does: the care's own API, as the commands use it. */

import type { HealthReport } from "../care/health.js";
import { health, type MaintainOptions, type MaintainOutcome, maintain } from "../care.js";
import { type PartwayError, UnknownTable } from "../errors.js";
import { analyze, type UpkeepOutcome, vacuum } from "../upkeep.js";
import type { JobResult } from "./scheduler.js";
import type { Job } from "./settings.js";

export interface CareFor {
  url: string | undefined;
  /** Instead of the database's clock, for tests. */
  now?: string | undefined;
  onNote?: MaintainOptions["onNote"];
}

/** Errors: of the first table that failed, when the others are done; `MaintenanceBusy`. */
export async function runJob(job: Job, care: CareFor, signal: AbortSignal): Promise<JobResult> {
  const options = { ...care, signal };
  const maintained = async (how: Partial<Parameters<typeof maintain>[0]>): Promise<JobResult> =>
    maintainedText(
      await eachOf<MaintainOutcome>(
        job.tables,
        async (tables) => (await maintain({ ...options, ...how, tables })).tables,
        (table, error) => ({ table, error, done: null }),
      ),
    );
  const keptUp = async (work: typeof analyze): Promise<JobResult> =>
    keptUpText(
      await eachOf<UpkeepOutcome>(
        job.tables,
        (tables) => work({ ...options, tables }),
        (table, error) => ({ table, done: [], locked: [], error }),
      ),
    );
  switch (job.kind) {
    case "maintenance":
      return maintained({ apply: job.apply });
    case "create":
      return maintained({ steps: ["create"] });
    case "cleanup":
      return maintained({ ...(job.apply ? { apply: true } : { dryRun: true }), steps: ["retire"] });
    case "analyze":
      return keptUp(analyze);
    case "vacuum":
      return keptUp(vacuum);
    case "health": {
      const gone: string[] = [];
      const reports = await eachOf<HealthReport | null>(
        job.tables,
        (tables) => health({ ...options, tables }),
        (table, error) => {
          gone.push(`${table}: ${error.message}`);
          return null;
        },
      );
      return healthyText(
        reports.flatMap((report) => report ?? []),
        gone,
      );
    }
  }
}

/** One table that is gone, or in care no more, keeps no other back: each is done by itself. */
async function eachOf<T>(
  tables: readonly string[],
  work: (tables: string[]) => Promise<T[]>,
  unknown: (table: string, error: UnknownTable) => T,
): Promise<T[]> {
  if (tables.length === 0) return work([]);
  const outcomes: T[] = [];
  for (const table of tables)
    try {
      outcomes.push(...(await work([table])));
    } catch (error) {
      if (!(error instanceof UnknownTable)) throw error;
      outcomes.push(unknown(table, error));
    }
  return outcomes;
}

function maintainedText(outcomes: readonly MaintainOutcome[]): JobResult {
  const failed = outcomes.flatMap((one) => ("error" in one ? [one.error] : []));
  orThrow(failed, outcomes.length);
  const sum = { created: 0, analyzed: 0, retired: 0, expired: 0 };
  for (const one of outcomes) {
    if ("error" in one) continue;
    const named = one.retired.filter(({ fate }) => fate.startsWith("would-")).length;
    sum.created += one.created.length;
    sum.analyzed += one.analyzed.length;
    sum.retired += one.retired.length - named;
    sum.expired += named;
  }
  return {
    outcome: "done",
    message: `${outcomes.length} ${outcomes.length === 1 ? "table" : "tables"}: ${sum.created} created, ${sum.analyzed} analyzed, ${sum.retired} retired${sum.expired === 0 ? "" : `, ${sum.expired} expired and left`}`,
  };
}

function keptUpText(outcomes: readonly UpkeepOutcome[]): JobResult {
  orThrow(
    outcomes.flatMap(({ error }) => error ?? []),
    outcomes.length,
  );
  return { outcome: "done", message: `${outcomes.flatMap(({ done }) => done).length} done` };
}

function healthyText(reports: readonly HealthReport[], gone: readonly string[]): JobResult {
  const ill = reports.filter(({ status }) => status !== "HEALTHY");
  if (ill.length + gone.length === 0) return { outcome: "done", message: `${reports.length} HEALTHY` };
  const said = [
    ...ill.map(({ table, status, findings }) => `${table} ${status}: ${findings[0]?.what ?? ""}`),
    ...gone,
  ];
  return { outcome: "unhealthy", message: said.join("; ") };
}

function orThrow(failed: readonly PartwayError[], of: number): void {
  const [first] = failed;
  if (first === undefined) return;
  if (of === 1) throw first;
  throw Object.assign(first, {
    message: `${failed.length} of ${of} tables failed; the first: ${first.message}`,
  });
}
