/** How much of the source is copied. Pure. */
import type { RunEvent } from "../state/events.js";
import { count } from "./format.js";

/** Of its blocks; of its batches where an older Partway wrote the journal: those had one size. */
export function copyShare(event: Extract<RunEvent, { event: "copy" }>): { done: number; total: number } {
  const { batchesDone, batchesTotal, blocksDone, blocksTotal } = event;
  if (blocksDone === undefined || blocksTotal === undefined)
    return { done: batchesDone, total: batchesTotal };
  return { done: blocksDone, total: blocksTotal };
}

/** `120 of ~600 batches`: how many there will be depends on their size, unless that is known to be one. */
export function batchesText(event: Extract<RunEvent, { event: "copy" }>): string {
  const { batchesDone, batchesTotal, blocksDone } = event;
  const about = blocksDone === undefined || batchesDone === batchesTotal ? "" : "~";
  return `${count(batchesDone)} of ${about}${count(batchesTotal)} batches`;
}
