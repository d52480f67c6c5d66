/** What a bounded look at a few blocks says of the rows, the indexes and the server (read by checks/sample.ts). */

export interface SampledColumn {
  name: string;
  /** pg_attribute.attlen: bytes of a fixed-length type, -1 for what has a length of its own, -2 for a C string. */
  length: number;
  /** Bytes its type is aligned to: 1, 2, 4 or 8. */
  align: number;
  /** pg_attribute.attstorage: p, m, x or e. */
  storage: string;
  /** pg_stats.n_distinct and null_frac; null where nothing was analysed. */
  distinct: number | null;
  nullFraction: number | null;
}

export interface SampledIndex {
  name: string;
  /** The rows it has entries of, 0 to 1: below 1 for a partial index. */
  share: number;
  /** Average bytes of each expression of its key, in order; null where nothing was analysed. */
  expressionWidths: (number | null)[];
}

/** Settings and state on which disk and WAL depend. */
export interface SampledServer {
  /** A first hint bit after a checkpoint writes the page's image: data_checksums or wal_log_hints is on. */
  logsHints: boolean;
  fullPageWrites: boolean;
  walCompression: boolean;
  maxWalBytes: number;
  checkpointSeconds: number;
  completionTarget: number;
  /** WAL and seconds since the last checkpoint began; null: not known. */
  sinceCheckpoint: { bytes: number; seconds: number } | null;
  maintenanceBytes: number;
  /** Why WAL is kept beyond max_wal_size, in words; null: nothing was seen that keeps it. */
  walKeptBy: string | null;
  /** Of a slot: max_slot_wal_keep_size; null for no limit. */
  slotLimitBytes: number | null;
}

export interface TableSample {
  columns: SampledColumn[];
  /** Bytes of each column as it is stored, in the order of `columns`; null for NULL. */
  rows: (number | null)[][];
  /** Blocks that were read, of how many; visible rows in one on average. */
  blocksRead: number;
  rowsPerBlock: number;
  /** The table's blocks when it was last analysed (pg_class.relpages). */
  analysedBlocks: number;
  indexes: SampledIndex[];
  /** Rows written a second, on average since statistics were reset; null: not known. */
  writesPerSecond: number | null;
  server: SampledServer;
  /** Milliseconds of the server for `PROBE` (checks/sample.ts), which has nothing to do with the table; the middle of five. */
  probeMs: number;
  /** Microseconds to read and hash one of the sampled rows, in memory; null: it took too long, or cannot be done. */
  hashRowUs: number | null;
  /** What it takes at least where it took too long: large values are read and hashed too. */
  leastHashRowUs: number;
  /** Seconds the first reading of a block took longer than the second: what the disk adds; 0: all was in memory. */
  blockSeconds: number;
}

/** Why there is none. */
export interface NoSample {
  why: string;
}
