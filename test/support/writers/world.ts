/** What the clients of one run share: the options, the counters, and the gate that lets them pause. */
import { Stopwatch } from "../../../src/demo/application.js";
import { Gate } from "../../../src/demo/world.js";
import type { Mix } from "./mix.js";
import type { WrittenTable } from "./table.js";

export interface WritersOptions {
  /** A PostgreSQL URL; the application's role must own or be granted the table. */
  url: string;
  table: WrittenTable;
  mix: Mix;
  clients: number;
  seed: number;
  /** Rows the table was made with: their keys are 1 to `rows`. */
  rows: number;
  /** Above this many rows the clients mostly delete. */
  maxRows: number;
  /** Rows of a bulk statement. */
  bulk: number;
}

const KEPT_ERRORS = 200;

export class WritersWorld {
  readonly options: WritersOptions;
  readonly watch = new Stopwatch();
  readonly gate: Gate;
  stopping = false;
  /** Pause between two transactions of a client, in ms; 0: full speed. */
  paceMs = 0;
  commits = 0;
  errorCount = 0;
  /** Code LEDGER: a statement found a row that is not as the ledger says. */
  readonly errors: { code: string; message: string }[] = [];
  /** What an application retries by itself, by SQLSTATE. */
  readonly retries: Record<string, number> = {};
  /** Everything else worth a number. */
  readonly counts: Record<string, number> = {};

  constructor(options: WritersOptions) {
    this.options = options;
    this.gate = new Gate(options.clients);
  }

  get table(): WrittenTable {
    return this.options.table;
  }

  failed(code: string, message: string): void {
    this.errorCount++;
    if (this.errors.length < KEPT_ERRORS)
      this.errors.push({ code, message: `${new Date().toISOString()} ${message.slice(0, 2_000)}` });
  }

  retried(code: string): void {
    this.retries[code] = (this.retries[code] ?? 0) + 1;
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
