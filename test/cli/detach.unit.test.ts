import type { Command } from "commander";
import { expect, test } from "vitest";
import { successorArgs } from "../../src/commands/detach.js";
import { buildProgram } from "../../src/commands/program.js";

const TOLD = {
  ...{ state: "/s", url: "postgres://shop:geheim@db/shop", hold: true, repair: true },
  ...{ workers: "4", batchBlocks: "16", lockTimeout: "50ms", lockTimeoutMax: "2s" },
  ...{ lockTries: "9", holdBudget: "3s" },
};

test("a run that goes on elsewhere would show its password to everybody, or forget how it was told to work", () => {
  const args = successorArgs("orders_3f9a1c", TOLD);
  expect(args.join(" ")).not.toMatch(/geheim|postgres:/);
  expect(args).toEqual([
    ...["resume", "orders_3f9a1c", "--hold", "--state", "/s"],
    ...["--workers", "4", "--batch-blocks", "16", "--lock-timeout", "50ms", "--lock-timeout-max", "2s"],
    ...["--lock-tries", "9", "--hold-budget", "3s", "--repair"],
  ]);
  expect(successorArgs("orders_3f9a1c", { hold: false, state: "/s" })).toEqual([
    ...["resume", "orders_3f9a1c", "--no-hold", "--state", "/s"],
  ]);
});

test("the process that goes on would not understand what it is told", async () => {
  const program = buildProgram(() => Promise.resolve());
  const resume = program.commands.find((command: Command) => command.name() === "resume");
  await program.parseAsync(successorArgs("orders_3f9a1c", TOLD), { from: "user" });
  const { url, state, ...rest } = TOLD;
  expect(resume?.opts()).toMatchObject({ state, ...rest });
});
