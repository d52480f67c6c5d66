/** What the migration will take: by a sample of the table where there is one, else in proportion to a measured table. Pure. */
import type { PhaseName } from "../../state/events.js";
import type { TableInfo } from "../catalog/types.js";
import { newTable, type Wal, walBytes, walOf } from "./forecast-bytes.js";
import { phaseSeconds } from "./forecast-time.js";
import type { NoSample, TableSample } from "./sample.js";
import type { ColumnRef, Forecast, ForecastPhase, IndexPlan, Leaf, Survey } from "./types.js";

/** The prototype's measurements (DESIGN 8: 5,000,000 rows, PostgreSQL 15, 2 cores). */
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
/** A sample was taken on this server, as busy as it is now: twice is allowed for a busier hour. */
const BUSIER_FACTOR = 2;

/** The pair's index has the partition column in addition: 8 bytes of value and alignment in each entry. */
const WIDER_KEY_BYTES = 8;

const MEASURED_SECONDS = MEASURED.seconds.copy + MEASURED.seconds.index + MEASURED.seconds.validate;

/** Opening connections, locks and the swap take a while even for an empty table. */
const FIXED_SECONDS = 2;

/** A row of the change log with its entry in the log's key. */
const LOG_ROW_BYTES = 120;

export const DEFAULT_WORKERS = 2;

export interface ForecastInput {
  table: TableInfo;
  survey: Survey;
  leaves: readonly Leaf[];
  indexes: readonly IndexPlan[];
  partitionBy: readonly ColumnRef[];
  sample?: TableSample | NoSample | undefined;
  /** Connections of copy, index and validation. */
  workers?: number | undefined;
  /** Memory of each index build; default: the server's maintenance_work_mem. */
  buildBytes?: number | undefined;
}

/** Time, extra disk at its peak, and WAL. */
export function forecast(input: ForecastInput): Forecast {
  const { sample, leaves, table, survey } = input;
  if (sample === undefined) return proportional(table, survey, null);
  if ("why" in sample) return proportional(table, survey, sample.why);
  // Without leaves there is nothing to lay out: the plan refuses.
  return leaves.length === 0 ? proportional(table, survey, null) : sampled(input, sample);
}

function proportional(table: TableInfo, survey: Survey, why: string | null): Forecast {
  const bytes = table.heapBytes + table.toastBytes + table.indexBytes;
  const share = bytes / MEASURED.bytes;
  const low = FIXED_SECONDS + share * MEASURED_SECONDS;
  const seconds = { low: Math.ceil(low), high: Math.ceil(low * BUSY_FACTOR) };
  return {
    seconds,
    extraDiskBytes: Math.ceil(bytes + survey.rows * WIDER_KEY_BYTES),
    walBytes: Math.ceil(share * MEASURED.walBytes),
    sampled: false,
    phases: (["copy", "index", "validate"] as const).map((phase) => ({
      phase,
      low: (seconds.low * MEASURED.seconds[phase]) / MEASURED_SECONDS,
      high: (seconds.high * MEASURED.seconds[phase]) / MEASURED_SECONDS,
    })),
    basis:
      `No sample was taken${why === null ? "" : ` (${why})`}: in proportion to a measured table of 900 MB with its indexes, copied by 2 connections on an idle 2-core machine in 27 s with ` +
      "1,487 MB of WAL. The high time allows for a busy server; backup and the retention window come on top. " +
      "The old table stays on disk until the window ends; change log and WAL need room besides.",
  };
}

function sampled(input: ForecastInput, sample: TableSample): Forecast {
  const { table, workers = DEFAULT_WORKERS, buildBytes = sample.server.maintenanceBytes } = input;
  const rows = rowsOf(input, sample);
  const facts = { ...input, sample, rows };
  const made = newTable(facts);
  // What is written tells how long it takes, and how long it takes how many checkpoints come in between.
  const first = walOf(facts, made, 0);
  const phases = phaseSeconds({ ...facts, made, wal: first, workers }).map((one) => ({
    phase: one.phase,
    low: one.seconds,
    high: one.seconds * BUSIER_FACTOR,
  }));
  const low = phases.reduce((sum, one) => sum + one.low, 0);
  const wal = walOf(facts, made, low);
  const all = walBytes(wal);
  const seconds = { low: Math.ceil(low), high: Math.ceil(low * BUSIER_FACTOR) };
  const { server, writesPerSecond } = sample;
  const log = Math.ceil((writesPerSecond ?? 0) * seconds.high * LOG_ROW_BYTES);
  const sort = made.largestIndex > buildBytes ? Math.ceil(made.largestIndex * workers) : 0;
  const disk = {
    heap: Math.ceil(made.heap),
    toast: Math.ceil(made.toast),
    indexes: Math.ceil(made.indexes),
    log,
    sort,
    wal: Math.ceil(walKept(server, all)),
  };
  return {
    seconds,
    extraDiskBytes: Object.values(disk).reduce((sum, one) => sum + one, 0),
    walBytes: Math.ceil(all),
    sampled: true,
    rows: Math.round(rows),
    phases,
    disk,
    wal: walParts(wal),
    basis: basisOf(table, sample, rows, log),
  };
}

/**
 * The statistics' count where the table has not grown since; else what the sample found on a block, for all blocks. A
 * table of which every block was read has just that many.
 */
function rowsOf({ table, survey }: ForecastInput, sample: TableSample): number {
  if (sample.blocksRead >= table.blocks) return sample.rows.length;
  const grown = Math.abs(table.blocks - sample.analysedBlocks) / Math.max(1, table.blocks);
  return table.estimatedRows > 0 && grown < 0.02 ? survey.rows : sample.rowsPerBlock * table.blocks;
}

/** WAL that stays on the server's disk: all of it where something keeps it, else what checkpoints leave. */
function walKept(server: TableSample["server"], all: number): number {
  const usual = Math.min(all, server.maxWalBytes);
  if (server.walKeptBy === null) return usual;
  const limit = server.walKeptBy.startsWith("replication slot") ? server.slotLimitBytes : null;
  return Math.max(usual, Math.min(all, limit ?? all));
}

function walParts({ written, images }: Wal): NonNullable<Forecast["wal"]> {
  return {
    rows: Math.ceil(written.heap),
    indexes: Math.ceil(written.indexes),
    freezing: Math.ceil(written.vacuum + written.catalog),
    pageImages: Math.ceil(images),
  };
}

function basisOf(table: TableInfo, sample: TableSample, rows: number, log: number): string {
  const { server, blocksRead, writesPerSecond } = sample;
  const count = (n: number) => Math.round(n).toLocaleString("en-US");
  return [
    `By a sample of ${count(blocksRead)} of ${count(table.blocks)} blocks (${count(sample.rows.length)} rows), for ${count(rows)} rows without the old table's bloat;`,
    "times by how fast this server read, hashed and sorted just now, writing assumed at the rate of a measured server; the high time allows for a busier hour.",
    ...(sample.hashRowUs === null
      ? ["Hashing these rows took longer than is waited for: validation takes what is said, or more."]
      : []),
    server.walKeptBy === null
      ? "WAL on disk is counted up to max_wal_size: nothing was seen that keeps more."
      : `WAL on disk is counted in full: it is kept by ${server.walKeptBy}.`,
    writesPerSecond === null
      ? "Not known, so not in it: what the application writes meanwhile (change log and its own WAL)."
      : `The change log is counted for ${count(Math.ceil(writesPerSecond))} writes a second, the average since statistics were reset (${log === 0 ? "none" : "twice the time"}); the application's own WAL is not in it.`,
    ...(server.walCompression ? ["wal_compression is on: page images will be smaller."] : []),
    "Backup and the retention window come on top; the old table stays on disk until the window ends.",
  ].join(" ");
}

/** The forecast by phase, seconds now and in a busier hour. Of a plan that an older Partway made, by its shares. */
export function phaseForecast({ seconds, phases }: Forecast): ForecastPhase[] {
  if (phases !== undefined) return phases;
  const share = (phase: keyof typeof MEASURED.seconds) => MEASURED.seconds[phase] / MEASURED_SECONDS;
  return (["copy", "index", "validate"] as const satisfies readonly PhaseName[]).map((phase) => ({
    phase,
    low: seconds.low * share(phase),
    high: seconds.high * share(phase),
  }));
}
