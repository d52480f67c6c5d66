/** What the automatic throttle looks at, and what an operator may have asked of it. */
import type { Signal } from "../../state/events.js";

/** Limits; null: that signal is not looked at. Stored with the migration, so that a resume keeps them. */
export interface ThrottleSettings {
  /** Of any replica, ms. */
  maxReplicaLagMs: number | null;
  /** Whether the operator named that limit: what was asked for must be readable, the default protects where it is. */
  isReplicaLagAsked: boolean;
  /** Other sessions that run a statement. */
  maxActive: number | null;
  /** The longest a copy batch may take, ms. */
  maxBatchMs: number | null;
  /** Transactions since the oldest snapshot that VACUUM has to respect. */
  maxXminAge: number | null;
  /** Bytes of WAL a second, over the last ten seconds, by the whole server. */
  maxWalRate: number | null;
  /** WAL since the last complete checkpoint, in percent of max_wal_size. */
  maxCheckpointWal: number | null;
  /** WAL that the migration's slot keeps (`--capture wal`), in percent of max_slot_wal_keep_size. */
  maxSlotWal: number | null;
  /** The operator's own question: true or a number above 0 holds. */
  sql: string | null;
  /** The operator's own canary; null: a look-up in the source by its key. */
  canarySql: string | null;
  maxCanaryMs: number | null;
  between: Hours | null;
}

/** Hours of the day, in minutes from midnight; `to` before `from`: over midnight. */
export interface Hours {
  from: number;
  to: number;
  zone: string;
}

/** A signal that holds, and why, as an operator reads it: `replica lag 7.2 s >= 5 s (standby1)`. */
export interface Held {
  signal: Signal;
  reason: string;
}

/** One look at a signal: its value (null: there is nothing to measure, which is good), or why it cannot be read. `isAtLeast`: it may be much more. */
export type Reading = { value: number | null; who?: string; isAtLeast?: boolean } | { unreadable: string };
