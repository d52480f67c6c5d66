/** What the advisor knows of a database: read by catalog/advice*.ts, judged by the pure files of this folder. */
import type { TableInfo } from "../catalog/types.js";

/** One user table (or partitioned table), its leaves left out. Sizes in bytes, of all its leaves for a partitioned one. */
export interface TableSummary {
  oid: string;
  schema: string;
  name: string;
  /** pg_class.relkind: `r` or `p`. */
  kind: "r" | "p";
  /** reltuples, or n_live_tup where it was never analysed; null: nothing is known. */
  rows: number | null;
  heapBytes: number;
  toastBytes: number;
  indexBytes: number;
  activity: Activity;
}

/** The server's counters since `Measured.countedDays` ago; all 0 where it has counted nothing yet. */
export interface Activity {
  inserts: number;
  updates: number;
  /** Updates that needed no new index entry. */
  hotUpdates: number;
  deletes: number;
  live: number;
  dead: number;
  indexScans: number;
  seqScans: number;
}

/** pg_stats of one column; null where the server knows nothing (never analysed, or not for this role's eyes). */
export interface ColumnStats {
  nullFraction: number | null;
  /** pg_stats.n_distinct: a number of values, or minus their share of the rows. */
  distinct: number | null;
  correlation: number | null;
  /** histogram_bounds of a time or integer column, as the session prints them: as many rows between any two. */
  histogram: string[] | null;
  /** All values, where there are few; null where these are not all. */
  values: string[] | null;
}

/** How far a column's values reach. */
export interface Reach {
  min: string | null;
  max: string | null;
  infinite: boolean;
  /** `index`: looked up now; `statistics`: as of the last ANALYZE. */
  from: "index" | "statistics";
}

/** What pg_stat_statements has of one table: the statements that read, change or delete its rows. */
export interface StatementUse {
  statements: number;
  calls: number;
  /** Mean of all calls, milliseconds. */
  meanMs: number;
  /** Share of the calls of statements that take 200 ms or more on average, 0 to 1. */
  slowShare: number;
  /** Share of the calls whose WHERE names the column, 0 to 1. */
  named: Record<string, number>;
}

/** A table that is large enough to be looked at closely. */
export interface TableFacts {
  summary: TableSummary;
  table: TableInfo;
  columns: Record<string, ColumnStats>;
  /** Of time and integer columns. */
  reach: Record<string, Reach>;
  /** Scans so far by index name. */
  scans: Record<string, number>;
  /** null: pg_stat_statements is not there, or has nothing of this table. */
  use: StatementUse | null;
}

/** The leaves of a partitioned table. */
export interface LeafFacts {
  /** pg_get_partkeydef: `RANGE (created_at)`. */
  key: string;
  leaves: { name: string; bounds: string; bytes: number; rows: number | null }[];
}

/** What holds for all tables. */
export interface Measured {
  /** Database clock, ISO 8601 UTC. */
  now: string;
  /** Days since the counters were last reset; null: the server does not say. */
  countedDays: number | null;
  /** Why there is nothing of pg_stat_statements; null: it is read. */
  noStatements: string | null;
}
