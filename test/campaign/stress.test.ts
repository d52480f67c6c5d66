/** A few rounds of the stress campaign: every key, several schemes, TRUNCATE, COPY, SERIALIZABLE, restarts. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { bundleCli } from "../support/bundle.js";
import { type Choice, choose } from "./stress-choice.js";
import { stressRound } from "./stress-round.js";

const SMALL = { rows: 800, maxRows: 2_000, bulk: 300, clients: 2, workers: 2 };
const QUIET = { backup: false, kills: 0, cuts: 0, truncates: 0 };

/** Together every key; each version runs its own. */
const ROUNDS: Record<string, Partial<Choice>[]> = {
  "15": [
    { seed: 1, shape: "int", scheme: "step of the key", mix: "copy", truncates: 1, endings: ["rollback"] },
    {
      seed: 2,
      shape: "identity",
      scheme: "month timestamptz",
      mix: "serializable",
      kills: 1,
      endings: ["rollback"],
    },
  ],
  "18": [
    { seed: 3, shape: "uuid", scheme: "list", mix: "keys", cuts: 1, endings: ["abort"] },
    { seed: 4, shape: "text", scheme: "hash", mix: "toast", truncates: 1, endings: ["finalize"] },
    { seed: 5, shape: "composite", scheme: "week date", mix: "bulk", kills: 1, endings: ["rollback"] },
  ],
};

let cli: ReturnType<typeof bundleCli>;
beforeAll(() => {
  cli = bundleCli();
});
afterAll(() => cli.remove());

describe("a row would be lost, doubled or changed under writers at full speed", () => {
  const { superuserUrl, version } = inject("server");
  const rounds = ROUNDS[version] ?? [];
  test.each(rounds.map((asked) => choose(asked.seed ?? 0, { ...SMALL, ...QUIET, ...asked })))(
    "$shape by $scheme, mix $mix, $endings (seed $seed)",
    { timeout: 600_000 },
    async (choice) => {
      const result = await stressRound(superuserUrl, cli.file, choice);
      expect(result.faults, result.log.join("\n")).toEqual([]);
      expect(result.rowsCompared).toBeGreaterThan(400);
      expect(result.commits).toBeGreaterThan(50);
    },
  );
});
