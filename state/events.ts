/**
 * The events of a run: one stream, three readers. The journal keeps them, the screen folds them into a view
 * (view.ts), and `--json` prints them as NDJSON. Names and fields are the published interface.
 */
export const PHASES = ["backup", "shadow", "copy", "index", "validate", "cutover", "retain", "drop"] as const;
export type PhaseName = (typeof PHASES)[number];
/** What undoes them: not phases, but shown and journalled like one. */
export type UndoName = "rollback" | "abort";

export type RunEventBody =
  | { event: "phase"; phase: PhaseName | UndoName; status: "started" | "done" | "failed"; ms: number | null }
  | {
      event: "backup";
      method: "pg_dump" | "copy";
      bytes: number;
      rows: number | null;
      path: string;
      done: boolean;
    }
  | {
      event: "copy";
      rowsDone: number;
      rowsEstimated: number;
      batchesDone: number;
      /** By the size of the next one; the same as `batchesDone` when all is copied. */
      batchesTotal: number;
      /** Blocks of the source. Not in what a Partway wrote whose batches had one size. */
      blocksDone?: number;
      blocksTotal?: number;
      /** Blocks of the next batch. */
      batchBlocks?: number;
      /** Over the last ten seconds; null while measuring. */
      rowsPerSecond: number | null;
      secondsLeft: number | null;
      workers: number;
    }
  | { event: "copy-restarted"; reason: string }
  | {
      event: "index";
      built: number;
      total: number;
      current: string[];
      secondsLeft: number | null;
      /** What the phase is doing, in a few words: `building indexes`. */
      step?: string;
    }
  /** What each phase will take by the plan, seconds: on an idle machine and on a busy one. */
  | { event: "forecast"; phases: { phase: PhaseName; low: number; high: number }[] }
  /** The partitions, in the order of the cells of a `map` of leaves. */
  | { event: "leaves"; leaves: LeafFacts[] }
  /** How far the pieces of a phase are, and which of them are worked on. At most one a second. */
  | {
      event: "map";
      phase: "copy" | "index" | "validate";
      /** `blocks`: contiguous parts of the source, in the order of its file. `leaves`: partitions. */
      of: "blocks" | "leaves";
      /** One character a piece: `.` not begun, `0` to `9` so many tenths done, `x` done, `!` differs. */
      cells: string;
      workers: WorkerFacts[];
    }
  /** A comparison under way: pieces of both sides that have been read. */
  | { event: "comparing"; done: number; total: number; rows: number; secondsLeft: number | null }
  /** What the server says of itself, once a second. */
  | {
      event: "sample";
      /** WAL written by the whole server; null while unknown, or where the server does not tell. */
      walBytesPerSecond: number | null;
      walBytes: number | null;
      /** Changes waiting in the log by the server's statistics, not counted; null: no log. */
      logged: number | null;
      /** The slot that changes are read from, with `--capture wal`. */
      slot?: SlotFacts | null;
      /** The canary's times over the last minute, ms: one small statement a second, no writer's own. */
      canary?: { p50: number; p99: number; count: number } | null;
      /** What holds the run now, with the newest readings. */
      held?: HeldFacts[];
    }
  /** A condition of the cutover, looked at before the locks are asked for; `ok` null: not looked at yet. */
  | { event: "check"; name: string; ok: boolean | null }
  | { event: "backlog"; direction: "forward" | "reverse"; keys: number; appliedPerSecond: number | null }
  | {
      event: "validation";
      result: "equal" | "different";
      rows: number;
      excluded: number;
      sourceHash: string;
      shadowHash: string;
      ms: number;
    }
  | {
      event: "difference";
      leaf: string;
      key: string;
      partition: string;
      kind: "missing" | "extra" | "changed";
    }
  | { event: "repaired"; keys: number }
  | { event: "leaf-created"; leaf: string; reason: string }
  | {
      event: "lock-try";
      purpose: string;
      attempt: number;
      outcome: "acquired" | "timeout";
      timeoutMs: number;
      waitedMs: number;
      blockers: Blocker[];
    }
  | {
      event: "cutover";
      direction: "forward" | "reverse";
      tries: number;
      waitedMs: number;
      heldMs: number;
      longestStallMs: number;
      drainedKeys: number;
    }
  | { event: "ready"; message: string }
  | {
      event: "window";
      /** Database time, ISO 8601. */
      deadline: string;
      secondsLeft: number;
      safe: boolean;
      verdict: string;
      keysBehind: number;
      /** Bytes with indexes: the table in use, and the retired one. Left out where they were not read. */
      liveBytes?: number;
      retiredBytes?: number;
    }
  | {
      /** A process has taken the migration up. */
      event: "process";
      intent: string;
      partway: string;
      node: string;
      postgres: string;
      settings: Record<string, string | number | boolean | null>;
    }
  | {
      /** How large things are. Null: not there, or nobody may look. */
      event: "sizes";
      source: TableSize | null;
      partitioned: TableSize | null;
      /** The largest leaves, at most 200. */
      leaves: LeafSize[];
    }
  | {
      /** A configured query under EXPLAIN ANALYZE: before cutover on the source, after it on the new table. */
      event: "query";
      when: "before" | "after";
      name: string;
      sql: string;
      /** Execution time of each run, ms, first one first. Empty: it failed. */
      runs: number[];
      /** As EXPLAIN prints it, of the last run. */
      plan: string | null;
      /** Leaves whose rows were looked at; null: before cutover. */
      leavesScanned: number | null;
      error: string | null;
    }
  | {
      event: "smoke";
      check: string;
      /** Which table had the application's name. */
      on: "old" | "new";
      passed: boolean;
      expected: string;
      found: string;
      ms: number;
    }
  | {
      /** All checks have been run. `next`: the command to type when one failed. */
      event: "smoke-done";
      on: "old" | "new";
      total: number;
      failed: string[];
      next: string | null;
    }
  | { event: "paused" }
  | { event: "continued" }
  /** The share of the time that Partway works, in percent; between its batches it rests for the others. */
  | { event: "throttle"; percent: number }
  /** The automatic throttle holds work back: it waits before its next piece. Told again when other signals hold. */
  | { event: "throttled"; reasons: HeldFacts[] }
  /** Nothing holds any more. `reason`: what did; `ms`: how long. */
  | { event: "released"; reason: string; ms: number }
  /** on: the run rests at ready and does not begin the cutover by itself. */
  | { event: "postponed"; on: boolean }
  | { event: "stopped"; kind: string; what: string; state: string; next: string; exitCode: number }
  | { event: "finished"; outcome: Outcome; message: string }
  | { event: "log"; level: "info" | "warn" | "error"; message: string };

/** What the automatic throttle looks at; `monitor`: it cannot look at all. */
export const SIGNALS = [
  ...(["replica-lag", "batch-time", "active", "wal-rate", "checkpoint-wal", "slot-wal", "xmin-age"] as const),
  ...(["sql", "canary", "between", "monitor"] as const),
] as const;
export type Signal = (typeof SIGNALS)[number];

export interface SlotFacts {
  /** WAL that the server keeps for it, bytes. */
  retainedBytes: number;
  /** max_slot_wal_keep_size, bytes; null: no bound. */
  keptBytes: number | null;
  /** pg_replication_slots.wal_status. */
  status: string;
}

export interface HeldFacts {
  signal: Signal;
  /** `replica lag 7.2 s >= 5 s (standby1)`. */
  reason: string;
}

export interface LeafFacts {
  name: string;
  /** Which rows belong to it, as SQL says it: `FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`. */
  bounds: string;
  /** Rows: compared where `exact`, else estimated; null: unknown. */
  rows: number | null;
  exact: boolean;
}

export interface WorkerFacts {
  /** From 1. */
  worker: number;
  /** The piece it is at, counted from 0; null where it is at none of the map's. */
  cell: number | null;
  what: string;
  /** When it began with that, ISO 8601. */
  since: string;
}

export interface Blocker {
  pid: number;
  /** Seconds its transaction has been open. */
  ageSeconds: number;
  query: string;
  application: string;
}

/** Bytes. */
export interface TableSize {
  heap: number;
  toast: number;
  indexes: number;
}

export interface LeafSize {
  leaf: string;
  bytes: number;
  indexBytes: number;
}

/** How a migration ended, or where it rests when the process exits. */
export type Outcome =
  | "done"
  | "rolled-back"
  | "aborted"
  | "ready-for-cutover"
  | "retained"
  | "stopped"
  | "failed";

export type RunEvent = { at: string; migration: string } & RunEventBody;

/** What an operator can ask of a running migration, from its own screen or from another terminal. */
export type Command =
  | "pause"
  | "continue"
  | "stop"
  | "cutover"
  | "rollback"
  | "postpone"
  /** Takes a postponement back. */
  | "allow"
  | "slower"
  | "faster"
  /** Works so many percent of the time. */
  | `throttle-${number}`;

/** What can be asked at the run's own terminal only: to go on without it. */
export type Wish = Command | "detach";
