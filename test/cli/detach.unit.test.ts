import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  goOnElsewhere,
  outputFile,
  successorArgs,
  successorEnv,
  takeHandedOver,
} from "../../src/commands/detach.js";
import { buildProgram } from "../../src/commands/program.js";
import { Journal } from "../../state/journal.js";

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

test("hooks of the run that goes on would have the password in their environment", () => {
  const env = successorEnv(TOLD, { HOME: "/h", DATABASE_URL: "postgres://db/other" });
  expect(takeHandedOver(["node", "partway", "resume"], env)).toEqual([
    ...["node", "partway", "resume", "--url", TOLD.url],
  ]);
  expect(env).toEqual({ HOME: "/h", DATABASE_URL: "postgres://db/other" });
  expect(takeHandedOver(["node", "partway"], { HOME: "/h" })).toEqual(["node", "partway"]);
});

const WAIT = { timeout: 20_000 };
const ID = "orders_3f9a1c";
const at = "2026-07-01T10:00:00.000Z";
let dir: string;
let journal: Journal;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "partway-detach-"));
  journal = Journal.open(join(dir, "journal.db"), "write");
  const facts = { server: "shop@db:5432/shop", table: "public.orders", plan: {}, settings: {} };
  journal.create({ id: ID, ...facts, snapshot: {}, state: "copy", at });
});
afterEach(() => {
  journal.close();
  rmSync(dir, { recursive: true, force: true });
});

const introduce = () =>
  journal.event({
    ...{ at, migration: ID, event: "process", intent: "resume", partway: "1", node: "20", postgres: "18" },
    settings: {},
  });

test.each([
  ["could not be started", ["/nowhere/node"], /could not be started .*ENOENT/],
  ["ended before it began", ["/bin/sh", "-c", "exit 3"], /ended with exit code 3/],
  ["was killed", ["/bin/sh", "-c", "kill -9 $$"], /ended by SIGKILL/],
])("a successor that %s would be told of as a success", async (_what, program, message) => {
  // Of the process before: no claim, and an introduction of its own.
  introduce();
  await expect(goOnElsewhere(ID, { state: dir }, program)).rejects.toMatchObject({
    ...{ message: expect.stringMatching(message), next: `partway resume ${ID}`, exitCode: 1 },
  });
});

/** A successor that ends with exit code 3 once it may, and owns the journal: what else it writes, this test does. */
async function claiming(told: object = {}): Promise<{ going: Promise<string>; pid: number; end(): void }> {
  const wait = `echo pid $$; while [ ! -e ${dir}/go ]; do sleep 0.05; done; exit 3`;
  const going = goOnElsewhere(ID, { state: dir, ...told }, ["/bin/sh", "-c", wait]);
  // Awaited later.
  going.catch(() => undefined);
  const said = () => readFileSync(outputFile(ID, dir), "utf8");
  const pid = Number(await vi.waitUntil(() => /^pid (\d+)\n/.exec(said())?.[1], WAIT));
  journal.claim(ID, { pid, host: hostname(), startedAt: at });
  return { going, pid, end: () => writeFileSync(join(dir, "go"), "") };
}

test("a successor that has the journal and is refused the lease would be told of as a success", async () => {
  introduce();
  const { going, end } = await claiming();
  const looks = vi.spyOn(Journal.prototype, "migration");
  await vi.waitUntil(() => looks.mock.calls.length >= 2, WAIT);
  looks.mockRestore();
  end();
  await expect(going).rejects.toThrow(/ended with exit code 3/);
});

test("it would not be said who goes on, and that the metrics do not", async () => {
  const { going, pid, end } = await claiming({ metrics: ":9187" });
  introduce();
  const message = await going;
  end();
  expect(message).toContain(`${ID} goes on as process ${pid}, without this terminal.`);
  expect(message).toContain("Metrics at :9187 end with this process.");
});
