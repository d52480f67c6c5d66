/** What a migration will do, decided before anything is touched. Pure data: JSON in the journal and in the database. */
import type { TableInfo } from "../catalog/types.js";
import type { Means } from "./means.js";

export type Interval = "hour" | "day" | "week" | "month" | "quarter" | "year";

export type Scheme =
  | { kind: "range-time"; column: string; every: Interval }
  | { kind: "range-int"; column: string; step: string }
  | { kind: "hash"; column: string; modulus: number }
  | { kind: "list"; column: string; values: string[] };

/** What the operator asked for, after zod has read it. */
export interface MigrationRequest {
  /** As typed: `orders`, `public.orders`, `"Conversation Message"`. */
  table: string;
  scheme: Scheme;
  /** Leaves to make beyond the newest row (and beyond now, for time). Ignored by hash and list. */
  ahead: number;
  /** Leaf-name template, e.g. `{table}_{YYYY}_{MM}`. */
  leafTemplate: string;
  /** Retention window, seconds. */
  keepSeconds: number;
  /** Foreign keys of other tables that point here; left out: refuse. */
  incomingFk?: "refuse" | "drop" | "repoint";
  /** Rows with a partition value that no leaf can hold; left out: refuse. */
  nullKeys?: "refuse" | "default-leaf";
  /** Where changes of the source are taken from; left out: triggers. */
  capture?: "trigger" | "wal";
  /** Name of the index to use as key; null: the primary key, else the first UNIQUE NOT NULL index. */
  keyIndex: string | null;
}

/** Bounds as literals ready for FOR VALUES: unquoted text (`2026-01-01 00:00:00+00`, `1000`, `a`). */
export type LeafBounds =
  | { kind: "range"; from: string; to: string }
  | { kind: "hash"; modulus: number; remainder: number }
  | { kind: "list"; value: string }
  /** What no other leaf holds (plan/fallback.ts). */
  | { kind: "default" };

export interface Leaf {
  name: string;
  bounds: LeafBounds;
  /** Estimated rows from a sample; null when unknown. */
  estimatedRows: number | null;
}

export interface Statement {
  sql: string;
  /** Why this statement is there; shown by `plan` as a comment. */
  note?: string;
}

/** One index of the new table: built on every leaf, then attached under the parent's. */
export interface IndexPlan {
  /** Name in the source today; the parent's index carries it after cutover. */
  finalName: string;
  /** Name of the parent's index until cutover. */
  shadowName: string;
  /** Name of the source's index after cutover. */
  retiredName: string;
  unique: boolean;
  /** The one that REPLICA IDENTITY USING INDEX names. */
  isReplicaIdentity?: true;
  /** Is this the index that enforces the pair? (key columns + partition column) */
  isPair: boolean;
  /**
   * `index`: CREATE INDEX name ON leaf <tail>. `constraint`: ALTER TABLE leaf ADD CONSTRAINT name <definition>,
   * whose index has the constraint's name.
   */
  build: { kind: "index"; tail: string } | { kind: "constraint"; definition: string };
  /** Suffix for leaf index names: `<leaf>_<suffix>`, shortened with a hash at 63 bytes. */
  leafSuffix: string;
  comment: string | null;
  /** Comment of the constraint of the same name; the parent's alone has it, as with `comment`. */
  constraintComment?: string;
}

/** Names every phase uses. Unquoted; all in the source's schema unless said. */
export interface Names {
  schema: string;
  source: string;
  /** The partitioned table until cutover. */
  shadow: string;
  /** The old table after cutover. */
  retired: string;
  /** The new table after a rollback. */
  failed: string;
  /** In schema `partway`. */
  forwardLog: string;
  reverseLog: string;
  forwardFunction: string;
  reverseFunction: string;
  /** Trigger names, used on the source (forward) and on the new parent (reverse). */
  forwardTrigger: string;
  reverseTrigger: string;
  forwardTruncateTrigger: string;
  reverseTruncateTrigger: string;
}

export interface SequencePlan {
  column: string;
  kind: "serial" | "identity";
  schema: string;
  /** Name in the source today. */
  name: string;
  /** identity: the shadow's sequence name until cutover, and the retired one's after. Same as name for serial. */
  shadowName: string;
  retiredName: string;
}

export interface Refusal {
  /** Stable identifier, e.g. `unique-without-partition-key`. */
  code: string;
  what: string;
  why: string;
  /** The exact statement or option that mends it. */
  remedy: string;
}

/** Something that will be different for the application afterwards. Never a refusal. */
export interface Consequence {
  code: string;
  what: string;
  advice: string;
}

/** Something that should be looked at before the run begins; it does not hinder it. */
export interface Warning {
  code: string;
  what: string;
  advice: string;
}

export interface ForecastPhase {
  phase: "copy" | "index" | "validate";
  /** Seconds on a server as idle as when it was asked, and on a busier one. */
  low: number;
  high: number;
}

export interface Forecast {
  seconds: { low: number; high: number };
  /** At the peak: before the window ends and the old table is dropped. */
  extraDiskBytes: number;
  walBytes: number;
  /** What it rests on, and what is not in it. */
  basis: string;
  /** From here on left out in plans of an older Partway. By a sample of this table on this server? */
  sampled?: boolean;
  phases?: ForecastPhase[];
  /** Rows it is made for; with a sample alone, as the next two. */
  rows?: number;
  /** `extraDiskBytes` in parts: the new table, the change log, files that builds sort in, and WAL that is kept. */
  disk?: { heap: number; toast: number; indexes: number; log: number; sort: number; wal: number };
  /** `walBytes` in parts; `freezing` has the catalogs, too. */
  wal?: { rows: number; indexes: number; freezing: number; pageImages: number };
}

export interface ColumnRef {
  name: string;
  type: string;
}

export interface Plan {
  version: 1;
  /** e.g. `orders_3f9a1c`; names the migration everywhere. */
  id: string;
  /** Random token by which Partway's own writes are told apart (echo guard). */
  nonce: string;
  request: MigrationRequest;
  source: TableInfo;
  names: Names;
  /** Columns of the old key, in order. */
  key: ColumnRef[];
  keyIndexName: string;
  /** The partition column(s). */
  partitionBy: ColumnRef[];
  leaves: Leaf[];
  indexes: IndexPlan[];
  sequences: SequencePlan[];
  /** Columns written by copy and apply (all but generated ones), in order. */
  writable: string[];
  hasIdentity: boolean;
  /** The statements of the shadow phase in order: parent, owner, grants, comments, leaves. */
  shadowDdl: Statement[];
  refusals: Refusal[];
  consequences: Consequence[];
  /** Left out: none, or planned by an older Partway. */
  warnings?: Warning[];
  /** Connections and what a build may use, as the server was when it was planned. Left out by an older Partway. */
  means?: Means;
  forecast: Forecast;
  fingerprint: Fingerprint;
}

/** Definition of the live side, one line per fact, sorted; compared to find drift. */
export interface Fingerprint {
  lines: string[];
}

/** What capture from the write-ahead log asks of a role. */
export interface WalRights {
  /** May this role make and read replication slots? */
  mayReplicate: boolean;
  /** CREATE on the database, which a publication takes. */
  mayPublish: boolean;
  /** TEMPORARY on the database, which a comparison takes. */
  mayMakeTemporary: boolean;
}

/** What capture from the write-ahead log needs of the server, and has. */
export interface WalFacts extends WalRights {
  /** wal_level. */
  level: string;
  slots: { used: number; most: number };
  /** max_slot_wal_keep_size, bytes; null: no bound. */
  keptBytes: number | null;
}

/** What plan needs to know of the data itself (read by catalog/survey.ts). */
export interface Survey {
  /** Database clock, ISO 8601 UTC. */
  now: string;
  /**
   * Smallest and largest partition value as UTC text, of those that leaves are made for: no infinite ones, and beside a
   * DEFAULT leaf none that no leaf can hold. Null when there are none, and for hash.
   */
  min: string | null;
  max: string | null;
  nullRows: boolean;
  infiniteRows: boolean;
  /** list: distinct values present (at most 1001). */
  distinct: string[];
  /** Sampled partition values (UTC text; infinite ones beside a DEFAULT leaf alone) and the fraction of the table they stand for. */
  sample: { values: string[]; fraction: number };
  /** Only with capture from the write-ahead log: what the server says of it. */
  wal?: WalFacts;
  /** Exact count is not read; this is reltuples or, when never analysed, a count of the sample scaled up. */
  rows: number;
}
