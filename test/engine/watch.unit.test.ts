/** A run of another process, seen and steered through the journal: the process is this test. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askAndSee } from "../../src/engine/other-process.js";
import { obeyOthers } from "../../src/engine/other-terminal.js";
import { control, type Watching, watch } from "../../src/watch.js";
import type { RunEvent, RunEventBody } from "../../state/events.js";
import { Journal, type Owner } from "../../state/journal.js";

const ID = "orders_3f9a1c";
const T0 = Date.parse("2026-07-01T10:00:00Z");
const time = (seconds: number) => new Date(T0 + seconds * 1000).toISOString();

/** Lives as long as this test, and is not this process. */
const LIVING: Owner = { pid: process.ppid, host: hostname(), startedAt: time(10) };
const dead = (): Owner => ({ ...LIVING, pid: spawnSync("true").pid });

let dir: string;
let run: Journal;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "partway-watch-"));
  run = Journal.open(join(dir, "journal.db"), "write");
  const facts = { server: "shop@db:5432/shop", table: "public.orders", plan: {}, settings: {} };
  run.create({ id: ID, ...facts, snapshot: {}, state: "backup", at: time(0) });
});
afterEach(() => {
  run.close();
  rmSync(dir, { recursive: true, force: true });
});

const tell = (seconds: number, body: RunEventBody) =>
  run.event({ at: time(seconds), migration: ID, ...body });
const stopped = (kind: string, exitCode: number): RunEventBody => ({
  ...{ event: "stopped", kind, what: `It ended: ${kind}`, state: "Nothing is lost.", next: "partway resume" },
  exitCode,
});
const FINISHED: RunEventBody = { event: "finished", outcome: "done", message: "Done." };

/** The kinds of what is heard, as it comes. */
function heard(watching: Watching): RunEvent["event"][] {
  const events: RunEvent["event"][] = [];
  watching.onEvent(({ event }) => events.push(event));
  return events;
}

/** Answers the next command as the run would; gives its name. */
async function answer(ok: boolean, message: string): Promise<string> {
  const taken = await vi.waitUntil(() => run.takeCommands(ID)[0]);
  run.answer(taken.rowid, ok, message, time(50));
  return taken.name;
}

test("a watcher would miss what happens, hear an earlier run again, or not see the end", async () => {
  tell(5, { event: "log", level: "info", message: "of the process before" });
  run.claim(ID, LIVING);
  tell(11, { event: "paused" });
  const watching = watch({ state: dir });
  const events = heard(watching);
  expect(watching.source.current()).toMatchObject({ paused: true, table: "public.orders" });
  tell(12, { event: "continued" });
  await vi.waitUntil(() => events.length === 2);
  expect(watching.source.current().paused).toBe(false);
  tell(13, FINISHED);
  run.release(ID, LIVING);
  expect(await watching.finished).toMatchObject({ exitCode: 0, error: null });
  expect(events).toEqual(["paused", "continued", "finished"]);
});

test("a script that watches would take a stopped run for a finished one", async () => {
  run.claim(ID, LIVING);
  const watching = watch({ state: dir, id: ID });
  tell(12, stopped("drift", 7));
  run.release(ID, LIVING);
  expect((await watching.finished).exitCode).toBe(7);
});

test("a run whose process was killed would look as if it went on", async () => {
  run.claim(ID, dead());
  tell(11, { event: "phase", phase: "copy", status: "started", ms: null });
  const watching = watch({ state: dir });
  expect((await watching.finished).exitCode).toBe(1);
  expect(watching.source.current().stopped).toMatchObject({
    kind: "gone",
    what: expect.stringMatching(/^process \d+ on .+, which ran orders_3f9a1c, is gone$/),
    next: "partway resume orders_3f9a1c",
  });
  // Said to whoever looks on, not written down: the next process tells how it goes on.
  expect(run.events(ID).map(({ event }) => event.event)).toEqual(["phase"]);
});

test("a run that is handed over would be taken for a stopped one", async () => {
  run.claim(ID, LIVING);
  const watching = watch({ state: dir });
  const events = heard(watching);
  tell(12, stopped("detached", 0));
  run.release(ID, LIVING);
  await vi.waitUntil(() => events.length === 1);
  run.claim(ID, { ...LIVING, startedAt: time(20) });
  tell(21, { event: "phase", phase: "copy", status: "started", ms: null });
  await vi.waitUntil(() => events.length === 2);
  tell(22, FINISHED);
  run.release(ID, { ...LIVING, startedAt: time(20) });
  expect((await watching.finished).exitCode).toBe(0);
});

test("leaving a watch would stop the run, or write into its journal", async () => {
  run.claim(ID, LIVING);
  const leaving = new AbortController();
  const watching = watch({ state: dir, signal: leaving.signal });
  leaving.abort();
  expect((await watching.finished).exitCode).toBe(0);
  expect([run.takeCommands(ID), run.events(ID)]).toEqual([[], []]);
});

test("a key at the watcher would not reach the run, or its answer not come back", async () => {
  run.claim(ID, LIVING);
  const leaving = new AbortController();
  const watching = watch({ state: dir, signal: leaving.signal });
  const obeyed = watching.command("slower");
  expect(await answer(true, "it works 75 % of the time")).toBe("slower");
  expect(await obeyed).toBeNull();
  const refused = watching.command("cutover");
  await answer(false, "cutover is not possible while the run is at copy");
  expect(await refused).toMatch(/refuses: cutover is not possible while the run is at copy$/);
  expect(await watching.command("detach")).toMatch(/own terminal/);
  leaving.abort();
  await watching.finished;
});

test("stop would come back before the run has stopped", async () => {
  run.claim(ID, LIVING);
  let done = false;
  const stopping = control("stop", { state: dir }).finally(() => {
    done = true;
  });
  await answer(true, "it stops at the next safe point");
  tell(12, { event: "log", level: "info", message: "the batch in hand" });
  expect(done).toBe(false);
  tell(13, stopped("stopped", 5));
  expect((await stopping).message).toBe("It ended: stopped. Next: partway resume");
});

test("a cutover that another process could not make would be reported as made", async () => {
  run.claim(ID, LIVING);
  const cutting = control("cutover", { state: dir, id: ID });
  await answer(true, "it cuts over");
  tell(12, stopped("lock-busy", 6));
  await expect(cutting).rejects.toMatchObject({ kind: "refused", message: "It ended: lock-busy" });
});

test.each([
  ["pause", "partway resume orders_3f9a1c"],
  ["continue", "partway resume orders_3f9a1c"],
  ["stop", "partway resume orders_3f9a1c"],
  ["slower", "partway resume orders_3f9a1c; then partway throttle orders_3f9a1c again"],
  ["postpone", "partway resume orders_3f9a1c --postpone"],
] as const)(
  "%s of a run that nobody drives would wait for ever, or be carried out later",
  async (name, next) => {
    await expect(control(name, { state: dir })).rejects.toMatchObject({
      ...{ kind: "refused", exitCode: 3, message: "no process runs orders_3f9a1c", next },
    });
    expect(run.takeCommands(ID)).toEqual([]);
  },
);

test("of several open migrations the one that runs would have to be named", async () => {
  run.create({
    ...{ id: "events_1a2b3c", server: "", table: "public.events", plan: {}, settings: {}, snapshot: {} },
    ...{ state: "backup", at: time(1) },
  });
  await expect(control("pause", { state: dir })).rejects.toMatchObject({ kind: "bad-input", exitCode: 2 });
  run.claim(ID, LIVING);
  const pausing = control("pause", { state: dir });
  await answer(true, "paused");
  expect(await pausing).toEqual({ id: ID, command: "pause", message: "paused" });
});

/** What `partway cutover` from another terminal says, when the run tells these after its yes. */
async function asked(...bodies: RunEventBody[]): Promise<string> {
  run.claim(ID, LIVING);
  const record = run.migration(ID);
  if (record === null) throw new Error("no migration");
  const said = askAndSee(run, record, "cutover").catch((error: Error) => `failed: ${error.message}`);
  await answer(true, "it cuts over");
  for (const [at, body] of bodies.entries()) tell(60 + at, body);
  return said;
}
const cutover = (status: "started" | "done" | "failed"): RunEventBody => ({
  ...{ event: "phase", phase: "cutover", status },
  ms: null,
});

test("a cutover that a hook vetoes, or whose answer was lost, would be waited for without end", async () => {
  const ready: RunEventBody = { event: "ready", message: "ready" };
  const goesOn = "failed: the cutover did not go through; the run goes on without it";
  expect(await asked(ready)).toBe(goesOn);
  const again: RunEventBody = { event: "phase", phase: "shadow", status: "started", ms: null };
  expect(await asked(cutover("started"), cutover("failed"), again)).toBe(goesOn);
  expect(await asked(cutover("started"), cutover("done"))).toBe("swapped");
  // The run's own last word says more than that it failed.
  expect(await asked(cutover("started"), cutover("failed"), stopped("lock-busy", 6))).toBe(
    "failed: It ended: lock-busy",
  );
});

test("a run that wakes up after hours would cut over for somebody who went away", async () => {
  run.claim(ID, LIVING);
  const old = run.command(ID, "cutover", new Date(Date.now() - 60_000).toISOString());
  const fresh = run.command(ID, "pause", new Date().toISOString());
  const obeyed: string[] = [];
  const end = obeyOthers(
    run,
    ID,
    (command) => {
      obeyed.push(command);
      return { ok: true, message: "done" };
    },
    (error) => {
      throw error;
    },
  );
  await vi.waitUntil(() => run.commandAnswer(fresh) !== null);
  end();
  expect(obeyed).toEqual(["pause"]);
  expect(run.commandAnswer(old)).toEqual({ ok: false, message: "it was asked for too long ago" });
});
