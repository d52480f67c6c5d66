/** The contract of a phase: four faces, checked by the compiler with `satisfies Phase`. */
import type { PhaseName, RunEventBody, UndoName } from "../../state/events.js";
import type { Query, SmokeCheck } from "../checks/types.js";
import type { Hook } from "../hooks/names.js";
import type { Lease } from "../pg/lease.js";
import type { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import type { Plan, Statement } from "../plan/types.js";
import type { ThrottleSettings } from "../throttle/types.js";

export interface Settings {
  /** Copy, index and validation connections. */
  workers: number;
  /** Why so many, where Partway chose; null: the operator did. */
  workersWhy: string | null;
  /** Blocks in one copy batch, where they all have the same size. */
  batchBlocks: number;
  /** What a copy batch should take, ms: its size follows. 0: every batch has `batchBlocks`. */
  batchTimeMs: number;
  /** First lock_timeout of a cutover try, and the bound it grows to, ms. */
  lockTimeoutMs: number;
  lockTimeoutMaxMs: number;
  /** Tries before the run gives up (exit code 6). */
  lockTries: number;
  /** Longest time the cutover may hold its locks, ms. */
  holdBudgetMs: number;
  /** Where backups go; null: no backup. */
  backupDir: string | null;
  /** Drop the retired table before its deadline: the operator typed its name. */
  forceDrop: boolean;
  /** Repair what validation finds. */
  repair: boolean;
  /** Commands that are run on events, and the longest time one may take, ms. */
  hooks: readonly Hook[];
  hookTimeoutMs: number;
  /** Run after cutover, in this order. */
  smoke: SmokeCheck[];
  /** What a failed one leads to. */
  smokeFailure: "report" | "rollback";
  /** Measured before and after cutover. */
  queries: Query[];
  /** What a run does when its terminal disappears. */
  onHangup: OnHangup;
  /** Rehearse the application's statements before the cutover: from where, and whether it may be left out. */
  rehearse: { file: string | null; required: boolean } | null;
  /** What holds heavy work back by itself. */
  throttle: ThrottleSettings;
}

export type OnHangup = "stop" | "continue";

/** What a phase may write down; implemented by the journal. Only what a person will want to read afterwards. */
export interface PhaseRecord {
  batch(row: { generation: number; batch: number; rows: number; ms: number }): void;
  indexBuilt(row: { leaf: string; index: string; ms: number }): void;
  validation(row: {
    direction: string;
    result: string;
    rows: number;
    sourceHash: string;
    shadowHash: string;
    ms: number;
  }): void;
  cutover(row: {
    direction: string;
    tries: number;
    waitedMs: number;
    heldMs: number;
    longestStallMs: number;
  }): void;
  measurement(row: { name: string; value: number }): void;
}

export interface PhaseContext {
  plan: Plan;
  settings: Settings;
  target: Target;
  /** Opens a session that is closed when the phase ends, whatever happens. */
  open(): Promise<Session>;
  /** The right to write: every writing transaction begins through it (fencing). */
  lease: Lease;
  record: PhaseRecord;
  emit(event: RunEventBody): void;
  /** Fires when the operator stops the run; a phase leaves at its next safe point by throwing `stopped`. */
  signal: AbortSignal;
  /**
   * Resolves at once, or when the operator continues a paused run; throws when stopped. `workedMs`: what has been done
   * since the last time, for which a throttled run rests now. `until` ends the waiting too, without an error.
   */
  gate(workedMs?: number, until?: AbortSignal): Promise<void>;
  /** The gate before a piece of heavy work (copy, build, comparison, backup): waits for the automatic throttle as well. */
  heavy(workedMs?: number, until?: AbortSignal): Promise<void>;
  /** The gate of an applier that merely follows: the automatic throttle slows it, and never stops it. */
  follower(workedMs?: number, until?: AbortSignal): Promise<void>;
}

export interface Phase {
  name: PhaseName | UndoName;
  /** What it would do: the SQL that `plan` prints and `run` executes. `$1`... stand for values known at run time. */
  sql(plan: Plan): Statement[];
  /** Does it, from wherever an interruption left it: idempotent. */
  run(context: PhaseContext): Promise<void>;
  /** Removes what it made. Idempotent; does nothing when there is nothing. */
  undo(context: PhaseContext): Promise<void>;
}
