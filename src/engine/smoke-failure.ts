/** What a failed smoke check means for the run: said loudly, and where it is so configured, the way back. Pure. */
import type { RunView } from "../../state/view.js";
import { PartwayError } from "../errors.js";
import type { Plan } from "../plan/types.js";

type Smoke = RunView["smoke"];

/** `2 of 5 smoke checks FAILED (count, latest)`; null while none has. */
export function smokeFailure(smoke: Smoke): string | null {
  if (smoke === null || smoke.failed.length === 0) return null;
  return `${smoke.failed.length} of ${smoke.total} smoke checks FAILED (${smoke.failed.join(", ")})`;
}

/** The error that leads from cutover to rollback. */
export function smokeFailed(plan: Plan, what: string): PartwayError {
  return new PartwayError("smoke-failed", {
    what: `${what}; smokeFailure says rollback`,
    state: "The application is on the new table; nothing is lost. The run goes back to the old table.",
    next: `partway rollback ${plan.id}`,
  });
}
