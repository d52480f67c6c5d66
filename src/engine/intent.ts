/** What a command wants of a halted migration, whether it can be had, and what is said at the end. Pure. */
import type { Outcome } from "../../state/events.js";
import type { MachineEvent, Working } from "../../state/machine.js";
import { badInput, PartwayError } from "../errors.js";
import type { Plan } from "../plan/types.js";

/** What the engine was started for; each is an event sent to a halted machine. */
export type Intent = "resume" | "cutover" | "rollback" | "finalize" | "abort";

const EVENTS: Record<Intent, MachineEvent> = {
  resume: { type: "RESUME" },
  cutover: { type: "CUTOVER" },
  rollback: { type: "ROLLBACK" },
  finalize: { type: "FINALIZE" },
  abort: { type: "ABORT" },
};

/** The state each intent leads into. */
const OWN: Partial<Record<Intent, Working>> = {
  cutover: "cutover",
  rollback: "rollback",
  finalize: "drop",
  abort: "abort",
};

/** The event for an intent. The same command typed again after an interruption goes on with what it had begun. */
export function eventOf(intent: Intent, from: Working): MachineEvent {
  return OWN[intent] === from ? EVENTS.resume : EVENTS[intent];
}

/** The refusal of an intent that is not possible where the migration stands. */
export function cannot(plan: Plan, intent: Intent, from: Working): PartwayError {
  return badInput(
    `migration ${plan.id} stands at ${from}; ${intent} is not possible there`,
    instead(plan, intent, from),
  );
}

/** A run that an operator has stopped, or handed over to a process without a terminal. */
export function haltedBy({ id }: Plan, from: Working, detaching: boolean): PartwayError {
  return detaching
    ? new PartwayError("detached", {
        what: `handed over, during ${from}, to a process without a terminal`,
        state: "Nothing is lost: changes are still captured, and the other process goes on.",
        next: `partway watch ${id}`,
      })
    : new PartwayError("stopped", {
        what: `stopped by the operator during ${from}`,
        state: "Nothing is lost: changes are still captured, and the run can be resumed.",
        next: `partway resume ${id}`,
      });
}

/** Between this command's first look and its lease another process has ended the migration. */
export function goneMeanwhile({ id }: Plan): PartwayError {
  return new PartwayError("refused", {
    what: `migration ${id} was ended by another process just now`,
    state: "Nothing was touched.",
    next: `partway status ${id}`,
  });
}

function instead({ id }: Plan, intent: Intent, from: Working): string {
  if (intent === "abort" && from === "retain")
    return `It has been cut over. partway rollback ${id} goes back to the old table.`;
  if (intent === "rollback" && from !== "drop")
    return `There is nothing to roll back yet. partway abort ${id} removes what Partway made.`;
  return `partway resume ${id}`;
}

/** The closing sentence of a run. `from`: where it goes on. `smoke`: what failed of the smoke checks, if anything. */
export function closing(plan: Plan, outcome: Outcome, from: Working, smoke: string | null = null): string {
  const { schema, source, retired, failed } = plan.names;
  switch (outcome) {
    case "done":
      return `${schema}.${source} is partitioned; the retired table and everything Partway made are gone.`;
    case "rolled-back":
      if (smoke !== null)
        return `${smoke}: ROLLED BACK. ${schema}.${source} is the old table again, with every write made since; the new one is kept as ${failed}. What was found: partway report ${plan.id}`;
      return `${schema}.${source} is the old table again, with every write made since; the new one is kept as ${failed}.`;
    case "aborted":
      return `${schema}.${source} is as it was; everything Partway made is gone.`;
    case "ready-for-cutover":
      return `Ready for cutover; changes are still captured. Next: partway cutover ${plan.id}`;
    case "retained":
      if (smoke !== null)
        return `CUT OVER, BUT ${smoke}. The application is on the new ${schema}.${source}; ${retired} is kept. TO GO BACK: partway rollback ${plan.id}   To check again: partway smoke ${plan.id}`;
      return `${schema}.${source} is partitioned; ${retired} is kept. To keep it current and count down: partway resume ${plan.id}; back: partway rollback ${plan.id}; after the window: partway finalize ${plan.id}`;
    case "stopped":
    case "failed":
      return `Stopped before ${from}; go on with: partway resume ${plan.id}`;
  }
}
