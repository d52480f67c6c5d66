/** One client of the writer: transactions of every kind, retried as an application retries them. */
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.js";
import { qualified } from "../pg/quote.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { AppConnection, connectionGone } from "./application.js";
import { Change, OwnKeys } from "./change.js";
import { type Hand, OPERATIONS } from "./operations.js";
import { IMAGE, type TableName } from "./orders.js";
import { Random } from "./random.js";
import type { World } from "./world.js";

export interface WriterOptions {
  /** A PostgreSQL URL; the application's role must own or be granted the table. */
  url: string;
  table: TableName;
  clients: number;
  /** For all clients together; 0: as fast as they can. */
  statementsPerSecond: number;
  seed: number;
  /** Longest pause between the statements of one transaction, in ms; 0 (default): none. Makes long transactions. */
  thinkMs?: number;
}

const ATTEMPTS = 5;
const RETRIED: readonly string[] = [
  SQLSTATE.serializationFailure,
  SQLSTATE.deadlockDetected,
  SQLSTATE.lockNotAvailable,
];

type Outcome = "commit" | "rollback" | "savepoint-kept" | "savepoint-rolled-back" | "autocommit";

export class WriterClient {
  readonly #world: World;
  readonly #db: AppConnection;
  readonly #random: Random;
  readonly #keys: OwnKeys;
  readonly #options: WriterOptions;
  readonly #number: number;
  #marks = 0;

  constructor(world: World, options: WriterOptions, number: number) {
    this.#world = world;
    this.#options = options;
    this.#number = number;
    this.#random = new Random(options.seed * 1_000 + number);
    this.#keys = new OwnKeys(world.ledger, this.#random, number, options.clients);
    // Every other client uses named prepared statements: they must survive the swap too (DESIGN 3.6).
    this.#db = new AppConnection(options.url, world.watch, number % 2 === 0);
  }

  connect(): Promise<void> {
    return this.#db.connect();
  }

  end(): Promise<void> {
    return this.#db.end();
  }

  async run(): Promise<void> {
    const { statementsPerSecond, clients } = this.#options;
    const msPerStatement = statementsPerSecond > 0 ? (1_000 * clients) / statementsPerSecond : 0;
    let due = performance.now();
    try {
      while (!this.#world.stopping) {
        await this.#world.gate.pass();
        if (this.#world.stopping) break;
        const before = this.#db.sent;
        await this.#transaction();
        // After a stall an application does not make up for lost time, beyond what queued up in a second.
        due = Math.max(due + msPerStatement * (this.#db.sent - before), performance.now() - 1_000);
        if (due > performance.now()) await delay(due - performance.now());
      }
    } catch (error) {
      this.#world.failed("CLIENT", `client ${this.#number} gave up: ${messageOf(error)}`);
    } finally {
      this.#world.gate.leave();
      await this.#db.end();
    }
  }

  /** One transaction, retried as an application would. Throws only when the server stays away for a minute. */
  async #transaction(): Promise<void> {
    const outcome = this.#random.weighted<Outcome>([
      ["autocommit", 60],
      ["commit", 22],
      ["rollback", 7],
      ["savepoint-kept", 4],
      ["savepoint-rolled-back", 7],
    ]);
    for (let attempt = 1; ; attempt++) {
      const change = new Change();
      const at = { unknown: outcome === "autocommit" };
      try {
        return await this.#attempt(outcome, change, at);
      } catch (error) {
        const code = sqlState(error) ?? (connectionGone(error) ? "CONNECTION" : "CLIENT");
        const lost = await this.#afterError(error, outcome, change, at.unknown);
        if (!lost && (!RETRIED.includes(code) || attempt >= ATTEMPTS))
          return this.#world.failed(code, messageOf(error));
        this.#world.retries[code] = (this.#world.retries[code] ?? 0) + 1;
        // Not sent again after a loss: it may have been done.
        if (lost) return;
      }
    }
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

  async #attempt(outcome: Outcome, change: Change, at: { unknown: boolean }): Promise<void> {
    const hand = this.#hand(change, outcome === "autocommit");
    if (outcome === "autocommit") return this.#operation(hand);
    await this.#db.control("BEGIN");
    await this.#operations(hand);
    if (outcome === "savepoint-kept" || outcome === "savepoint-rolled-back") {
      const saved = change.save();
      await this.#db.control("SAVEPOINT here");
      await this.#operations(hand);
      if (outcome === "savepoint-rolled-back") {
        await this.#db.control("ROLLBACK TO SAVEPOINT here");
        change.restore(saved);
      } else await this.#db.control("RELEASE SAVEPOINT here");
      await this.#operations(hand);
    }
    if (outcome === "rollback") return this.#rollback();
    at.unknown = true;
    await this.#db.control("COMMIT");
    this.#publish(change);
  }

  async #operations(hand: Hand): Promise<void> {
    const many = 1 + this.#random.below(4);
    const { thinkMs = 0 } = this.#options;
    for (let n = 0; n < many; n++) {
      await this.#operation(hand);
      if (thinkMs > 0) await delay(this.#random.below(thinkMs + 1));
    }
  }

  #operation(hand: Hand): Promise<void> {
    return this.#random.weighted<(hand: Hand) => Promise<void>>(OPERATIONS)(hand);
  }

  async #rollback(): Promise<void> {
    this.#world.rollbacks++;
    await this.#db.control("ROLLBACK");
  }

  /** What the change made is committed: into the ledger with it. */
  #publish(change: Change): void {
    this.#world.commits++;
    for (const [key, image] of change.rows) {
      this.#keys.committed(key, image, this.#world.ledger.get(key));
      this.#world.ledger.set(key, image);
    }
    change.rows.clear();
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
          this.#world.failed("LEDGER", `client ${this.#number} could not learn what became of ids ${keys}`);
        throw error;
      }
    }
  }

  async #resolve(change: Change): Promise<void> {
    // Of a statement whose answer never came the new row is unknown, so for its keys any row found is taken as its work.
    const asked = [...new Set([...change.rows.keys(), ...change.intended])];
    if (asked.length === 0 && change.mark === null) return;
    const now = await this.#ask(asked, change.mark);
    const { ledger } = this.#world;
    const before = (key: number) => ledger.get(key) ?? null;
    const notAfter = [...change.rows].filter(([key, image]) => now.get(key) !== image);
    const notBefore = [...change.rows].filter(([key]) => now.get(key) !== before(key));
    if (notAfter.length > 0 && notBefore.length > 0)
      this.#world.failed("LEDGER", `a transaction was half committed: ids ${asked.join(", ")}`);
    const changed = [...now].filter(([key, image]) => ledger.get(key) !== image);
    change.restore(new Map(changed));
    if (changed.some(([key, image]) => before(key) !== image)) this.#publish(change);
  }

  /** The committed rows of `keys`, and those an INSERT with this mark made. */
  async #ask(keys: readonly number[], mark: string | null): Promise<Map<number, string | null>> {
    const { schema, name } = this.#options.table;
    const select = `SELECT t.id::text AS id, ${IMAGE} AS image FROM ${qualified(schema, name)} AS t`;
    const { rows } = await this.#db.query("resolve", `${select} WHERE t.id = ANY ($1::bigint[])`, [
      keys.map(String),
    ]);
    const found = new Map<number, string | null>(keys.map((key) => [key, null]));
    for (const row of rows) found.set(Number(row.id), row.image ?? null);
    if (mark === null) return found;
    const marked = await this.#db.query(
      "resolve-insert",
      `${select} WHERE t.id > $1::bigint AND t.payload @> jsonb_build_object('mark', $2::text)`,
      [this.#world.ledger.maxInitial, mark],
    );
    for (const row of marked.rows) found.set(Number(row.id), row.image ?? null);
    return found;
  }

  #hand(change: Change, autocommit: boolean): Hand {
    return {
      db: this.#db,
      ledger: this.#world.ledger,
      keys: this.#keys,
      random: this.#random,
      table: this.#options.table,
      window: this.#world.window,
      change,
      nextMark: () => `${this.#options.seed}/${this.#number}/${++this.#marks}`,
      fault: (message) => this.#world.failed("LEDGER", message),
      done: () => {
        if (autocommit) this.#publish(change);
      },
    };
  }
}
