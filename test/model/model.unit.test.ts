import { describe, expect, it } from "vitest";
import { check, missing } from "./check.js";
import { type Config, WITHOUT } from "./configs.js";

// The whole campaign takes minutes (npm run campaign:model); these few take seconds.
const SMALL: Config[] = [
  { name: "the whole protocol, one writer transaction", switches: ["TXS=1"], expect: "holds" },
  { name: "a TRUNCATE and a rewrite", switches: ["TXS=1", "TRUNC", "REWRITE"], expect: "holds" },
  ...WITHOUT.filter(({ switches }) =>
    switches.some((s) => ["NO_DEDUPE", "NO_OLD_PAIR", "DRAIN_OUTSIDE_LOCK"].includes(s)),
  ),
];

const lack = missing();

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
