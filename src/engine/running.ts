/** What a caller holds while a migration runs. */
import type { Outcome, PhaseName, RunEvent, Wish } from "../../state/events.js";
import { createViewStore } from "../../state/fold.js";
import type { MigrationRecord } from "../../state/journal-rows.js";
import type { Working } from "../../state/machine.js";
import { emptyView, type ViewSource } from "../../state/view.js";
import { badInput, EXIT } from "../errors.js";
import type { OnHangup } from "../phases/phase.js";
import type { Plan } from "../plan/types.js";
import type { RunResult } from "./engine.js";
import type { Intent } from "./intent.js";
import type { StateDir } from "./state-dir.js";
import type { Controls } from "./stored-plan.js";

export interface Running {
  /** The view a screen shows. */
  readonly source: ViewSource;
  /** Calls `listener` with every event; gives the function that ends it. */
  onEvent(listener: (event: RunEvent) => void): () => void;
  /** What it is to do when its terminal disappears. */
  readonly onHangup: OnHangup;
  /** Asks something of the run. Returns why not, or null when it was taken. */
  command(wish: Wish): string | null;
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
    onHangup: "stop",
    onEvent(listener) {
      listener(event);
      return () => undefined;
    },
    command: () => "the run has ended",
    finished: Promise.resolve(result),
  };
}

/** How a migration that has ended for good may have ended. */
type End = Extract<Outcome, "done" | "rolled-back" | "aborted">;

/** What each intent leads to; the same command given twice finds its work done. */
const LEADS_TO: Record<Intent, readonly End[]> = {
  resume: ["done", "rolled-back", "aborted"],
  cutover: [],
  rollback: ["rolled-back"],
  finalize: ["done"],
  abort: ["aborted"],
};

/**
 * A migration that the journal knows to have ended; null when it has not. Errors: bad-input when `intent` asks for
 * another ending than the one it had.
 */
export function alreadyEnded(record: MigrationRecord, plan: Plan, intent: Intent): Running | null {
  const { outcome } = record;
  if (outcome !== "done" && outcome !== "rolled-back" && outcome !== "aborted") return null;
  return ended(plan, outcome, intent);
}

/** An undo had removed everything, and the process died before its journal knew: the journal is told now. */
export function endedMeanwhile(state: StateDir, plan: Plan, at: Working, intent: Intent): Running {
  const outcome: End = at === "rollback" ? "rolled-back" : at === "abort" ? "aborted" : "done";
  state.journal.transition({
    migration: plan.id,
    from: at,
    to: at === "rollback" ? "rolledBack" : at === "abort" ? "aborted" : "done",
    event: "RECONCILE",
    snapshot: null,
    outcome,
    at: new Date().toISOString(),
  });
  return ended(plan, outcome, intent);
}

/** The phase that --until named was done, and the process died before its journal knew: it rests there now. */
export function restedMeanwhile(
  state: StateDir,
  plan: Plan,
  { until, from, controls }: { until: PhaseName; from: Working; controls: Controls },
): Running {
  state.journal.transition({
    migration: plan.id,
    from: until,
    to: "halted",
    event: "RECONCILE",
    snapshot: { value: "halted", context: { from, until, ...controls } },
    outcome: "stopped",
    at: new Date().toISOString(),
  });
  const message = `${until} is done and the run stops there, as it was told. To go on: partway resume ${plan.id}`;
  return settled(plan, { migration: plan.id, outcome: "stopped", exitCode: EXIT.done, error: null }, message);
}

function ended(plan: Plan, outcome: End, intent: Intent): Running {
  const message = `${plan.id} has already ended (${outcome}): nothing of Partway is left in the database.`;
  if (!LEADS_TO[intent].includes(outcome))
    throw badInput(message, "partway list shows every migration; partway run starts one.");
  return settled(plan, { migration: plan.id, outcome, exitCode: EXIT.done, error: null }, message);
}
