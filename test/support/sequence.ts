/**
 * The order of files: the longest first, so that the run does not end with one worker at a chain of kills and the other
 * at nothing. A fresh clone has no times of a former run to order by.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Longest first, as CI measured them. */
const LONG = [
  "test/campaign/kill.test.ts",
  "test/docs/commands.test.ts",
  "test/faults/journey.test.ts",
  "test/demo/demo.test.ts",
];

/** Where `file` stands among the long ones; behind them all when it is none. */
function rank({ moduleId }: TestSpecification): number {
  const at = LONG.findIndex((name) => moduleId.endsWith(name));
  return at === -1 ? LONG.length : at;
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
