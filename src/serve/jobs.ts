/** What each kind of job does: the care's own API, as the commands use it. */
import { health, type MaintainOutcome, maintain } from "../care.js";
import type { PartwayError } from "../errors.js";
import { analyze, type UpkeepOutcome, vacuum } from "../upkeep.js";
import type { JobResult } from "./scheduler.js";
import type { Job } from "./settings.js";

export interface CareFor {
  url: string | undefined;
  /** Instead of the database's clock, for tests. */
  now?: string | undefined;
}

/** Errors: of the first table that failed, when the others are done; `MaintenanceBusy`. */
export async function runJob(job: Job, care: CareFor, signal: AbortSignal): Promise<JobResult> {
  const options = { ...care, tables: job.tables, signal };
  switch (job.kind) {
    case "maintenance":
      return maintained((await maintain({ ...options, apply: job.apply })).tables);
    case "create":
      return maintained((await maintain({ ...options, steps: ["create"] })).tables);
    case "cleanup": {
      const mode = job.apply ? { apply: true } : { dryRun: true };
      return maintained((await maintain({ ...options, ...mode, steps: ["retire"] })).tables);
    }
    case "analyze":
      return keptUp(await analyze(options));
    case "vacuum":
      return keptUp(await vacuum(options));
    case "health":
      return healthy(await health(options));
  }
}

function maintained(outcomes: readonly MaintainOutcome[]): JobResult {
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

function keptUp(outcomes: readonly UpkeepOutcome[]): JobResult {
  orThrow(
    outcomes.flatMap(({ error }) => error ?? []),
    outcomes.length,
  );
  return { outcome: "done", message: `${outcomes.flatMap(({ done }) => done).length} done` };
}

function healthy(reports: Awaited<ReturnType<typeof health>>): JobResult {
  const ill = reports.filter(({ status }) => status !== "HEALTHY");
  if (ill.length === 0) return { outcome: "done", message: `${reports.length} HEALTHY` };
  const said = ill.map(({ table, status, findings }) => `${table} ${status}: ${findings[0]?.what ?? ""}`);
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
