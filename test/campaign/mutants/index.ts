/** All mutants, by topic. */
import { APPLY } from "./apply.js";
import { CAPTURE } from "./capture.js";
import { CUTOVER } from "./cutover.js";
import type { Mutant } from "./mutant.js";
import { STATE } from "./state.js";
import { WINDOW } from "./window.js";

const TOPICS: Record<string, readonly Mutant[]> = {
  capture: CAPTURE,
  apply: APPLY,
  cutover: CUTOVER,
  window: WINDOW,
  state: STATE,
};

/** Each with its topic: `capture`, `apply`, `cutover`, `window` or `state`. */
export const MUTANTS = Object.entries(TOPICS).flatMap(([topic, mutants]) =>
  mutants.map((mutant) => ({ ...mutant, topic })),
);
