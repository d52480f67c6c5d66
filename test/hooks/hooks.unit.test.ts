/** Commands beside a run: in order, for a bounded time, and none while the names are swapped. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runCommand } from "../../src/hooks/command.js";
import { Hooks } from "../../src/hooks/hooks.js";
import { parseHook } from "../../src/hooks/names.js";
import type { RunEvent, RunEventBody } from "../../state/events.js";
import { emptyView } from "../../state/view.js";

const at = "2026-01-01T00:00:00.000Z";
const RUN = { migration: "orders_3f9a1c", table: "public.orders", server: "me@db:5432/shop" };
const VIEW = emptyView({ ...RUN, startedAt: at });
const MINUTE = 60_000;
const never = new AbortController().signal;

let dir: string;
let told: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "partway-hooks-"));
  told = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const out = (): string => readFileSync(join(dir, "out"), "utf8");

function hooksOf(timeoutMs: number, ...typed: string[]): Hooks {
  return new Hooks({
    hooks: typed.map((text) => parseHook(text.replaceAll("$DIR", dir))),
    ...{ timeoutMs, run: RUN, log: pino({ enabled: false }), phase: () => "copy" },
    tell: (level, message) => told.push(`${level}: ${message}`),
  });
}

const event = (body: RunEventBody): RunEvent => ({ at, migration: RUN.migration, ...body });
const phase = (name: "copy" | "index", status: "started" | "done"): RunEvent =>
  event({ event: "phase", phase: name, status, ms: null });
const SWAPPED = event({
  ...{ event: "cutover", direction: "forward", tries: 1, waitedMs: 0, heldMs: 50 },
  ...{ longestStallMs: 0, drainedKeys: 0 },
});
const WAIT = "while [ ! -e $DIR/go ]; do sleep 0.02; done";

test("a later event would be told before an earlier one", async () => {
  const hooks = hooksOf(
    MINUTE,
    `phase:copy=${WAIT}; echo $PARTWAY_EVENT >> $DIR/out`,
    "phase:index=echo $PARTWAY_EVENT >> $DIR/out",
  );
  for (const one of [phase("copy", "started"), phase("copy", "done"), phase("index", "started")])
    hooks.hear(VIEW, one);
  writeFileSync(join(dir, "go"), "");
  await hooks.settled();
  expect(out()).toBe("phase:copy:started\nphase:copy:done\nphase:index:started\n");
});

test("a command would run while the lock of the swap is held, or never after it", async () => {
  const hooks = hooksOf(
    MINUTE,
    `phase:copy=${WAIT}; echo copy >> $DIR/out`,
    "phase:index=echo index >> $DIR/out",
    "cutover=echo swapped >> $DIR/out",
  );
  hooks.hear(VIEW, phase("copy", "done"));
  const held = hooks.hold(never);
  writeFileSync(join(dir, "go"), "");
  await held;
  expect(out()).toBe("copy\n");
  hooks.hear(VIEW, phase("index", "done"));
  await hooks.settled();
  expect(out()).toBe("copy\n");
  // Told when the swap is committed.
  hooks.hear(VIEW, SWAPPED);
  await hooks.settled();
  expect(out()).toBe("copy\nindex\nswapped\n");
});

test("a stop would wait for a command before the swap", async () => {
  const hooks = hooksOf(MINUTE, `phase=${WAIT}`);
  hooks.hear(VIEW, phase("copy", "done"));
  await expect(hooks.hold(AbortSignal.abort(new Error("stopped")))).rejects.toThrow("stopped");
  writeFileSync(join(dir, "go"), "");
  await hooks.settled();
  expect(told).toEqual([]);
});

test("a command that fails would be passed over in silence, or hold up the next", async () => {
  const hooks = hooksOf(MINUTE, "phase=echo no route to pager; exit 4", "phase:copy=echo told >> $DIR/out");
  hooks.hear(VIEW, phase("copy", "done"));
  await hooks.settled();
  expect(told).toEqual([
    "warn: hook phase:copy:done: echo no route to pager; exit 4 (exit code 4): no route to pager",
  ]);
  expect(out()).toBe("told\n");
});

test("a veto would not be heard, or one yes be enough for two", async () => {
  const hooks = hooksOf(MINUTE, "before-cutover=true", "before-cutover=echo not tonight >&2; false");
  expect(hooks.asks).toBe(true);
  await expect(hooks.askBeforeCutover(never)).rejects.toMatchObject({
    kind: "vetoed",
    exitCode: 3,
    message: expect.stringContaining("not tonight"),
    next: expect.stringContaining("partway cutover orders_3f9a1c"),
  });
  await hooksOf(MINUTE, "before-cutover=test $PARTWAY_EVENT = before-cutover").askBeforeCutover(never);
  expect(hooksOf(MINUTE, "finished=true").asks).toBe(false);
});

test("a run that is stopped would wait for the answer before the cutover", async () => {
  const stop = new AbortController();
  const asked = hooksOf(MINUTE, "before-cutover=sleep 3600").askBeforeCutover(stop.signal);
  stop.abort(new Error("stopped"));
  await expect(asked).rejects.toThrow("stopped");
});

test("a command that hangs, and what it started, would hold the end of the run for ever", async () => {
  // Both hold the pipe: that this resolves says that both are gone.
  const hung = await runCommand("echo begun; sleep 3600 & sleep 3600", {}, 300);
  expect(hung).toMatchObject({ ok: false, how: "killed after 0.3 s", output: "begun" });
  const deaf = await runCommand("trap '' TERM; echo deaf; sleep 3600", {}, 300);
  expect(deaf).toMatchObject({ ok: false, how: "killed after 0.3 s", output: "deaf" });
});

test("a daemon that a command starts would hold the cutover and the end of the run for as long as it lives", async () => {
  const [ok, failed, hung] = await Promise.all([
    runCommand("setsid sleep 3600 & echo $!", {}, MINUTE),
    runCommand("setsid sleep 3600 & echo $!; exit 3", {}, MINUTE),
    runCommand("setsid sleep 3600 & echo $!; sleep 3600", {}, 300),
  ]);
  // Each is still there, with the pipe in its hands: it was not waited for.
  for (const { output } of [ok, failed, hung]) process.kill(Number(output), "SIGKILL");
  expect(ok).toMatchObject({ ok: true, how: "exit code 0" });
  expect(failed).toMatchObject({ ok: false, how: "exit code 3" });
  expect(hung).toMatchObject({ ok: false, how: "killed after 0.3 s" });
});

test("a command that talks without end would fill the memory, or lose its last words", async () => {
  const { ok, output } = await runCommand("yes | head -c 1000000; echo; echo last words", {}, MINUTE);
  expect(ok).toBe(true);
  expect(output.length).toBeLessThan(10_000);
  expect(output.endsWith("last words")).toBe(true);
});

test("a command that is too big to start would break the run", async () => {
  const result = await runCommand("true", { PARTWAY_JSON: "x".repeat(4_000_000) }, MINUTE);
  expect(result).toMatchObject({ ok: false, how: expect.stringContaining("E2BIG") });
});
