/** What a caller holds while a migration runs. */
import type { Command, Outcome, RunEvent } from "../../state/events.js";
import { createViewStore } from "../../state/fold.js";
import type { Working } from "../../state/machine.js";
import { emptyView, type ViewSource } from "../../state/view.js";
import { EXIT } from "../errors.js";
import type { Plan } from "../plan/types.js";
import type { RunResult } from "./engine.js";
import type { StateDir } from "./state-dir.js";

export interface Running {
  /** The view a screen shows. */
  readonly source: ViewSource;
  /** Calls `listener` with every event; gives the function that ends it. */
  onEvent(listener: (event: RunEvent) => void): () => void;
  /** Asks something of the run. Returns why not, or null when it was taken. */
  command(command: Command): string | null;
  /** Resolves when the run has ended or rests, with every connection closed. */
  readonly finished: Promise<RunResult>;
}

/** A run that has nothing left to do, with its result. */
export function settled(plan: Plan, result: RunResult, message: string): Running {
  const at = new Date().toISOString();
  const store = createViewStore(
    emptyView({
      migration: plan.id,
      table: `${plan.names.schema}.${plan.names.source}`,
      server: "",
      startedAt: at,
    }),
  );
  const event: RunEvent = { at, migration: plan.id, event: "finished", outcome: result.outcome, message };
  store.push(event);
  return {
    source: store,
    onEvent(listener) {
      listener(event);
      return () => undefined;
    },
    command: () => "the run has ended",
    finished: Promise.resolve(result),
  };
}

/** An undo had removed everything, and the process died before its journal knew: the journal is told now. */
export function endedMeanwhile(state: StateDir, plan: Plan, at: Working): Running {
  const outcome: Outcome = at === "rollback" ? "rolled-back" : at === "abort" ? "aborted" : "done";
  state.journal.transition({
    migration: plan.id,
    from: at,
    to: at === "rollback" ? "rolledBack" : at === "abort" ? "aborted" : "done",
    event: "RECONCILE",
    snapshot: null,
    outcome,
    at: new Date().toISOString(),
  });
  const result: RunResult = { migration: plan.id, outcome, exitCode: EXIT.done, error: null };
  return settled(
    plan,
    result,
    `${plan.id} had already ended (${outcome}): nothing of Partway is left in the database.`,
  );
}
