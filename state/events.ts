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
      batchesTotal: number;
      /** Over the last ten seconds; null while measuring. */
      rowsPerSecond: number | null;
      secondsLeft: number | null;
      workers: number;
    }
  | { event: "copy-restarted"; reason: string }
  | { event: "index"; built: number; total: number; current: string[]; secondsLeft: number | null }
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
  | { event: "stopped"; kind: string; what: string; state: string; next: string; exitCode: number }
  | { event: "finished"; outcome: Outcome; message: string }
  | { event: "log"; level: "info" | "warn" | "error"; message: string };

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
export type Command = "pause" | "continue" | "stop" | "cutover" | "rollback";
