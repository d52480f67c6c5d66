import { describe, expect, it } from "vitest";
import { check, missing } from "./check.js";
import { type Config, WITHOUT } from "./configs.js";

/** The four that issue 3 names. */
const NAMED = ["NO_DEDUPE", "NO_OLD_PAIR", "DRAIN_OUTSIDE_LOCK", "NO_FOR_SHARE"];

// The whole campaign takes minutes (npm run campaign:model); these few take seconds.
const SMALL: Config[] = [
  { name: "the whole protocol, a crash anywhere", switches: ["TXS=1", "CRASH"], expect: "holds" },
  {
    name: "a TRUNCATE and a rewrite, to cutover",
    switches: ["STOP_AT_CUTOVER", "TXS=1", "TRUNC", "REWRITE"],
    expect: "holds",
  },
  ...NAMED.flatMap((rule) => WITHOUT.filter(({ switches }) => switches.includes(rule)).slice(0, 1)),
];

const lack = missing();
if (lack !== null) console.warn(`the protocol is not model-checked here: ${lack}`);

describe.skipIf(lack !== null)(
  `the protocol loses no committed write${lack === null ? "" : ` (skipped: ${lack})`}`,
  () => {
    it.each(SMALL)("$name: $expect", { timeout: 60_000 }, async (config) => {
      const outcome = await check(config);
      expect({ result: outcome.result, expected: config.expect }).toEqual({
        result: config.expect,
        expected: config.expect,
      });
      expect(outcome.states).toBeGreaterThan(config.expect === "holds" ? 1000 : 0);
    });
  },
);
