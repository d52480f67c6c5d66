/** A migration driven by another live process: what is asked of it goes through the journal (DESIGN 4). */
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command, Outcome, RunEvent } from "../../state/events.js";
import type { Journal } from "../../state/journal.js";
import { mayTakeOver } from "../../state/journal-owner.js";
import type { MigrationRecord } from "../../state/journal-rows.js";
import { EXIT, PartwayError } from "../errors.js";
import type { Intent } from "./intent.js";
import { type Running, settled } from "./running.js";
import type { StateDir } from "./state-dir.js";
import { readPlan } from "./stored-plan.js";

/** Is the process that claimed this migration alive (or on another host, where it cannot be known)? */
export function drivenElsewhere(record: MigrationRecord): boolean {
  if (record.owner === null) return false;
  return !mayTakeOver(record.owner, { pid: process.pid, host: hostname(), startedAt: "" });
}

/**
 * Asks the driving process to obey and waits for its answer. null: it did not take the command within `waitMs`, and
 * the command was withdrawn, or it would be carried out when a stopped process goes on, hours later. "taken": it took
 * the command and has not answered.
 */
async function askDriver(
  journal: Journal,
  id: string,
  command: Command,
  waitMs: number,
): Promise<{ ok: boolean; message: string } | "taken" | null> {
  const row = journal.command(id, command, new Date().toISOString());
  const until = performance.now() + waitMs;
  while (performance.now() < until) {
    const answer = journal.commandAnswer(row);
    if (answer !== null) return answer;
    await sleep(200);
  }
  if (journal.withdraw(row, new Date().toISOString())) return null;
  return journal.commandAnswer(row) ?? "taken";
}

/** How long a living process may take to look into the journal: it looks three times a second. */
const ANSWER_MS = 15_000;
const LOOK_MS = 200;

/**
 * Asks the process that runs `record` for `command`; gives what it says. Errors: `refused` when it says no, does not
 * answer, or may still do it.
 */
export async function ask(journal: Journal, record: MigrationRecord, command: Command): Promise<string> {
  const { id } = record;
  const answer = await askDriver(journal, id, command, ANSWER_MS);
  const owner = ownerOf(record);
  if (answer === "taken")
    throw new PartwayError("refused", {
      what: `${owner} runs ${id}, has taken "${command}" and has not answered`,
      state: "It may still do it: this command cannot tell.",
      next: `partway status ${id}`,
    });
  if (answer?.ok === true) return answer.message;
  const takeover = command === "cutover" || command === "rollback" ? command : "resume";
  throw new PartwayError("refused", {
    what:
      answer === null
        ? `${owner} runs ${id} and did not answer; the wish was withdrawn`
        : `${owner} refuses: ${answer.message}`,
    state: "Nothing was changed by this command.",
    next:
      answer === null
        ? `partway status ${id}; if that process is stopped: partway ${takeover} ${id} --takeover`
        : `partway watch ${id}`,
  });
}

function ownerOf({ owner }: MigrationRecord): string {
  return owner === null ? "another process" : `process ${owner.pid} on ${owner.host}`;
}

/** The error of whoever asks for something that only a running process can do. */
export function nobodyRuns(record: MigrationRecord, next = `partway resume ${record.id}`): PartwayError {
  const { id, owner, outcome } = record;
  if (outcome === "done" || outcome === "rolled-back" || outcome === "aborted")
    return new PartwayError("refused", {
      what: `${id} has ended: ${outcome}`,
      state: "Nothing was changed by this command.",
      next: `partway status ${id}`,
    });
  return new PartwayError("refused", {
    what: owner === null ? `no process runs ${id}` : `${ownerOf(record)}, which ran ${id}, is gone`,
    state: "Nothing was changed by this command. Changes are still captured, and the run can be resumed.",
    next,
  });
}

/** What an event says about the outcome of a command: done, failed, or nothing yet. */
type Seen = (event: RunEvent) => { done: string } | { failed: PartwayError } | null;

/** What a command leads to, for those whose effect comes later than the answer: a fresh look for each one asked. */
const EFFECTS: Partial<Record<Command, () => Seen>> = {
  stop: () => (event) => {
    if (event.event === "stopped") return { done: `${event.what}. Next: ${event.next}` };
    return event.event === "finished" ? { done: event.message } : null;
  },
  cutover: () => cutoverSeen(),
  rollback: () => (event) => {
    if (event.event === "finished" && event.outcome === "rolled-back") return { done: event.message };
    if (event.event === "phase" && event.phase === "rollback" && event.status === "failed")
      return {
        failed: new PartwayError("not-safe", {
          what: "the rollback did not go through",
          state: "The application is on the new table; the old one is kept.",
          next: `partway status ${event.migration}`,
        }),
      };
    return ended(event);
  },
};

/**
 * A cutover may fail without the run's end: a hook said no, or the copy starts again. One whose COMMIT's answer was lost
 * is done without a word of how long it held its locks.
 */
function cutoverSeen(): Seen {
  let hasFailed = false;
  return (event) => {
    if (event.event === "cutover" && event.direction === "forward")
      return {
        done: `swapped: locks held ${Math.round(event.heldMs)} ms after ${event.tries} ${event.tries === 1 ? "try" : "tries"}`,
      };
    if (event.event === "phase" && event.phase === "cutover") {
      if (event.status === "done") return { done: "swapped" };
      hasFailed = event.status === "failed";
      return null;
    }
    // Ready again: a hook said no, and the phase had not even begun.
    const goesOn =
      event.event === "ready" || (hasFailed && event.event === "phase" && event.status === "started");
    if (!goesOn) return ended(event);
    return {
      failed: new PartwayError("refused", {
        what: "the cutover did not go through; the run goes on without it",
        state: "The application is on the old table; changes are still captured.",
        next: `partway watch ${event.migration}`,
      }),
    };
  };
}

/** The run ended before the effect. */
function ended(event: RunEvent): ReturnType<Seen> {
  if (event.event === "finished") return { done: event.message };
  if (event.event !== "stopped") return null;
  const { what, state, next } = event;
  return { failed: new PartwayError("refused", { what, state, next }) };
}

/**
 * Asks as `ask` does, then waits for the effect: the names swapped, the run stopped. Gives what is to be said.
 * Errors: those of `ask`; `refused` when the run ended otherwise, or its process died.
 */
export async function askAndSee(
  journal: Journal,
  record: MigrationRecord,
  command: Command,
): Promise<string> {
  const { id } = record;
  let since = journal.events(id).at(-1)?.rowid ?? 0;
  const message = await ask(journal, record, command);
  const seen = EFFECTS[command]?.();
  if (seen === undefined) return message;
  for (;;) {
    // Read before the events: whoever is gone by then has written its last one.
    const now = journal.migration(id) ?? record;
    for (const { rowid, event } of journal.events(id, since)) {
      since = rowid;
      const found = seen(event);
      if (found === null) continue;
      if ("failed" in found) throw found.failed;
      return found.done;
    }
    if (!drivenElsewhere(now)) throw nobodyRuns(now);
    await sleep(LOOK_MS);
  }
}

/** `partway cutover` and `partway rollback` while another process runs the migration: that one does it. */
export async function forwardCommand(
  state: StateDir,
  record: MigrationRecord,
  intent: Intent,
): Promise<Running | null> {
  if (!drivenElsewhere(record) || (intent !== "cutover" && intent !== "rollback")) return null;
  const message = await askAndSee(state.journal, record, intent);
  const outcome: Outcome = intent === "cutover" ? "retained" : "rolled-back";
  const result = { migration: record.id, outcome, exitCode: EXIT.done, error: null };
  return settled(
    readPlan(record),
    result,
    `${ownerOf(record)}, which runs ${record.id}: ${message}${message.endsWith(".") ? "" : "."} To follow it: partway watch ${record.id}`,
  );
}
