/** All mutants, by topic. */
import { APPLY } from "./apply.js";
import { CAPTURE } from "./capture.js";
import { CUTOVER } from "./cutover.js";
import type { Mutant } from "./mutant.js";
import { STATE } from "./state.js";
import { WAL } from "./wal.js";
import { WINDOW } from "./window.js";

const TOPICS: Record<string, readonly Mutant[]> = {
  capture: CAPTURE,
  apply: APPLY,
  cutover: CUTOVER,
  window: WINDOW,
  state: STATE,
  wal: WAL,
};

/** Each with its topic: `capture`, `apply`, `cutover`, `window`, `state` or `wal`. */
export const MUTANTS = Object.entries(TOPICS).flatMap(([topic, mutants]) =>
  mutants.map((mutant) => ({ ...mutant, topic })),
);
