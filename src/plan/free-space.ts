/** Does the migration fit the free space that the operator states? PostgreSQL cannot say how much there is. Pure. */
import prettyBytes from "pretty-bytes";
import type { Forecast, Plan, Refusal, Warning } from "./types.js";

/** A forecast is held to be right within a quarter (test/plan/forecast.test.ts): above this it may not fit. */
const WARN_SHARE = 0.8;

/**
 * Without a sample nobody has added up what else the disk holds at the peak: all WAL is counted as kept. Of a table with
 * a sample the forecast is the peak.
 */
function peakOf({ extraDiskBytes, walBytes, sampled }: Forecast): { needed: number; by: string } {
  return sampled === true
    ? { needed: extraDiskBytes, by: "Forecasts are right within a quarter" }
    : { needed: extraDiskBytes + walBytes, by: "No sample was taken, so this is a rule of thumb" };
}

/** A refusal when the peak is more than `bytes`, a warning when it is close. null: not stated, so not judged. */
export function freeSpace(
  { forecast, names }: Pick<Plan, "forecast" | "names">,
  bytes: number | null,
): { refusals: Refusal[]; warnings: Warning[] } {
  if (bytes === null) return { refusals: [], warnings: [] };
  const { needed, by } = peakOf(forecast);
  const [peak, free] = [prettyBytes(needed), prettyBytes(bytes)];
  const table = `${names.schema}.${names.source}`;
  if (needed > bytes)
    return {
      refusals: [
        {
          code: "disk-too-small",
          what: `migrating ${table} takes ${peak} of disk at its peak, and ${free} are free by --free-disk`,
          why: "A server whose disk is full stops for everybody; the old table stays beside the new one until the window ends.",
          remedy: `Make room for ${prettyBytes(needed / WARN_SHARE)}, and state it with --free-disk; without the option nothing is judged.`,
        },
      ],
      warnings: [],
    };
  if (needed <= bytes * WARN_SHARE) return { refusals: [], warnings: [] };
  const share = Math.round((needed / bytes) * 100);
  return {
    refusals: [],
    warnings: [
      {
        code: "disk-nearly-full",
        what: `migrating ${table} takes ${peak} of disk at its peak: ${share} % of the ${free} that are free by --free-disk`,
        advice: `${by}: make more room, or watch the disk during the run (runbooks/disk-filling.md).`,
      },
    ],
  };
}
