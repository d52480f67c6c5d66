/** Watching a run that another process drives, and asking it for something. Part of the programmatic interface. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command, RunEvent, Wish } from "../state/events.js";
import { createViewStore } from "../state/fold.js";
import type { Journal } from "../state/journal.js";
import type { MigrationRecord } from "../state/journal-rows.js";
import { emptyView, type ViewSource } from "../state/view.js";
import type { StateOptions } from "./api.js";
import type { RunResult } from "./engine/engine.js";
import { ask, askAndSee, drivenElsewhere, nobodyRuns } from "./engine/other-process.js";
import { openForCommands, openJournal, pickMigration } from "./engine/state-dir.js";
import { EXIT, messageOf } from "./errors.js";

export interface WatchOptions extends StateOptions {
  /** Default: the only one that a process runs, else the only one that has not ended, else the newest. */
  id?: string | undefined;
  /** Ends the watch; the run goes on. */
  signal?: AbortSignal | undefined;
}

/** A run of another process. */
export interface Watching {
  readonly id: string;
  /** The view a screen shows. */
  readonly source: ViewSource;
  /** Calls `listener` with every event of this run, those so far included; gives the function that ends it. */
  onEvent(listener: (event: RunEvent) => void): () => void;
  /** Asks something of the run; gives why it was not obeyed, or null. */
  command(wish: Wish): Promise<string | null>;
  /** Resolves when the run has ended, or nobody runs it any more, or the watch was ended. */
  readonly finished: Promise<RunResult>;
}

const POLL_MS = 300;
/** A run that is handed over to another process has none for as long as that one takes to start. */
const HANDOVER_MS = 60_000;

/** Follows a run through the journal, which is only read. Errors: bad-input when there is no such migration. */
export function watch(options: WatchOptions): Watching {
  const journal = openJournal(options.state);
  try {
    return new Watch(journal, pick(journal, options.id, true), options);
  } catch (error) {
    journal.close();
    throw error;
  }
}

class Watch implements Watching {
  readonly id: string;
  readonly #journal: Journal;
  readonly #options: WatchOptions;
  readonly #store;
  readonly #heard: RunEvent[] = [];
  readonly #listeners = new Set<(event: RunEvent) => void>();
  #since = 0;
  #record: MigrationRecord;
  readonly finished: Promise<RunResult>;

  constructor(journal: Journal, record: MigrationRecord, options: WatchOptions) {
    const { id, table, server, createdAt } = record;
    this.id = id;
    this.#journal = journal;
    this.#options = options;
    this.#record = record;
    this.#store = createViewStore(emptyView({ migration: id, table, server, startedAt: createdAt }));
    const begun = record.owner?.startedAt ?? "";
    for (const { rowid, event } of journal.events(id)) {
      this.#since = rowid;
      this.#store.push(event);
      if (event.at >= begun) this.#heard.push(event);
    }
    // Nobody runs it: how it ended is all there is to tell.
    if (record.owner === null) this.#heard.splice(0, this.#heard.length - 1);
    this.finished = this.#follow().finally(() => journal.close());
  }

  get source(): ViewSource {
    return this.#store;
  }

  onEvent(listener: (event: RunEvent) => void): () => void {
    for (const event of this.#heard.splice(0)) listener(event);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async command(wish: Wish): Promise<string | null> {
    if (wish === "detach") return "only the run's own terminal can detach";
    const journal = openForCommands(this.#options.state);
    try {
      await ask(journal, this.#record, wish);
      return null;
    } catch (error) {
      return messageOf(error);
    } finally {
      journal.close();
    }
  }

  async #follow(): Promise<RunResult> {
    let handover: number | null = null;
    // Whoever watches listens first.
    await Promise.resolve();
    for (;;) {
      this.#record = this.#journal.migration(this.id) ?? this.#record;
      const isDriven = drivenElsewhere(this.#record);
      for (const { rowid, event } of this.#journal.events(this.id, this.#since)) {
        this.#since = rowid;
        this.#push(event);
      }
      if (this.#options.signal?.aborted === true) return this.#result(EXIT.done);
      if (isDriven) handover = null;
      else {
        const { stopped } = this.#store.current();
        if (stopped?.kind !== "detached" || this.#record.owner !== null) return this.#end();
        handover ??= performance.now() + HANDOVER_MS;
        if (performance.now() > handover) return this.#end();
      }
      await this.#rest();
    }
  }

  async #rest(): Promise<void> {
    const { signal } = this.#options;
    await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
      if (signal?.aborted !== true) throw error;
    });
  }

  #push(event: RunEvent): void {
    if (this.#listeners.size === 0) this.#heard.push(event);
    this.#store.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** Nobody runs it any more. */
  #end(): RunResult {
    const { stopped, finished } = this.#store.current();
    const wasKilled = this.#record.owner !== null;
    if (!wasKilled && finished !== null) return this.#result(EXIT.done);
    if (!wasKilled && stopped !== null && stopped.kind !== "detached") return this.#result(stopped.exitCode);
    const error = nobodyRuns(this.#record);
    const { message: what, next } = error;
    const state = "Nothing is lost: changes are still captured, and the run can be resumed.";
    const exitCode = EXIT.unexpected;
    const at = new Date().toISOString();
    this.#push({ at, migration: this.id, event: "stopped", kind: "gone", what, state, next, exitCode });
    return this.#result(exitCode);
  }

  #result(exitCode: number): RunResult {
    return { migration: this.id, outcome: this.#record.outcome ?? "stopped", exitCode, error: null };
  }
}

export interface Obeyed {
  id: string;
  command: Command;
  /** What the run says, or what was seen of it. */
  message: string;
}

/**
 * Asks the process that runs a migration for something and waits for the effect. Errors: `refused` when it says no or
 * does not answer, and when no process runs it; bad-input when there is no such migration.
 */
export async function control(
  command: Command,
  options: StateOptions & { id?: string | undefined },
): Promise<Obeyed> {
  const journal = openForCommands(options.state);
  try {
    const record = pick(journal, options.id, false);
    if (!drivenElsewhere(record)) throw nobodyRuns(record, withoutOwner(record.id, command));
    return { id: record.id, command, message: await askAndSee(journal, record, command) };
  } finally {
    journal.close();
  }
}

/** Without an id: the only one that a process runs, else as everywhere. */
function pick(journal: Journal, id: string | undefined, endedToo: boolean): MigrationRecord {
  const [one, other] = id === undefined ? journal.migrations().filter(drivenElsewhere) : [];
  return one !== undefined && other === undefined ? one : pickMigration(journal, id, endedToo);
}

/** What to type when nobody runs it. */
function withoutOwner(id: string, command: Command): string {
  if (command === "postpone") return `partway resume ${id} --postpone`;
  if (command === "allow") return `partway resume ${id}; once it is ready: partway cutover ${id}`;
  if (command.startsWith("throttle") || command === "slower" || command === "faster")
    return `partway resume ${id}; then partway throttle ${id} again`;
  return `partway resume ${id}`;
}
