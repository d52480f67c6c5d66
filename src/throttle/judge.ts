/** Pure: is a reading too high? One who holds lets go only well below the limit, so that it does not flutter. */
import type { Signal } from "../../state/events.js";
import { bytes, count, millis, oneLine } from "../../ui/format.js";
import type { Reading, ThrottleSettings } from "./types.js";

/** A signal that holds does so until its reading is below this share of the limit. */
export const RELEASE = 0.8;

/** Signals that are a number with a limit. */
export type Measured = Exclude<Signal, "sql" | "between" | "monitor">;

interface Meaning {
  words: string;
  show(value: number): string;
  limit(settings: ThrottleSettings): number | null;
}

const seconds = (ms: number): string => (ms < 1000 ? millis(ms) : `${Number((ms / 1000).toFixed(1))} s`);

export const MEASURED: Record<Measured, Meaning> = {
  "replica-lag": { words: "replica lag", show: seconds, limit: (s) => s.maxReplicaLagMs },
  "batch-time": { words: "a batch took", show: seconds, limit: (s) => s.maxBatchMs },
  active: { words: "active sessions", show: count, limit: (s) => s.maxActive },
  "xmin-age": {
    words: "oldest snapshot",
    show: (n) => `${count(n)} transactions`,
    limit: (s) => s.maxXminAge,
  },
  "wal-rate": { words: "WAL", show: (n) => `${bytes(n)}/s`, limit: (s) => s.maxWalRate },
  "checkpoint-wal": {
    words: "WAL since the last checkpoint",
    show: (n) => `${count(n)} % of max_wal_size`,
    limit: (s) => s.maxCheckpointWal,
  },
  "slot-wal": {
    words: "the slot's WAL",
    show: (n) => `${count(n)} % of its limit`,
    limit: (s) => s.maxSlotWal,
  },
  canary: { words: "canary", show: millis, limit: (s) => s.maxCanaryMs },
};

/**
 * Why this reading holds, or null when it does not. `wasHeld`: by this signal, at the reading before. What cannot be
 * read holds, and says so.
 */
export function judge(signal: Measured, reading: Reading, limit: number, wasHeld: boolean): string | null {
  const { words, show } = MEASURED[signal];
  if ("unreadable" in reading) return unreadable(words, reading.unreadable);
  const { value, who, isAtLeast } = reading;
  if (value !== null && value < limit && isAtLeast === true)
    return `${words} at least ${show(value)}, not known yet${named(who)}`;
  if (value === null || value < (wasHeld ? limit * RELEASE : limit)) return null;
  const sign = value >= limit ? ">=" : "not yet well below";
  return `${words} ${show(value)} ${sign} ${show(limit)}${named(who)}`;
}

const named = (who: string | undefined): string => (who === undefined ? "" : ` (${oneLine(who)})`);

/** A signal that cannot be read counts as bad. */
export function unreadable(words: string, why: string): string {
  return `${words} cannot be read: ${oneLine(why)}`;
}

/** The answer of the operator's own question: the first column judges, a second one says why. */
export function judgeSql(
  answer: { first: readonly (string | null)[] | null } | { error: string },
): string | null {
  const words = "--throttle-sql";
  if ("error" in answer) return unreadable(words, answer.error);
  if (answer.first === null) return unreadable(words, "it gives no row");
  const [value, why] = answer.first;
  if (value === null || value === undefined) return unreadable(words, "it gives NULL");
  const text = value.trim().toLowerCase();
  if (["f", "false"].includes(text)) return null;
  const number = ["t", "true"].includes(text) ? 1 : text === "" ? Number.NaN : Number(text);
  if (Number.isNaN(number)) return unreadable(words, `"${value}" is neither a boolean nor a number`);
  if (number <= 0) return null;
  return why === null || why === undefined ? `${words} gives ${oneLine(value)}` : `${words}: ${oneLine(why)}`;
}
