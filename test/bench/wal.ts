/** What capture through the write-ahead log leaves of the throughput, beside capture by triggers, each with its process. */
import { setTimeout as sleep } from "node:timers/promises";
import { connected, numberOf, withCopy } from "./database.js";
import { inFolder, runArgs } from "./partway.js";
import { inTurn } from "./saturation.js";
import type { Shape } from "./table.js";

const STATES = ["none", "trigger", "wal"] as const;

/** The change log of the migration in that database, by its name; none: nothing is captured. */
const LOG_SQL =
  "SELECT oid::regclass::text AS log FROM pg_class WHERE relname LIKE 'fwd\\_log\\_%' AND relkind = 'r'";
const BEHIND_SQL = `SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)), 0)
  FROM pg_replication_slots WHERE database = current_database()`;
const FEW_KEYS = 100;
const FEW_BYTES = 16_000_000;
const SETTLE_MS = 120_000;

/** What one measurement leaves to be read and applied would be paid for by the next one. */
async function settled(url: string): Promise<void> {
  await connected(url, async (client) => {
    const [found] = (await client.query<{ log: string }>(LOG_SQL)).rows;
    if (found === undefined) return;
    const until = performance.now() + SETTLE_MS;
    while (performance.now() < until) {
      const keys = await numberOf(client, `SELECT count(*) FROM ${found.log}`);
      if (keys <= FEW_KEYS && (await numberOf(client, BEHIND_SQL)) <= FEW_BYTES) return;
      await sleep(500);
    }
    console.log(`  still behind after ${SETTLE_MS / 1000} s: the next measurement pays for it`);
  });
}

/** `work` while a run of `shape` rests at ready and follows. */
async function following<T>(url: string, shape: Shape, capture: string, work: () => Promise<T>): Promise<T> {
  return inFolder(url, async (folder) => {
    const args = runArgs(shape, "--postpone", "--capture", capture).map((arg) =>
      arg === "--no-hold" ? "--hold" : arg,
    );
    const started = folder.start(args);
    await started.event((line) => line.event === "ready");
    try {
      return await work();
    } finally {
      started.child.kill("SIGTERM");
      await started.ended;
    }
  });
}

/**
 * Three databases alike: no migration, one ready for cutover by triggers and one by the log, each followed by its process.
 * Written to in turn by clients that send their next at once. Gives the middle rates and as `<state>Kept` the middle share.
 */
export async function saturateFollowed(
  superuserUrl: string,
  template: string,
  shape: Shape,
  pairs: number,
  seconds: number,
): Promise<Record<string, number>> {
  const copy = <T>(work: (url: string) => Promise<T>) => withCopy(superuserUrl, template, work);
  return copy((none) =>
    copy((trigger) =>
      copy((wal) =>
        following(trigger, shape, "trigger", () =>
          following(wal, shape, "wal", () =>
            inTurn({ none, trigger, wal }, STATES, {
              by: "both",
              pairs,
              seconds,
              rows: shape.rows,
              settle: settled,
            }),
          ),
        ),
      ),
    ),
  );
}
