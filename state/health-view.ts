/** What the health screen is drawn from: plain data of one look at the tables. */
import { createStore, type Store } from "./store.js";

export type HealthLevel = "HEALTHY" | "CLEANUP_NEEDED" | "NO_PARTITIONS" | "WARNING" | "CRITICAL";

export interface HealthFindingView {
  level: HealthLevel;
  what: string;
  /** What to type. */
  next: string;
}

/** One line of a table's tree: a leaf, or where one is missing. */
export type BranchView =
  | { kind: "leaf"; name: string; bound: string; rows: number; bytes: number; note: string; isNow: boolean }
  | { kind: "gap"; from: string; to: string };

export interface TableHealthView {
  /** `schema.name`. */
  table: string;
  status: HealthLevel;
  leaves: number;
  rows: number;
  bytes: number;
  /** How it is cut, for people: `by month on created_at`. */
  cut: string;
  /** From here on there is no leaf; `now`, or null where none can be missing. */
  missingFrom: string | null;
  biggest: { name: string; bytes: number } | null;
  gaps: number;
  lastMaintenance: string | null;
  findings: HealthFindingView[];
  tree: BranchView[];
}

export interface HealthView {
  /** ISO 8601; null: not looked yet. */
  at: string | null;
  /** `user@host:port/database`. */
  server: string;
  tables: TableHealthView[];
  /** Why the last look failed; null: it did not. */
  trouble: string | null;
}

export type HealthSource = Pick<Store<HealthView>, "current" | "subscribe">;

/** Holds the newest view and tells of every change. */
export function createHealthStore(server: string): Store<HealthView> {
  return createStore<HealthView>({ at: null, server, tables: [], trouble: null });
}
