/** The one sentence an operator reads first: which table is the application on, and what can be lost? */
import type { PhaseName } from "./events.js";
import type { PhaseStatus, RunView } from "./view.js";

const UNTOUCHED = "The source is untouched; the application is using it.";
const ON_NEW = "The application is on the new table;";

/**
 * The safety sentence of a view. Order matters: how it ended, what stopped it, an undo under way, then where the
 * names are. A stop is described by the fault itself, which knows more than the view does.
 */
export function safetyOf(view: RunView): string {
  switch (view.finished?.outcome) {
    case "done":
      return `${ON_NEW} the old one is gone.`;
    case "rolled-back":
      return "Rolled back: the application is on the original table, with every write made since cutover.";
    case "aborted":
      return "Aborted: everything Partway made is gone; the source is as it was.";
  }
  if (view.stopped !== null) return view.stopped.state;
  if (view.undo !== null) return undoSentence(view.undo.name, view.undo.status);
  return isCutOver(view) ? afterCutover(view) : beforeCutover(view);
}

/** Does the application use the new table, as far as the events say? */
export function isCutOver(view: RunView): boolean {
  if (view.cutover !== null) return view.cutover.direction === "forward";
  const passed: PhaseName[] = ["retain", "drop"];
  return (
    view.window !== null ||
    statusOf(view, "cutover") === "done" ||
    passed.some((name) => statusOf(view, name) !== "waiting")
  );
}

/** A phase's status; a phase the view does not list has not been started. */
export function statusOf(view: RunView, name: PhaseName): PhaseStatus {
  return view.phases.find((phase) => phase.name === name)?.status ?? "waiting";
}

/** The verdict on rolling back now, as one clause without a full stop. */
export function rollbackVerdict(window: { safe: boolean; verdict: string; keysBehind: number }): string {
  const behind = `${window.keysBehind} ${window.keysBehind === 1 ? "key" : "keys"} behind`;
  if (window.safe) return `rollback is safe (${behind})`;
  const verdict = window.verdict.replace(/\.$/, "");
  return /^rollback is not safe/i.test(verdict) ? verdict : `rollback is not safe because ${verdict}`;
}

function beforeCutover(view: RunView): string {
  const cutover = statusOf(view, "cutover");
  if (cutover === "running") {
    return "Cutting over: the names swap in one short transaction, or nothing changes.";
  }
  if (view.ready !== null) return `${UNTOUCHED} The new table is ready for cutover.`;
  if (cutover === "failed") return "The cutover did not complete; both tables are kept and the run resumes.";
  if (view.validation?.result === "different")
    return `${UNTOUCHED} The copy differs: no cutover until it is equal.`;
  return `${UNTOUCHED} Quit any time: the run resumes.`;
}

function afterCutover(view: RunView): string {
  const drop = statusOf(view, "drop");
  if (drop === "done") return `${ON_NEW} the old one is gone.`;
  if (drop === "running") return `${ON_NEW} the old one is being dropped.`;
  const failed = view.smoke === null ? 0 : view.smoke.failed.length;
  const smoke = failed === 0 ? "" : ` ${failed} OF ${view.smoke?.total ?? 0} SMOKE CHECKS FAILED.`;
  if (view.window === null) return `${ON_NEW} the old one is kept.${smoke}`;
  return `${ON_NEW} ${rollbackVerdict(view.window)}.${smoke}`;
}

function undoSentence(name: string, status: PhaseStatus): string {
  if (name === "abort") {
    if (status === "done") return "Aborted: everything Partway made is gone; the source is as it was.";
    if (status === "failed") return `${UNTOUCHED} The abort did not finish; it can be run again.`;
    return `${UNTOUCHED} What Partway made is being removed.`;
  }
  if (status === "done") {
    return "Rolled back: the application is on the original table, with every write made since cutover.";
  }
  if (status === "failed")
    return "The rollback did not complete; both tables are kept and it can be run again.";
  return "Rolling back: the names swap in one short transaction, or nothing changes.";
}
