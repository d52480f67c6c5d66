/** A migration driven by another live process: what is asked of it goes through the journal (DESIGN 4). */
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "../../state/events.js";
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
export async function askDriver(
  state: StateDir,
  id: string,
  command: Command,
  waitMs: number,
): Promise<{ ok: boolean; message: string } | "taken" | null> {
  const row = state.journal.command(id, command, new Date().toISOString());
  const until = performance.now() + waitMs;
  while (performance.now() < until) {
    const answer = state.journal.commandAnswer(row);
    if (answer !== null) return answer;
    await sleep(200);
  }
  if (state.journal.withdraw(row, new Date().toISOString())) return null;
  return state.journal.commandAnswer(row) ?? "taken";
}

/** `partway cutover` and `partway rollback` while another process runs the migration: that one does it. */
export async function forwardCommand(
  state: StateDir,
  record: MigrationRecord,
  intent: Intent,
): Promise<Running | null> {
  if (!drivenElsewhere(record) || (intent !== "cutover" && intent !== "rollback")) return null;
  const answer = await askDriver(state, record.id, intent, 15_000);
  const owner =
    record.owner === null ? "another process" : `process ${record.owner.pid} on ${record.owner.host}`;
  if (answer === "taken")
    throw new PartwayError("refused", {
      what: `${owner} runs ${record.id}, has taken "${intent}" and has not answered`,
      state: "It may still do it: this command cannot tell.",
      next: `partway status ${record.id}`,
    });
  if (answer?.ok === true) {
    const result = {
      migration: record.id,
      outcome: record.outcome ?? "stopped",
      exitCode: EXIT.done,
      error: null,
    };
    return settled(
      readPlan(record),
      result,
      `${owner} runs ${record.id} and has taken "${intent}"; partway status ${record.id} follows it.`,
    );
  }
  throw new PartwayError("refused", {
    what:
      answer === null
        ? `${owner} runs ${record.id} and did not answer; the wish was withdrawn`
        : `${owner} refuses: ${answer.message}`,
    state: "Nothing was changed by this command.",
    next: `partway status ${record.id}; if that process is stopped: partway ${intent} ${record.id} --takeover`,
  });
}
