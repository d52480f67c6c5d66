/**
 * One client: transactions of every kind on keys of its own, retried as an application retries them. An unknown
 * outcome (connection lost at COMMIT) is resolved by asking the table once the lost backend has ended.
 */
import { setTimeout as delay } from "node:timers/promises";
import { AppConnection, type AppRow, connectionGone } from "../../../src/demo/application.js";
import { Random } from "../../../src/demo/random.js";
import { messageOf } from "../../../src/errors.js";
import { SQLSTATE, sqlState } from "../../../src/pg/sqlstate.js";
import { type Hand, StaleSnapshot } from "./hand.js";
import { type Isolation, weighted } from "./mix.js";
import { removeBulk } from "./operations.js";
import { Change, OwnRows, type Void } from "./rows.js";
import type { WritersWorld } from "./world.js";

const ATTEMPTS = 10;
const RETRIED: readonly string[] = [
  SQLSTATE.serializationFailure,
  SQLSTATE.deadlockDetected,
  SQLSTATE.lockNotAvailable,
];
const LONG_MS = 1_200;

type Outcome =
  | "commit"
  | "rollback"
  | "savepoint-kept"
  | "savepoint-rolled-back"
  | "savepoint-failed"
  | "autocommit";

const OUTCOMES: readonly (readonly [Outcome, number])[] = [
  ["autocommit", 45],
  ["commit", 32],
  ["rollback", 7],
  ["savepoint-kept", 5],
  ["savepoint-rolled-back", 7],
  ["savepoint-failed", 4],
];

export class WritersClient {
  readonly own = new OwnRows();
  readonly #world: WritersWorld;
  readonly #number: number;
  readonly #db: AppConnection;
  readonly #random: Random;
  readonly #operations: readonly (readonly [(hand: Hand) => Promise<void>, number])[];
  #keys = 0;
  #marks = 0;

  constructor(world: WritersWorld, number: number) {
    this.#world = world;
    this.#number = number;
    const { url, seed, mix } = world.options;
    this.#random = new Random(seed * 1_000 + number);
    this.#operations = weighted(mix);
    // Every other client uses named prepared statements: they must survive the swap too (DESIGN 3.6).
    this.#db = new AppConnection(url, world.watch, number % 2 === 0);
  }

  connect(): Promise<void> {
    return this.#db.connect();
  }

  end(): Promise<void> {
    return this.#db.end();
  }

  async run(): Promise<void> {
    const world = this.#world;
    try {
      while (!world.stopping) {
        await world.gate.pass();
        if (world.stopping) break;
        await this.#transaction();
        if (world.paceMs > 0) await delay(world.paceMs);
      }
    } catch (error) {
      world.failed("CLIENT", `client ${this.#number} gave up: ${messageOf(error)}`);
    } finally {
      world.gate.leave();
      await this.#db.end();
    }
  }

  /** One transaction, retried as an application would. Throws only when the server stays away for a minute. */
  async #transaction(): Promise<void> {
    const chosen = this.#random.weighted(OUTCOMES);
    // Where TRUNCATE may happen every transaction asks for it first, so none is a single statement.
    const outcome = chosen === "autocommit" && this.#world.table.truncates ? "commit" : chosen;
    const isolation =
      outcome === "autocommit" ? "READ COMMITTED" : this.#random.weighted(this.#world.options.mix.isolation);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const change = new Change();
      const at = { unknown: outcome === "autocommit" };
      try {
        return await this.#attempt(outcome, isolation, change, at);
      } catch (error) {
        const lost = await this.#afterError(error, outcome, change, at.unknown);
        // Not sent again after a loss: it may have been done.
        if (lost) return this.#world.retried("CONNECTION");
        if (error instanceof StaleSnapshot) await this.#lookAgain(error);
        else {
          const code = sqlState(error) ?? "CLIENT";
          if (!RETRIED.includes(code)) return this.#world.failed(code, messageOf(error));
          this.#world.retried(code);
        }
      }
    }
    this.#world.count("given up");
  }

  /** Leaves the connection usable and the ledger exact; true when the connection had been lost. */
  async #afterError(error: unknown, outcome: Outcome, change: Change, unknown: boolean): Promise<boolean> {
    if (connectionGone(error)) {
      await this.#recover(change, unknown);
      return true;
    }
    if (outcome === "autocommit") return false;
    try {
      await this.#rollback();
      return false;
    } catch (rollbackError) {
      if (!connectionGone(rollbackError)) throw rollbackError;
      await this.#recover(change, false);
      return true;
    }
  }

  async #attempt(
    outcome: Outcome,
    isolation: Isolation,
    change: Change,
    at: { unknown: boolean },
  ): Promise<void> {
    const hand = this.#hand(change, isolation, outcome === "autocommit");
    if (outcome === "autocommit") return this.#operation(hand);
    await this.#begin(isolation);
    await this.#several(hand);
    if (outcome !== "commit" && outcome !== "rollback") {
      const saved = change.save();
      await this.#db.control("SAVEPOINT here");
      await this.#several(hand);
      if (outcome === "savepoint-failed") await this.#fail();
      if (outcome === "savepoint-kept") await this.#db.control("RELEASE SAVEPOINT here");
      else {
        await this.#db.control("ROLLBACK TO SAVEPOINT here");
        change.restore(saved);
      }
      await this.#several(hand);
    }
    if (this.#random.chance(this.#world.options.mix.longTransactions))
      await delay(this.#random.below(LONG_MS));
    if (outcome === "rollback") return this.#rollback();
    at.unknown = true;
    await this.#db.control("COMMIT");
    this.#publish(change);
  }

  /**
   * Begins a transaction. Where TRUNCATE may happen: takes the table's lock, which takes no snapshot, then asks which
   * truncations there were; from here to the end there can be no other, in any isolation level.
   */
  async #begin(isolation: Isolation): Promise<readonly Void[]> {
    const { table } = this.#world;
    await this.#db.control(isolation === "READ COMMITTED" ? "BEGIN" : `BEGIN ISOLATION LEVEL ${isolation}`);
    if (!table.truncates) return [];
    await this.#db.control(`LOCK TABLE ${table.sql} IN ROW EXCLUSIVE MODE`);
    const sql = `SELECT n::text AS n, to_json(keys)::text AS keys FROM ${table.gen} WHERE n > $1::int ORDER BY n`;
    const { rows } = await this.#db.query("gen", sql, [this.own.generation]);
    const voids = rows.map(voidOf);
    this.own.apply(voids);
    return voids;
  }

  async #several(hand: Hand): Promise<void> {
    const many = 1 + this.#random.below(4);
    for (let n = 0; n < many; n++) await this.#operation(hand);
  }

  #operation(hand: Hand): Promise<void> {
    const { maxRows, clients } = this.#world.options;
    const full = this.own.rows.size > maxRows / clients && this.#random.chance(0.5);
    return full ? removeBulk(hand) : this.#random.weighted(this.#operations)(hand);
  }

  /** A statement that fails inside a savepoint. */
  async #fail(): Promise<void> {
    try {
      await this.#db.control("SELECT 1 / 0");
    } catch (error) {
      if (sqlState(error) !== "22012") throw error;
    }
  }

  async #rollback(): Promise<void> {
    this.#world.count("rolled back");
    await this.#db.control("ROLLBACK");
  }

  /** What the change made is committed: into the ledger with it. */
  #publish(change: Change): void {
    this.#world.commits++;
    for (const [key, image] of change.rows) this.own.set(key, image);
    change.rows.clear();
  }

  /** After UPDATE 0 rows in an old snapshot: with a fresh one the rows must be as the ledger says, else it is a fault. */
  async #lookAgain(stale: StaleSnapshot): Promise<void> {
    this.#world.count("stale snapshot");
    try {
      await this.#begin("READ COMMITTED");
      const found = await this.#ask(stale.keys, null);
      await this.#db.control("COMMIT");
      for (const [key, image] of found)
        if (image !== this.own.get(key))
          this.#world.failed("LEDGER", `${stale.message}; looked at again: ${image ?? "no row"}`);
    } catch (error) {
      if (!connectionGone(error)) throw error;
      await this.#recover(new Change(), false);
    }
  }

  /** Connects again; when the outcome of `change` is unknown, the table is asked which of the two it was. */
  async #recover(change: Change, unknown: boolean): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#db.reconnect();
        if (unknown) await this.#resolve(change);
        return;
      } catch (error) {
        // Lost again while asking (a server that restarts twice): ask again.
        if (connectionGone(error) && tries < ATTEMPTS) continue;
        const keys = [...change.rows.keys(), ...change.intended].join(", ");
        if (unknown)
          this.#world.failed("LEDGER", `client ${this.#number} could not learn what became of keys ${keys}`);
        throw error;
      }
    }
  }

  async #resolve(change: Change): Promise<void> {
    const { mark } = change;
    const voids = await this.#begin("READ COMMITTED");
    const gone = new Set(voids.flatMap(({ keys }) => keys ?? []));
    // Truncated since: whether it was committed or not, those rows are void now.
    if (voids.some(({ keys }) => keys === null)) change.rows.clear();
    for (const key of gone) change.rows.delete(key);
    const asked = [...new Set([...change.rows.keys(), ...change.intended])];
    const now = asked.length === 0 && mark === null ? new Map() : await this.#ask(asked, mark);
    await this.#db.control("COMMIT");
    const notAfter = [...change.rows].filter(([key, image]) => now.get(key) !== image);
    const notBefore = [...change.rows].filter(([key]) => now.get(key) !== this.own.get(key));
    if (notAfter.length > 0 && notBefore.length > 0)
      this.#world.failed("LEDGER", `a transaction was half committed: keys ${asked.join(", ")}`);
    this.#world.count("outcome asked for");
    const changed = [...now].filter(([key, image]) => this.own.get(key) !== image);
    change.restore(new Map(changed));
    if (changed.length > 0) this.#publish(change);
  }

  /** The committed rows of `keys`, and those an INSERT with this mark made. */
  async #ask(keys: readonly string[], mark: string | null): Promise<Map<string, string | null>> {
    const { table } = this.#world;
    const sql = `SELECT ${table.key} AS key, ${table.image} AS image FROM ${table.sql} AS t
      WHERE ${table.key} = ANY ($1::text[]) OR t.mark = $2::text`;
    const { rows } = await this.#db.query("ask", sql, [keys, mark]);
    const found = new Map<string, string | null>(keys.map((key) => [key, null]));
    for (const row of rows) found.set(row.key ?? "", row.image ?? null);
    return found;
  }

  #hand(change: Change, isolation: Isolation, autocommit: boolean): Hand {
    const { options, table } = this.#world;
    return {
      ...{ db: this.#db, table, own: this.own, change, random: this.#random },
      ...{ oneSnapshot: isolation !== "READ COMMITTED", inBlock: !autocommit },
      ...{ longShare: options.mix.longShare, bulk: options.bulk },
      newKey: () =>
        table.shape.make(options.rows + ++this.#keys * options.clients + this.#number, this.#random),
      nextMark: () => `${options.seed}/${this.#number}/${++this.#marks}`,
      fault: (message) => this.#world.failed("LEDGER", message),
      count: (what) => this.#world.count(what),
      done: () => {
        if (autocommit) this.#publish(change);
      },
    };
  }
}

/** A row of the table of truncations. */
export function voidOf(row: AppRow): Void {
  const keys: unknown = JSON.parse(row.keys ?? "null");
  return { n: Number(row.n), keys: Array.isArray(keys) ? keys.map(String) : null };
}
