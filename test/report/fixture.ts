/** A journal as a migration leaves it: killed in the copy, resumed, cut over at the third try, in its window. */

import { parseSettings } from "../../src/config/request.js";
import type { Plan } from "../../src/plan/types.js";
import { type History, readHistory } from "../../src/report/history.js";
import type { RunEventBody } from "../../state/events.js";
import { Journal } from "../../state/journal.js";
import { planOf } from "../plan/fixture.js";

export const ID = "orders_3f9a1c";

/** `10:mm:ss` of the day. */
export const at = (seconds: number): string => new Date(Date.UTC(2026, 2, 15, 10, 0, seconds)).toISOString();

export interface Writer {
  journal: Journal;
  move(seconds: number, from: string, to: string, event: string): void;
  event(seconds: number, body: RunEventBody): void;
}

/** A journal with one migration begun at second 0. */
export function begun(file: string, plan: Plan = planOf()): Writer {
  const journal = Journal.open(file, "write");
  const common = { id: ID, server: "app@db.example.com:5432/shop", table: "public.orders", plan, at: at(0) };
  journal.create({ ...common, settings: parseSettings({}), snapshot: {}, state: "backup" });
  return {
    journal,
    move: (seconds, from, to, event) =>
      journal.transition({ migration: ID, from, to, event, snapshot: {}, outcome: null, at: at(seconds) }),
    event: (seconds, body) => journal.event({ at: at(seconds), migration: ID, ...body }),
  };
}

const started = (intent: string): RunEventBody => ({
  event: "process",
  intent,
  partway: "0.1.0",
  node: "20.20.2",
  postgres: "15.18",
  settings: { workers: 2, backupDir: null },
});

/** The whole course; `text` stands wherever a database or a person can put what they like. */
export function fill({ journal, move, event }: Writer, text = "shop"): void {
  event(1, started("resume"));
  move(1, "halted", "shadow", "RESUME");
  move(2, "shadow", "copy", "DONE");
  journal.measurement(ID, { name: "wal-position", value: 1e9, at: at(2) });
  for (const [batch, rows] of [1000, 1200, 900].entries())
    journal.batch(ID, { generation: 1, batch, rows, ms: 1000, at: at(3 + batch) });
  // Killed at second 5; somebody comes back after an hour.
  event(3605, started("resume"));
  move(3606, "halted", "copy", "RESUME");
  for (const [batch, rows] of [2000, 2100].entries())
    journal.batch(ID, { generation: 1, batch: batch + 3, rows, ms: 1000, at: at(3608 + batch) });
  move(3610, "copy", "index", "DONE");
  journal.measurement(ID, { name: "backlog-forward", value: 40, at: at(3611) });
  journal.measurement(ID, { name: "backlog-forward", value: 12, at: at(3612) });
  move(3613, "index", "validate", "DONE");
  const hashes = { rows: 7200, sourceHash: "42424242", shadowHash: "42424242", ms: 800 };
  journal.validation(ID, { direction: "forward", result: "equal", ...hashes, at: at(3614) });
  event(3614, { event: "validation", result: "equal", excluded: 3, ...hashes });
  const size = { heap: 6e8, toast: 0, indexes: 3e8 };
  const leaf = { leaf: `leaf ${text}`, bytes: 3e8, indexBytes: 1e8 };
  event(3614, { event: "sizes", source: size, partitioned: { ...size, indexes: 3.5e8 }, leaves: [leaf] });
  journal.measurement(ID, { name: "wal-position", value: 3e9, at: at(3614) });
  const query = { event: "query", name: `newest ${text}`, sql: `SELECT '${text}'`, error: null } as const;
  event(3615, { ...query, when: "before", runs: [90, 80], plan: `Seq Scan ${text}`, leavesScanned: null });
  move(3615, "validate", "cutover", "DONE");
  const blocker = { pid: 4711, ageSeconds: 12, query: `SELECT ${text}`, application: text };
  const lock = { event: "lock-try", purpose: "cutover", timeoutMs: 100, waitedMs: 101 } as const;
  event(3616, { ...lock, attempt: 1, outcome: "timeout", blockers: [blocker] });
  event(3617, { ...lock, attempt: 2, outcome: "acquired", blockers: [] });
  const swap = { direction: "forward", tries: 2, waitedMs: 202, heldMs: 61, longestStallMs: 108 } as const;
  journal.cutover(ID, { ...swap, at: at(3618) });
  event(3618, { event: "cutover", ...swap, drainedKeys: 4 });
  const check = { event: "smoke", on: "new", expected: "1 row", ms: 3 } as const;
  event(3619, { ...check, check: "answers", passed: true, found: "1 row" });
  event(3619, { ...check, check: `counts ${text}`, passed: false, found: `0 ${text}` });
  event(3619, {
    event: "smoke-done",
    on: "new",
    total: 2,
    failed: [`counts ${text}`],
    next: `partway rollback ${ID}`,
  });
  event(3620, { ...query, when: "after", runs: [12, 10], plan: `Append ${text}`, leavesScanned: 2 });
  event(3620, { event: "log", level: "warn", message: `a warning ${text}` });
  move(3621, "cutover", "halted", "DONE");
  journal.transition({
    migration: ID,
    from: "halted",
    to: "halted",
    event: "end",
    snapshot: {},
    outcome: "retained",
    at: at(3621),
  });
}

export function historyOf({ journal }: Writer, over: Partial<History> = {}): History {
  const record = journal.migration(ID);
  if (record === null) throw new Error("the fixture has a migration");
  return {
    ...readHistory(journal, record),
    database: { reachable: false, why: "connect ECONNREFUSED 10.0.0.7:5432" },
    sizes: { why: "the server could not be asked" },
    madeAt: at(4000),
    madeBy: "0.1.0",
    next: `partway resume ${ID} --hold, or partway rollback ${ID}`,
    ...over,
  };
}
