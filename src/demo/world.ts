/** What the clients of one writer share: the ledger, the counters, and the gate that lets them pause. */
import { Stopwatch } from "./application.js";
import type { Ledger } from "./ledger.js";

const KEPT_ERRORS = 1_000;

export interface WriterStats {
  statements: number;
  commits: number;
  rollbacks: number;
  /** What an application retries by itself (deadlock, serialization failure, lost connection), by SQLSTATE. */
  retries: Record<string, number>;
  errorCount: number;
  /** The first 1,000. Code LEDGER: a statement found a row that is not as the ledger says. */
  errors: { code: string; message: string }[];
  /** The longest time one statement took, in ms, one still running included. */
  longestStallMs: number;
}

/** What the clients of one writer share. */
export class World {
  readonly watch = new Stopwatch();
  readonly gate: Gate;
  readonly ledger: Ledger;
  readonly window: { from: string; to: string };
  stopping = false;
  commits = 0;
  rollbacks = 0;
  errorCount = 0;
  readonly errors: { code: string; message: string }[] = [];
  readonly retries: Record<string, number> = {};

  constructor(ledger: Ledger, window: { from: string; to: string }, clients: number) {
    this.ledger = ledger;
    this.window = window;
    this.gate = new Gate(clients);
  }

  stats(): WriterStats {
    const { commits, rollbacks, errorCount } = this;
    return {
      statements: this.watch.statements,
      commits,
      rollbacks,
      errorCount,
      errors: [...this.errors],
      retries: { ...this.retries },
      longestStallMs: this.watch.longestMs,
    };
  }

  failed(code: string, message: string): void {
    this.errorCount++;
    if (this.errors.length < KEPT_ERRORS) this.errors.push({ code, message });
  }
}

/** Lets clients through, or has them wait; knows when all wait. */
export class Gate {
  #clients: number;
  #waiting = 0;
  #closed: { opened: Promise<void>; open: () => void } | null = null;
  #allWait: (() => void)[] = [];

  constructor(clients: number) {
    this.#clients = clients;
  }

  async pass(): Promise<void> {
    while (this.#closed !== null) {
      this.#waiting++;
      this.#check();
      await this.#closed.opened;
      this.#waiting--;
    }
  }

  /** Resolves when all clients wait (or the gate is opened again before). */
  close(): Promise<void> {
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#closed ??= { opened, open };
    return new Promise((resolve) => {
      this.#allWait.push(resolve);
      this.#check();
    });
  }

  open(): void {
    this.#closed?.open();
    this.#closed = null;
    this.#tell();
  }

  /** A client that has ended counts as waiting for ever. */
  leave(): void {
    this.#clients--;
    this.#check();
  }

  #check(): void {
    if (this.#waiting >= this.#clients) this.#tell();
  }

  #tell(): void {
    for (const resolve of this.#allWait.splice(0)) resolve();
  }
}
