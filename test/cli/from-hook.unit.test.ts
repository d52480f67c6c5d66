/** Commands that are typed in a hook: the run, which waits for the hook, is this test. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askFromHook } from "../../src/commands/from-hook.js";
import { Journal } from "../../state/journal.js";

const ID = "orders_3f9a1c";
const at = "2026-07-01T10:00:00.000Z";
const IN_HOOK = { PARTWAY_EVENT: "ready", PARTWAY_MIGRATION: ID };

let dir: string;
let run: Journal;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "partway-hook-"));
  run = Journal.open(join(dir, "journal.db"), "write");
  const facts = { server: "shop@db:5432/shop", table: "public.orders", plan: {}, settings: {} };
  run.create({ id: ID, ...facts, snapshot: {}, state: "cutover", at });
});
afterEach(() => {
  run.close();
  rmSync(dir, { recursive: true, force: true });
});

test.each(["cutover", "rollback", "stop"] as const)(
  "%s in a hook would wait for the run, which waits for the hook, until it is killed",
  async (command) => {
    run.claim(ID, { pid: process.ppid, host: hostname(), startedAt: at });
    const asked = askFromHook(command, { state: dir }, IN_HOOK);
    const taken = await vi.waitUntil(() => run.takeCommands(ID)[0], { timeout: 20_000 });
    expect(taken.name).toBe(command);
    run.answer(taken.rowid, true, "asked for", at);
    // Nothing has come of it yet.
    expect(await asked).toMatchObject({ id: ID, command, message: expect.stringMatching(/^asked, and not/) });
  },
);

test("a command outside a hook, for another run, or for one that nobody runs would only ask", async () => {
  expect(await askFromHook("cutover", { state: dir }, IN_HOOK)).toBeNull();
  run.claim(ID, { pid: spawnSync("true").pid, host: hostname(), startedAt: at });
  expect(await askFromHook("cutover", { state: dir }, IN_HOOK)).toBeNull();
  expect(await askFromHook("cutover", { state: dir, id: "items_000000" }, IN_HOOK)).toBeNull();
  expect(await askFromHook("cutover", { state: dir }, { PARTWAY_MIGRATION: ID })).toBeNull();
  expect(run.takeCommands(ID)).toEqual([]);
});
