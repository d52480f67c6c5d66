/** Which panel has how many lines: what is above and below is as tall as it is, the rest is shared. Pure. */
import type { RunView } from "../state/view.js";
import { canCutOver, isOver } from "./controls.js";
import { wrapWords } from "./format.js";

/** Lines the newest messages get at least, with the empty line above them. */
const LOG_LEAST = 3;
const KEYS = 2;

/** Lines left for pieces or conditions between what is known and the messages; 0 or less: there is no room. */
export function panelRows(
  view: RunView,
  size: { columns: number; rows: number },
  facts: number,
  whole: boolean,
): number {
  const { columns, rows } = size;
  const header = 2 + (whole ? 1 : 0) + wrapWords(view.safety, columns).length;
  const phases = Math.max(facts, view.phases.length + (view.undo === null ? 0 : 1));
  const ready = view.ready !== null && canCutOver(view) ? 1 + wrapWords(view.ready, columns).length : 0;
  return rows - 1 - header - 1 - phases - barRows(view) - ready - LOG_LEAST - KEYS;
}

/** The bar with its empty line, where there is one. */
function barRows(view: RunView): number {
  const running = view.phases.find((phase) => phase.status === "running")?.name;
  const has =
    (running === "copy" && view.copy !== null) ||
    (running === "index" && view.index !== null) ||
    (running === "validate" && view.comparing !== null);
  return has && !isOver(view) ? 2 : 0;
}
