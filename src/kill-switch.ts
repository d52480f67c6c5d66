/**
 * Test-only: numbers everything that changes something, in the target database, in the journal or among the files of
 * a backup, and kills this process (SIGKILL, really) before or after it. Off unless PARTWAY_TEST_KILL is set:
 *
 * - `count`: kills nothing
 * - `before:17`, `after:17`: at number 17
 * - `before:listed`, `after:listed`: at the first point whose kind stands in the file PARTWAY_TEST_KILL_KINDS
 *
 * PARTWAY_TEST_KILL_LOG names a file that gets one line a point.
 */
import { appendFileSync, readFileSync } from "node:fs";

const MODE = process.env["PARTWAY_TEST_KILL"];
const [, WHEN, WHICH] = /^(before|after):(\d+|listed)$/.exec(MODE ?? "") ?? [];
const LOG = process.env["PARTWAY_TEST_KILL_LOG"];
const KINDS = process.env["PARTWAY_TEST_KILL_KINDS"];

let points = 0;
const listed = new Set<string>(
  WHICH === "listed" && KINDS !== undefined ? readFileSync(KINDS, "utf8").split("\n") : [],
);

export interface KillPoint {
  before(): void;
  after(): void;
}

const NOTHING: KillPoint = { before: () => undefined, after: () => undefined };

/** The next numbered point; `label` says what it is. */
export function killPoint(label: string): KillPoint {
  if (MODE === undefined) return NOTHING;
  points += 1;
  const text = label.replace(/\s+/g, " ").trim();
  if (LOG !== undefined) appendFileSync(LOG, `${points} ${text}\n`);
  const hit = WHICH === "listed" ? listed.has(kindOf(text)) : Number(WHICH) === points;
  const die = (when: "before" | "after") => {
    if (!hit || WHEN !== when) return;
    if (LOG !== undefined) appendFileSync(LOG, `killed ${when}: ${text}\n`);
    kill();
  };
  return { before: () => die("before"), after: () => die("after") };
}

/** `work` as a numbered point. */
export async function numbered<T>(label: string, work: () => Promise<T>): Promise<T> {
  const point = killPoint(label);
  point.before();
  const result = await work();
  point.after();
  return result;
}

/** What a point is, whichever leaf, index, batch or migration it is about. */
export function kindOf(label: string): string {
  return label
    .replace(/\s+/g, " ")
    .trim()
    .replace(/\b[0-9a-f]{16,}\b/g, "#")
    .replace(/_[0-9a-f]{6}(?=["_() ;.,']|$)/g, "_#")
    .replace(/\d+/g, "#")
    .replace(/(_[a-z]?#)+/g, "_#");
}

/** What takes locks, settings or marks in a transaction, and what ends one without its changes. */
const HARMLESS =
  /^(BEGIN|START|ROLLBACK|SAVEPOINT|RELEASE|SET|RESET|SHOW|LOCK|PREPARE partway_rehearsal|DEALLOCATE|EXPLAIN(?! ANALY| \(ANALY)|DECLARE partway_changes|FETCH|CLOSE|COPY [\s\S]* TO STDOUT)\b/i;
const READS = /^(SELECT|WITH|TABLE|VALUES)\b/i;
const WRITES_IN_QUERY = /\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+[^\s]+(\s+AS\s+\S+)?\s+SET)\b/i;
/** Functions that do something which outlives the query: sequences, advisory locks, other backends. */
const ACTS =
  /\b(nextval|setval|pg_(try_)?advisory\w*|pg_terminate_backend|pg_cancel_backend|pg_notify|lo_\w+|pg_create_logical_replication_slot|pg_drop_replication_slot|pg_replication_slot_advance|dblink\w*|(un)?schedule\w*)\s*\(/i;

/** Whether a statement (or several in one string) changes something. What is not known to be harmless does. */
export function changes(sql: string): boolean {
  const text = sql.trim();
  if (/;\s*\S/.test(text)) return text.split(";").some((one) => one.trim() !== "" && changes(one));
  if (HARMLESS.test(text)) return false;
  return !READS.test(text) || WRITES_IN_QUERY.test(text) || ACTS.test(text);
}

/** The points of one connection: each statement that changes something, and the COMMIT of what was changed. */
export class SqlPoints {
  #inTransaction: string[] = [];

  /** The point of a statement; none for one that changes nothing. Words among `params` are part of what it is. */
  of(sql: string, params: readonly unknown[]): KillPoint {
    if (MODE === undefined) return NOTHING;
    const text = sql.replace(/\s+/g, " ").trim();
    if (/^(BEGIN|ROLLBACK$)/i.test(text)) this.#inTransaction = [];
    if (/^COMMIT\b/i.test(text)) return this.#commit();
    if (!changes(text)) return NOTHING;
    const words = params.filter((param) => typeof param === "string" && /^[a-z-]{3,20}$/.test(param));
    const label = words.length === 0 ? text : `${text} (${words.join(", ")})`;
    this.#inTransaction.push(label);
    return killPoint(label);
  }

  /** A transaction that changed nothing has nothing to commit. */
  #commit(): KillPoint {
    const [first, ...more] = this.#inTransaction;
    this.#inTransaction = [];
    if (first === undefined) return NOTHING;
    const last = more.at(-1);
    return killPoint(`COMMIT of: ${last === undefined ? first : `${first} ... ${last}`}`);
  }
}

/** SIGKILL is delivered at once, but not before this function could return: wait for it here. */
function kill(): never {
  process.kill(process.pid, "SIGKILL");
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}
