/** What the writers' backends were waiting for, looked at often: the cause of a late answer can be read from it. */
import { setTimeout as sleep } from "node:timers/promises";
import { connected, numberOf } from "./database.js";
import type { Span } from "./latency.js";

/** The view itself takes a millisecond or two of a processor. */
const EVERY_MS = 50;

/**
 * `wal`: until its commit is on the disk, or another one's that it goes with. `io`: any other read or write. `lock`: a
 * table or a row somebody else has. `lwlock`: the server's own short locks. `other`: the rest. `none`: at work or in the
 * queue for a processor. `idle`: no statement.
 */
export const WAITS = ["wal", "io", "lock", "lwlock", "other", "none", "idle"] as const;
export type Wait = (typeof WAITS)[number];

export interface Look {
  /** Epoch ms. */
  at: number;
  /** Backends. */
  counts: Partial<Record<Wait, number>>;
}

/** Of a row of pg_stat_activity. Since 17 events are written otherwise: WalSync for WALSync. */
export function waitOf(state: string | null, type: string | null, event: string | null): Wait {
  if (state !== "active") return "idle";
  if (type === null) return "none";
  if ((type === "IO" || type === "LWLock") && /^wal_?(sync|write|insert)/i.test(event ?? "")) return "wal";
  if (type === "IO") return "io";
  if (type === "Lock") return "lock";
  return type === "LWLock" ? "lwlock" : "other";
}

/** Looks until `stop`, which gives what was seen. */
export function watchWaits(url: string): { stop(): Promise<Look[]> } {
  const over = new AbortController();
  const looking = connected(url, async (client) => {
    const looks: Look[] = [];
    while (!over.signal.aborted) {
      const { rows } = await client.query<{ state: string; type: string; event: string; n: string }>(
        `SELECT state, wait_event_type AS type, wait_event AS event, count(*)::text AS n
           FROM pg_stat_activity WHERE application_name = 'bench-writer' GROUP BY 1, 2, 3`,
      );
      const counts: Look["counts"] = {};
      for (const { state, type, event, n } of rows) {
        const wait = waitOf(state, type, event);
        counts[wait] = (counts[wait] ?? 0) + Number(n);
      }
      looks.push({ at: Date.now(), counts });
      await sleep(EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined);
    }
    return looks;
  });
  // Told by stop(); until somebody calls it a lost connection must not end the bench.
  looking.catch(() => undefined);
  return {
    stop: () => {
      over.abort();
      return looking;
    },
  };
}

/** How often a backend was seen in each wait within the span. */
export function waitsIn(looks: readonly Look[], { from, to }: Omit<Span, "name">): Record<Wait, number> {
  const sums: Record<Wait, number> = { wal: 0, io: 0, lock: 0, lwlock: 0, other: 0, none: 0, idle: 0 };
  for (const { at, counts } of looks)
    if (at >= from && at < to) for (const wait of WAITS) sums[wait] += counts[wait] ?? 0;
  return sums;
}

/** A wait shorter than this may not be seen, and each is seen up to so much too short: a verdict on it is strict. */
const LOCK_EVERY_MS = 5;

/**
 * The longest that Partway has been seen waiting for a strong lock until `stop`, ms. The time its own lines tell has the
 * drain before the lock in it, in which nobody waits.
 */
export function watchStrongLocks(url: string): { stop(): Promise<number> } {
  const over = new AbortController();
  const looking = connected(url, async (client) => {
    let longest = 0;
    while (!over.signal.aborted) {
      const ms = await numberOf(
        client,
        `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart) * 1000), 0)
           FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
          WHERE NOT l.granted AND l.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock')
            AND a.application_name LIKE 'partway%'`,
      );
      longest = Math.max(longest, ms);
      await sleep(LOCK_EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined);
    }
    return longest;
  });
  looking.catch(() => undefined);
  return {
    stop: () => {
      over.abort();
      return looking;
    },
  };
}
