/** All mutants, by topic. */
import { APPLY } from "./apply.js";
import { CAPTURE } from "./capture.js";
import { CARE } from "./care.js";
import { CUTOVER } from "./cutover.js";
import { INSQL } from "./insql.js";
import type { Mutant } from "./mutant.js";
import { SERVE, THROTTLE } from "./serve.js";
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
  care: CARE,
  serve: SERVE,
  throttle: THROTTLE,
  insql: INSQL,
};

/** Each with its topic, which is a key of these. */
export const MUTANTS = Object.entries(TOPICS).flatMap(([topic, mutants]) =>
  mutants.map((mutant) => ({ ...mutant, topic })),
);
