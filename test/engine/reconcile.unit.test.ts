import { expect, test } from "vitest";
import { reconcile } from "../../src/engine/reconcile.js";
import type { StorePhase } from "../../src/sync/store.js";
import { WORKING, type Working } from "../../state/machine.js";

type Stored = StorePhase | "gone";
type Answer = ReturnType<typeof reconcile>;

const PHASES = [
  "shadow",
  "copy",
  "index",
  "validate",
  "cutover",
  "retain",
  "rolled-back",
  "drop",
  "abort",
  "gone",
] as const;

/** One row for each position in the journal; a column for each phase in the database, in the order of PHASES. */
const rows: Record<Working, readonly Answer[]> = {
  //         shadow    copy     index    validate    cutover     retain      rolled-back drop    abort    gone
  backup: [
    "backup",
    "copy",
    "index",
    "validate",
    "validate",
    "retain",
    "rollback",
    "drop",
    "abort",
    "unknown",
  ],
  shadow: [
    "shadow",
    "copy",
    "index",
    "validate",
    "validate",
    "retain",
    "rollback",
    "drop",
    "abort",
    "unknown",
  ],
  copy: ["shadow", "copy", "index", "validate", "validate", "retain", "rollback", "drop", "abort", "unknown"],
  index: [
    "shadow",
    "copy",
    "index",
    "validate",
    "validate",
    "retain",
    "rollback",
    "drop",
    "abort",
    "unknown",
  ],
  validate: [
    "shadow",
    "copy",
    "index",
    "validate",
    "validate",
    "retain",
    "rollback",
    "drop",
    "abort",
    "unknown",
  ],
  ready: ["shadow", "copy", "index", "validate", "ready", "retain", "rollback", "drop", "abort", "unknown"],
  cutover: [
    "shadow",
    "copy",
    "index",
    "validate",
    "cutover",
    "cutover",
    "rollback",
    "drop",
    "abort",
    "unknown",
  ],
  retain: [
    "shadow",
    "copy",
    "index",
    "validate",
    "validate",
    "retain",
    "rollback",
    "drop",
    "abort",
    "unknown",
  ],
  drop: ["shadow", "copy", "index", "validate", "validate", "retain", "rollback", "drop", "abort", "ended"],
  rollback: [
    "shadow",
    "copy",
    "index",
    "validate",
    "validate",
    "rollback",
    "rollback",
    "drop",
    "abort",
    "ended",
  ],
  abort: ["abort", "abort", "abort", "abort", "abort", "retain", "rollback", "drop", "abort", "ended"],
};

const PAIRS = WORKING.flatMap((journal) =>
  PHASES.map((stored, at): [Working, Stored, Answer | undefined] => [journal, stored, rows[journal][at]]),
);

test.each(PAIRS)("journal at %s x database at %s -> %s", (journal, stored, answer) => {
  expect(reconcile(journal, stored === "gone" ? null : stored)).toBe(answer);
});

test.each(["rollback", "finalize", "abort"] as const)(
  "a cutover that was committed before the journal knew would be in the way of %s",
  (intent) => {
    expect(reconcile("cutover", "retain", intent)).toBe("retain");
  },
);

test("a cutover that was interrupted and then postponed would begin again on resume, or forget that it was made", () => {
  expect(reconcile("cutover", "cutover", "resume", true)).toBe("ready");
  expect(reconcile("cutover", "cutover", "cutover", true)).toBe("cutover");
  // Swapped before the journal knew: there is nothing to postpone.
  expect(reconcile("cutover", "retain", "resume", true)).toBe("cutover");
  expect(reconcile("validate", "cutover", "resume", true)).toBe("validate");
});
