/**
 * Test-only: numbers everything that changes something, in the target database or in the journal, and kills this
 * process (SIGKILL, really) before or after number N. Off unless PARTWAY_TEST_KILL is set: `before:17`, `after:17`, or
 * `count` to kill nothing; PARTWAY_TEST_KILL_LOG names a file that gets one line a point.
 */
import { appendFileSync } from "node:fs";

const WANTED = /^(before|after):(\d+)$/.exec(process.env["PARTWAY_TEST_KILL"] ?? "");
const LOG = process.env["PARTWAY_TEST_KILL_LOG"];
const ACTIVE = process.env["PARTWAY_TEST_KILL"] !== undefined;

/** Statements that change something, or end the transaction that did. */
const CHANGES =
  /^\s*(INSERT|UPDATE|DELETE|TRUNCATE|CREATE|ALTER|DROP|COMMENT|GRANT|REVOKE|VACUUM|ANALYZE|COMMIT|DO|SELECT (pg_catalog\.)?setval)\b/i;

let points = 0;

export interface KillPoint {
  before(): void;
  after(): void;
}

const NOTHING: KillPoint = { before: () => undefined, after: () => undefined };

/** The next numbered point; `label` says what it is. */
export function killPoint(label: string): KillPoint {
  if (!ACTIVE) return NOTHING;
  points += 1;
  const n = points;
  if (LOG !== undefined) appendFileSync(LOG, `${n} ${label.replace(/\s+/g, " ").slice(0, 160)}\n`);
  const die = (when: string) => {
    if (WANTED?.[1] === when && Number(WANTED[2]) === n) kill();
  };
  return { before: () => die("before"), after: () => die("after") };
}

/** The point of a SQL statement; none for one that changes nothing. */
export function sqlKillPoint(sql: string): KillPoint {
  return ACTIVE && CHANGES.test(sql) ? killPoint(sql) : NOTHING;
}

/** SIGKILL is delivered at once, but not before this function could return: wait for it here. */
function kill(): never {
  process.kill(process.pid, "SIGKILL");
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}
