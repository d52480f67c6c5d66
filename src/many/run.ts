/**
 * `partway run --all`: each table of the configuration through its cutover, in order. Where one stands is asked of
 * database and journal when its turn comes, so the same command again goes on with the whole, whatever ended it.
 */
import type { PhaseName } from "../../state/events.js";
import type { Working } from "../../state/machine.js";
import { proceed, run } from "../api.js";
import type { RawSettings } from "../config/request.js";
import type { RunResult } from "../engine/engine.js";
import { drivenElsewhere } from "../engine/other-process.js";
import type { Running } from "../engine/running.js";
import { asPartwayError, badInput, EXIT, PartwayError } from "../errors.js";
import { mayRunTogether, type TableEntry } from "./order.js";
import { type PlannedAll, planTables } from "./plan.js";
import { hindrance, type Placed } from "./standing.js";
import { type AllOptions, placeNow, readTables, type Tables, worst } from "./tables.js";
import { type Step, walk } from "./walk.js";

/** How far a table has come. `rests`: where --until said; `waiting`: it never began. */
export type TableState =
  | "starting"
  | "resuming"
  | "migrated"
  | "rests"
  | "refused"
  | "stopped"
  | "failed"
  | "waiting";

/** A table as it stands at the end. */
export interface TableReport {
  /** `schema.name`. */
  table: string;
  state: TableState;
  migration: string | null;
  /** One sentence. */
  what: string;
  /** The command to type next; empty when there is none. */
  next: string;
  exitCode: number;
}

/** A table's turn came, or ended. */
export type TableEvent = { at: string; event: "table" } & TableReport;

export interface RunAllOptions extends AllOptions, RawSettings {
  /** Bring every table this far; null or left out: through its cutover. */
  until?: PhaseName | null | undefined;
  /** Take over from a process that is stopped or dead. */
  takeover?: boolean | undefined;
  /** Only go on: bad-input when no table has begun. */
  begun?: boolean | undefined;
  /** Sees every plan before anything is written; false ends with nothing touched. */
  confirm?: ((planned: PlannedAll) => Promise<boolean>) | undefined;
  /** When it fires, what runs stops safely and nothing more begins. */
  signal?: AbortSignal | undefined;
  onTable?: ((event: TableEvent) => void) | undefined;
  /** A table's run could not begin, so that no run of it tells why. */
  onError?: ((error: PartwayError, table: string) => void) | undefined;
  /** A table's run has begun; what is given back is called when it has ended, and waited for. */
  onRunning?: ((running: Running, turn: Turn) => Promise<(result: RunResult) => Promise<void>>) | undefined;
}

/** Whose run it is, and what of the whole. */
export interface Turn {
  table: string;
  /** From 1, in order. */
  at: number;
  of: number;
  /** Tables that are where they were to be brought. */
  done: number;
  /** No other table may run at the same time. */
  alone: boolean;
}

export interface AllResult {
  /** In order. */
  tables: TableReport[];
  exitCode: number;
}

/** Where a run may be told to stop, in order, and what comes after the last of them. */
const STEPS: readonly Working[] = ["backup", "shadow", "copy", "index", "validate", "ready", "cutover"];

/**
 * Migrates the tables of the configuration, each through its cutover; resolves when every one has, or cannot go on.
 * Errors: bad-input for the list or the options, before anything is touched; `stopped` when not confirmed.
 */
export async function runAll(options: RunAllOptions): Promise<AllResult> {
  const { until } = options;
  if (until === "retain" || until === "drop")
    throw badInput(
      `--until ${until} is not for --all, which ends at the cutover`,
      "Leave it out, or name an earlier phase; partway resume <id> --hold tends a window.",
    );
  const tables = await readTables(options);
  const places = [...tables.placed.values()];
  if (options.begun === true && places.every(({ standing }) => standing.kind === "new"))
    throw badInput("none of the tables has begun", "partway run --all begins.");
  if (options.confirm !== undefined && !(await options.confirm(await planTables(tables, options))))
    throw new PartwayError("stopped", {
      what: "not confirmed",
      state: "Nothing was touched.",
      next: "The same command with --yes runs without asking.",
    });
  return new All(tables, options).run();
}

class All {
  readonly #tables: Tables;
  readonly #o: RunAllOptions;
  readonly #reports = new Map<TableEntry, TableReport>();
  /** Starts come one after the other: two at once would both make schema partway. */
  #starting: Promise<unknown> = Promise.resolve();

  constructor(tables: Tables, options: RunAllOptions) {
    this.#tables = tables;
    this.#o = options;
  }

  async run(): Promise<AllResult> {
    const { order } = this.#tables;
    const isStopped = () => this.#o.signal?.aborted === true;
    const { waiting } = await walk(order, (entry) => this.#step(entry), isStopped);
    for (const { table, for: others } of waiting) {
      const names = others.map((other) => this.#shown(other)).join(", ");
      const what = names === "" ? "it had not begun" : `it waits for ${names}`;
      this.#end(table, { state: "waiting", migration: null, what, next: AGAIN, exitCode: EXIT.done });
    }
    const tables = order.tables.flatMap((entry) => this.#reports.get(entry) ?? []);
    const codes = tables.map(({ exitCode }) => exitCode);
    return { tables, exitCode: worst(isStopped() ? [...codes, EXIT.stopped] : codes) };
  }

  async #step(entry: TableEntry): Promise<Step> {
    let migration: string | null = null;
    try {
      const begun = this.#starting.then(() => this.#begin(entry));
      this.#starting = begun.catch(() => undefined);
      const running = await begun;
      if (running === null) return "passed";
      const detach = await this.#o.onRunning?.(running, this.#turn(entry));
      const stop = () => {
        running.command("stop");
      };
      if (this.#o.signal?.aborted === true) stop();
      this.#o.signal?.addEventListener("abort", stop, { once: true });
      const result = await running.finished;
      this.#o.signal?.removeEventListener("abort", stop);
      migration = result.migration;
      await detach?.(result);
      return this.#ended(entry, result);
    } catch (error) {
      const known = asPartwayError(error, "What was committed can be resumed.", AGAIN);
      this.#o.onError?.(known, this.#shown(entry));
      return this.#failed(entry, known, migration);
    }
  }

  /** The table's run; null when nothing is to be done. */
  async #begin(entry: TableEntry): Promise<Running | null> {
    const place = await placeNow(this.#tables.target, this.#o.state, entry);
    const { standing, shown } = place;
    const why = hindrance(place);
    if (why !== null) throw why;
    const { confirm, onTable, onError, onRunning, signal, begun, until, takeover, ...shared } = this.#o;
    const stop = until === "cutover" ? null : (until ?? null);
    if (standing.kind === "migrated") {
      const { id, window } = standing;
      this.#end(entry, migrated(id, window, "it was before this command"));
      return null;
    }
    if (standing.kind === "new") {
      this.#tell(entry, "starting", null, "its turn has come");
      return run({ ...shared, table: entry.name, hold: false, ...(stop === null ? {} : { until: stop }) });
    }
    const { record, from } = open(standing);
    if (takeover !== true && drivenElsewhere(record)) throw driven(shown, record.id);
    if (stop !== null && STEPS.indexOf(from) > STEPS.indexOf(stop) + (stop === "validate" ? 1 : 0)) {
      this.#end(entry, rests(record.id, `it stands at ${from}, beyond ${stop}`));
      return null;
    }
    this.#tell(entry, "resuming", record.id, `goes on at ${from}`);
    // Ready, and not told to stay so: RESUME would only bring it up to date.
    const intent = from === "ready" && stop === null ? "cutover" : "resume";
    return proceed(intent, { ...shared, id: record.id, hold: false, until: stop, takeover });
  }

  #ended(entry: TableEntry, { migration, outcome, exitCode, error }: RunResult): Step {
    if (error !== null) return this.#failed(entry, error, migration);
    switch (outcome) {
      case "retained":
      case "done":
        if (exitCode === EXIT.smokeFailed) {
          const what = "cut over, but smoke checks FAILED";
          const next = `back: partway rollback ${migration}; to check again: partway smoke ${migration}`;
          this.#end(entry, { state: "migrated", migration, what, next, exitCode });
          return "failed";
        }
        this.#end(entry, migrated(migration, outcome === "retained", "the application is on the new table"));
        return "passed";
      case "ready-for-cutover":
      case "stopped":
        this.#end(entry, rests(migration, outcome === "stopped" ? "as --until said" : "ready for cutover"));
        return "passed";
      case "rolled-back":
      case "aborted":
      case "failed":
        this.#end(entry, {
          state: "failed",
          migration,
          what: `it ended as ${outcome}`,
          next: AGAIN,
          exitCode: exitCode === EXIT.done ? EXIT.refused : exitCode,
        });
        return "failed";
    }
  }

  #failed(entry: TableEntry, error: PartwayError, migration: string | null): Step {
    const { kind, message: what, next, exitCode } = error;
    const state = kind === "stopped" || kind === "refused" ? kind : kind === "vetoed" ? "refused" : "failed";
    this.#end(entry, { state, migration, what, next, exitCode });
    return kind === "stopped" ? "stopped" : "failed";
  }

  #shown(entry: TableEntry): string {
    return this.#tables.placed.get(entry)?.shown ?? entry.name;
  }

  #turn(entry: TableEntry): Turn {
    const { tables, parallel } = this.#tables.order;
    const ended = [...this.#reports.values()];
    return {
      table: this.#shown(entry),
      at: tables.indexOf(entry) + 1,
      of: tables.length,
      done: ended.filter(({ state }) => state === "migrated" || state === "rests").length,
      alone: tables.every((other) => other === entry || !mayRunTogether(entry, other, parallel)),
    };
  }

  #tell(entry: TableEntry, state: TableState, migration: string | null, what: string): void {
    this.#say({ table: this.#shown(entry), state, migration, what, next: "", exitCode: EXIT.done });
  }

  #end(entry: TableEntry, report: Omit<TableReport, "table">): void {
    const whole = { table: this.#shown(entry), ...report };
    this.#reports.set(entry, whole);
    this.#say(whole);
  }

  #say(report: TableReport): void {
    this.#o.onTable?.({ at: new Date().toISOString(), event: "table", ...report });
  }
}

const AGAIN = "partway run --all";

function migrated(id: string | null, window: boolean, what: string): Omit<TableReport, "table"> {
  const next =
    id === null || !window
      ? ""
      : `partway resume ${id} --hold; back: partway rollback ${id}; after its window: partway finalize ${id}`;
  return { state: "migrated", migration: id, what, next, exitCode: EXIT.done };
}

function rests(id: string, what: string): Omit<TableReport, "table"> {
  return { state: "rests", migration: id, what, next: AGAIN, exitCode: EXIT.done };
}

function driven(table: string, id: string): PartwayError {
  return new PartwayError("refused", {
    what: `another process runs migration ${id} of ${table}`,
    state: "Nothing was touched; the other process goes on.",
    next: `partway status ${id}; when it has ended: ${AGAIN}`,
  });
}

function open(standing: Placed["standing"]): Extract<Placed["standing"], { kind: "open" }> {
  if (standing.kind === "open") return standing;
  throw new Error(`a table that is ${standing.kind} cannot be resumed`);
}
