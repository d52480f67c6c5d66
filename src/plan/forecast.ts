/** What the migration will take, from the prototype's measurements (DESIGN 8: 5,000,000 rows, PostgreSQL 15, 2 cores). */
import type { PhaseName } from "../../state/events.js";
import type { TableInfo } from "../catalog/types.js";
import type { Forecast, Survey } from "./types.js";

const MEASURED = {
  /** Heap and indexes of the measured table. */
  bytes: 900e6,
  seconds: { copy: 5.8, index: 10.5 + 5.7, validate: 4.9 },
  walBytes: 1487e6,
} as const;

/**
 * The measurement was on an idle machine with everything in memory; "under live writers" and "larger than memory" were
 * not measured. Capture costs writers up to 0.71 of their throughput and drain competes, so four times is allowed for.
 */
const BUSY_FACTOR = 4;

/** The pair's index has the partition column in addition: 8 bytes of value and alignment in each entry. */
const WIDER_KEY_BYTES = 8;

const MEASURED_SECONDS = MEASURED.seconds.copy + MEASURED.seconds.index + MEASURED.seconds.validate;

/** Opening connections, locks and the swap take a while even for an empty table. */
const FIXED_SECONDS = 2;

/** Time, extra disk and WAL in proportion to the table's size. */
export function forecast(table: TableInfo, survey: Survey): Forecast {
  const bytes = table.heapBytes + table.toastBytes + table.indexBytes;
  const share = bytes / MEASURED.bytes;
  const low = FIXED_SECONDS + share * MEASURED_SECONDS;
  return {
    seconds: { low: Math.ceil(low), high: Math.ceil(low * BUSY_FACTOR) },
    extraDiskBytes: Math.ceil(bytes + survey.rows * WIDER_KEY_BYTES),
    walBytes: Math.ceil(share * MEASURED.walBytes),
    basis:
      "In proportion to a measured table of 900 MB with its indexes, copied by 2 connections on an idle 2-core machine in 27 s with " +
      "1,487 MB of WAL. The high time allows for a busy server; backup and the retention window come on top. " +
      "The old table stays on disk until the window ends, and WAL needs room until it is archived.",
  };
}

/** The forecast by phase, seconds on an idle machine and on a busy one, divided as the measured run was. */
export function phaseForecast({ seconds }: Forecast): { phase: PhaseName; low: number; high: number }[] {
  const share = (phase: keyof typeof MEASURED.seconds) => MEASURED.seconds[phase] / MEASURED_SECONDS;
  return (["copy", "index", "validate"] as const).map((phase) => ({
    phase,
    low: seconds.low * share(phase),
    high: seconds.high * share(phase),
  }));
}
