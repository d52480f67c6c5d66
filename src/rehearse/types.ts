/** What a rehearsal finds: plain data for the screen, `--json` and the journal. */

/** A statement of the application. */
export interface WorkloadStatement {
  text: string;
  /** How often it has run, and its mean time, by pg_stat_statements; null from a file. */
  calls: number | null;
  meanMs: number | null;
}

/**
 * `worse` and `breaks` hold up the cutover until somebody accepts them. `unknown`: could not be planned on the source
 * either, so nothing can be said.
 */
export type Verdict = "fine" | "worse" | "breaks" | "unknown";

export interface Rehearsed extends WorkloadStatement {
  /** From 1; what `--accept` takes. */
  n: number;
  verdict: Verdict;
  /** What is the matter, one sentence each; empty when fine. */
  reasons: string[];
  /** What to write instead. */
  advice: string[];
  /** Leaves of the new table that one execution reads, with values from the middle of the statistics. */
  leaves: { scanned: number; total: number; prepared: number | null } | null;
  /** The planner's total cost on the source and on the new table. */
  cost: { before: number; after: number; ratio: number } | null;
  /** Indexes the plan used on the source; those of them that no leaf's plan uses any more. */
  indexes: { before: string[]; lost: string[] };
  /** Only with --analyze: measured, milliseconds. */
  measured: { beforeMs: number; afterMs: number } | null;
}

export interface Rehearsal {
  migration: string;
  table: string;
  /** `pg_stat_statements` or the file. */
  from: string;
  statements: Rehearsed[];
  /** What the rehearsal could not see, one sentence each. */
  limits: string[];
}
