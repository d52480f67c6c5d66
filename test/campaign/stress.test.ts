/** A few rounds of the stress campaign: every key, several schemes, TRUNCATE, COPY, SERIALIZABLE, restarts. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { buildCli } from "../cli/support.js";
import { type Choice, choose } from "./stress-choice.js";
import { stressRound } from "./stress-round.js";

const SMALL = {
  rows: 1_200,
  maxRows: 3_000,
  bulk: 300,
  clients: 2,
  workers: 2,
  backup: false,
  kills: 1,
  cuts: 0,
};

const ROUNDS: Partial<Choice>[] = [
  { seed: 1, shape: "int", scheme: "step of the key", mix: "copy", truncates: 1, endings: ["rollback"] },
  { seed: 2, shape: "identity", scheme: "month timestamptz", mix: "serializable", endings: ["rollback"] },
  { seed: 3, shape: "uuid", scheme: "list", mix: "keys", cuts: 1, endings: ["abort", "finalize"] },
  { seed: 4, shape: "text", scheme: "hash", mix: "toast", truncates: 1, endings: ["finalize"] },
  { seed: 5, shape: "composite", scheme: "week date", mix: "bulk", endings: ["rollback"] },
];

let cli: ReturnType<typeof buildCli>;
beforeAll(() => {
  cli = buildCli();
});
afterAll(() => cli.remove());

describe("a row would be lost, doubled or changed under writers at full speed", () => {
  const rounds = ROUNDS.map((asked) => choose(asked.seed ?? 0, { truncates: 0, ...SMALL, ...asked }));
  test.each(rounds)("$shape by $scheme, mix $mix, $endings (seed $seed)", async (choice) => {
    const { superuserUrl } = inject("server");
    const result = await stressRound(superuserUrl, cli.file, choice);
    expect(result.faults, result.log.join("\n")).toEqual([]);
    expect(result.rowsCompared).toBeGreaterThan(500);
    expect(result.commits).toBeGreaterThan(100);
  });
});
