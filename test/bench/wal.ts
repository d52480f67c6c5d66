/** What capture through the write-ahead log leaves of the throughput, beside capture by triggers, each with its process. */
import { setTimeout as sleep } from "node:timers/promises";
import { connected, numberOf, withCopy } from "./database.js";
import { rateOf } from "./keyset.js";
import { inFolder, runArgs } from "./partway.js";
import { rotated } from "./saturation.js";
import { median, ratio } from "./stats.js";
import type { Shape } from "./table.js";

const CLIENTS = 4;
const STATES = ["none", "trigger", "wal"] as const;
type State = (typeof STATES)[number];

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
          following(wal, shape, "wal", () => inTurn({ none, trigger, wal }, pairs, seconds, shape.rows)),
        ),
      ),
    ),
  );
}

async function inTurn(
  urls: Record<State, string>,
  pairs: number,
  seconds: number,
  rows: number,
): Promise<Record<string, number>> {
  const rounds: Record<State, number>[] = [];
  let errors = 0;
  for (let pair = 0; pair < pairs; pair++) {
    const round: Record<State, number> = { none: 0, trigger: 0, wal: 0 };
    for (const state of rotated(STATES, pair)) {
      const rate = await rateOf(
        { url: urls[state], perSecond: null, clients: CLIENTS, rows, by: "both" },
        seconds,
      );
      round[state] = rate.perSecond;
      errors += rate.errors;
      await settled(urls[state]);
    }
    rounds.push(round);
  }
  const middle = (of: (one: Record<State, number>) => number | null): number =>
    median(rounds.map(of).filter((value) => value !== null)) ?? 0;
  const values = STATES.flatMap((state) => [
    [state, middle((round) => round[state])],
    [`${state}Kept`, middle((round) => ratio(round[state], round.none))],
  ]);
  return { ...Object.fromEntries(values), errors };
}
