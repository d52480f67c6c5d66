/**
 * Clients that work without a pause while the table is migrated under them. Each writes rows of its own and knows what
 * must be there after every statement, so that a lost write, a stale read or a wrong row count is seen at once.
 */
import { messageOf } from "../../src/errors.js";
import type { Driver, Row } from "./drivers/driver.js";

/** The days of 2025, one after the other and over again: every leaf gets rows. */
const day = (n: number) =>
  new Date(Date.UTC(2025, 0, 1 + ((n * 37) % 365), 12, 0, 0, n % 1000)).toISOString();

export class Worker {
  readonly name: string;
  readonly driver: Driver;
  /** What the table must hold of this client while it rests: id -> row. */
  readonly ledger = new Map<string, Row>();
  /** Why it gave up, else null. */
  failure: string | null = null;
  rounds = 0;

  constructor(name: string, driver: Driver) {
    this.name = name;
    this.driver = driver;
  }

  /** Inserts, reads back, and by turns changes, moves to another leaf and deletes. */
  async round(): Promise<void> {
    const n = this.rounds + 1;
    const row: Row = { note: `${this.name} ${n}`, amount: `${n}.50`, at: day(n) };
    const id = await this.driver.insert(row);
    if (this.ledger.has(id)) throw new Error(`id ${id} was given twice`);
    this.ledger.set(id, row);
    await this.#see(id, row);
    if (n % 2 === 0) {
      row.note += " changed";
      one("update", await this.driver.update(id, row.note));
    }
    if (n % 3 === 0) {
      row.at = day(n + 5);
      one("move", await this.driver.move(id, row.at));
    }
    await this.#see(id, row);
    if (n % 4 === 0) await this.#removeOldest();
    this.rounds = n;
  }

  async #removeOldest(): Promise<void> {
    const [oldest = ""] = this.ledger.keys();
    one("remove", await this.driver.remove(oldest));
    this.ledger.delete(oldest);
    await this.#see(oldest, null);
  }

  async #see(id: string, wanted: Row | null): Promise<void> {
    const seen = await this.driver.read(id);
    if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
    throw new Error(`row ${id} is ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
  }
}

function one(what: string, count: number): void {
  if (count !== 1) throw new Error(`${what} met ${count} rows`);
}

/** All of them at once. */
export class Crowd {
  readonly workers: readonly Worker[];
  #stopping = false;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;
  readonly #watchers = new Set<() => void>();
  readonly #running: Promise<unknown>;
  readonly #atRest = new Set<Worker>();

  constructor(workers: readonly Worker[]) {
    this.workers = workers;
    this.#running = Promise.all(workers.map((worker) => this.#work(worker)));
  }

  /** Resolves when every client that has not failed has done `more` further rounds. */
  async busy(more: number): Promise<void> {
    const goals = this.workers.map((worker) => ({ worker, goal: worker.rounds + more }));
    await this.#until(() =>
      goals.every(({ worker, goal }) => worker.failure !== null || worker.rounds >= goal),
    );
  }

  /** Lets every client finish its round and wait for `go`. */
  async rest(): Promise<void> {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
    await this.#until(() => this.workers.every((one) => one.failure !== null || this.#atRest.has(one)));
  }

  go(): void {
    this.#open();
  }

  /** Lets every client finish its round; connections stay open. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#open();
    await this.#running;
  }

  async #work(worker: Worker): Promise<void> {
    while (!this.#stopping) {
      this.#atRest.add(worker);
      this.#tell();
      await this.#gate;
      this.#atRest.delete(worker);
      try {
        await worker.round();
      } catch (error) {
        worker.failure = `round ${worker.rounds + 1}: ${messageOf(error)}`;
        break;
      } finally {
        this.#tell();
      }
    }
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watcher = () => {
        if (!done()) return;
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }
}
