/**
 * Where to go on after an interruption: journal against database (DESIGN 4). Every phase is idempotent, so starting at
 * the database's own word is always right; the journal only adds what the database does not know (backup, ready).
 */
import type { Working } from "../../state/machine.js";
import type { StorePhase } from "../sync/store.js";
import type { Intent } from "./intent.js";

/** What the database says once the names were swapped. */
export const AFTER_CUTOVER: readonly StorePhase[] = ["retain", "rolled-back", "drop"];

const UNDOING: readonly Working[] = ["rollback", "abort", "drop"];

/**
 * `journal`: where the journal says the run stood. `stored`: the next phase by the database, null when it has no row.
 * `postponed`: a cutover that was interrupted before its swap is not begun again by a resume.
 * Returns the state to go on from, or `ended` when an undo had removed everything before the process died, or
 * `unknown` when the database has no trace of a run that should have left one.
 */
export function reconcile(
  journal: Working,
  stored: StorePhase | null,
  intent: Intent = "resume",
  postponed = false,
): Working | "ended" | "unknown" {
  if (stored === null) {
    if (UNDOING.includes(journal)) return "ended";
    return "unknown";
  }
  if (journal === "abort" && !AFTER_CUTOVER.includes(stored)) return "abort";
  switch (stored) {
    case "shadow":
      return journal === "backup" ? "backup" : "shadow";
    case "cutover":
      if (postponed && journal === "cutover" && intent === "resume") return "ready";
      return journal === "ready" || journal === "cutover" ? journal : "validate";
    case "retain":
      if (journal === "rollback") return journal;
      // The swap was committed before the journal knew. Its last steps are still to do, but they stand in nobody's way.
      return journal === "cutover" && (intent === "resume" || intent === "cutover") ? "cutover" : "retain";
    case "rolled-back":
      return "rollback";
    case "abort":
    case "copy":
    case "index":
    case "validate":
    case "drop":
      return stored;
  }
}
