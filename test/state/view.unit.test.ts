import { expect, test, vi } from "vitest";
import { PHASES, type RunEvent, type RunEventBody } from "../../state/events.js";
import { createViewStore, fold } from "../../state/fold.js";
import { emptyView, type RunView } from "../../state/view.js";

const START = Date.parse("2026-07-01T10:00:00Z");

function event(seconds: number, body: RunEventBody): RunEvent {
  return { at: new Date(START + seconds * 1000).toISOString(), migration: "orders_3f9a1c", ...body };
}

function after(...bodies: RunEventBody[]): RunView {
  const empty = emptyView({
    migration: "orders_3f9a1c",
    table: "public.orders",
    server: "PostgreSQL 18.1",
    startedAt: new Date(START).toISOString(),
  });
  return bodies.reduce((view, body, second) => fold(view, event(second, body)), empty);
}

const phase = (
  name: Extract<RunEventBody, { event: "phase" }>["phase"],
  status: "started" | "done" | "failed",
): RunEventBody => ({ event: "phase", phase: name, status, ms: null });

const CUT_OVER: RunEventBody = {
  event: "cutover",
  direction: "forward",
  tries: 1,
  waitedMs: 0,
  heldMs: 61,
  longestStallMs: 70,
  drainedKeys: 3,
};

const STOPPED: RunEventBody = {
  event: "stopped",
  kind: "stopped",
  what: "Stopped.",
  state: "The rename may or may not have happened; the next run asks the server.",
  next: "partway resume orders_3f9a1c",
  exitCode: 5,
};

const window = (safe: boolean, verdict: string, keysBehind = 3): RunEventBody => ({
  event: "window",
  deadline: "2026-07-02T10:00:00Z",
  secondsLeft: 86_400,
  safe,
  verdict,
  keysBehind,
});

const statuses = (view: RunView) => view.phases.map(({ name, status }) => `${name}:${status}`);

test.each<[name: string, bodies: RunEventBody[], sentence: string]>([
  ["nothing has happened", [], "The source is untouched; the application is using it."],
  [
    "the copy runs",
    [phase("copy", "started")],
    "The source is untouched; the application is using it. Quit any time: the run resumes.",
  ],
  [
    "the run is ready",
    [phase("validate", "done"), { event: "ready", message: "Press c." }],
    "The source is untouched; the application is using it. The new table is ready for cutover.",
  ],
  [
    "the cutover is under way",
    [phase("cutover", "started")],
    "Cutting over: the names swap in one short transaction, or nothing changes.",
  ],
  [
    "the cutover failed",
    [phase("cutover", "started"), phase("cutover", "failed")],
    "The cutover did not complete; both tables are kept and the run resumes.",
  ],
  [
    "the names are swapped and no verdict is known yet",
    [phase("cutover", "started"), CUT_OVER],
    "The application is on the new table; the old one is kept.",
  ],
  [
    "rollback is safe",
    [CUT_OVER, window(true, "rollback is safe, 1 key behind", 1)],
    "The application is on the new table; rollback is safe (1 key behind).",
  ],
  [
    "rollback is not safe, said as a reason",
    [CUT_OVER, window(false, "a leaf was dropped")],
    "The application is on the new table; rollback is not safe because a leaf was dropped.",
  ],
  [
    "rollback is not safe, said as a sentence",
    [CUT_OVER, window(false, "Rollback is not safe because a leaf was dropped.")],
    "The application is on the new table; Rollback is not safe because a leaf was dropped.",
  ],
  [
    "a resumed run begins inside the window",
    [phase("retain", "started")],
    "The application is on the new table; the old one is kept.",
  ],
  [
    "the rollback is under way",
    [CUT_OVER, window(true, ""), phase("rollback", "started")],
    "Rolling back: the names swap in one short transaction, or nothing changes.",
  ],
  [
    "the rollback is done",
    [
      CUT_OVER,
      phase("rollback", "started"),
      { ...CUT_OVER, direction: "reverse" },
      phase("rollback", "done"),
    ],
    "Rolled back: the application is on the original table, with every write made since cutover.",
  ],
  [
    "the abort is done",
    [phase("copy", "started"), phase("abort", "started"), phase("abort", "done")],
    "Aborted: everything Partway made is gone; the source is as it was.",
  ],
  [
    "the run stopped: the fault knows better than the view where things are",
    [phase("cutover", "started"), STOPPED],
    "The rename may or may not have happened; the next run asks the server.",
  ],
  [
    "everything is done",
    [CUT_OVER, phase("drop", "done"), { event: "finished", outcome: "done", message: "Done." }],
    "The application is on the new table; the old one is gone.",
  ],
])("the safety sentence is true when %s", (_name, bodies, sentence) => {
  expect(after(...bodies).safety).toBe(sentence);
});

test("a phase keeps its own duration, and gets one from its start when the event has none", () => {
  const view = after(phase("backup", "started"), phase("backup", "done"));
  expect(view.phases[0]).toMatchObject({ status: "done", ms: 1000 });
  const told = fold(view, event(9, { event: "phase", phase: "shadow", status: "done", ms: 12 }));
  expect(told.phases[1]).toMatchObject({ status: "done", ms: 12 });
});

test("phases after one that runs again are not shown as done", () => {
  const finished = PHASES.slice(0, 5).map((name) => phase(name, "done"));
  const view = after(...finished, phase("copy", "started"));
  expect(statuses(view)).toEqual([
    "backup:done",
    "shadow:done",
    "copy:running",
    "index:waiting",
    "validate:waiting",
    "cutover:waiting",
    "retain:waiting",
    "drop:waiting",
  ]);
});

test("a restarted copy discards what was measured of the old one, and says why", () => {
  const view = after(
    phase("copy", "done"),
    phase("index", "started"),
    { event: "index", built: 3, total: 9, current: [], secondsLeft: null },
    { event: "copy-restarted", reason: "the source was rewritten by VACUUM FULL" },
  );
  expect(view).toMatchObject({ copy: null, index: null, validation: null });
  expect(statuses(view).slice(2, 4)).toEqual(["copy:waiting", "index:waiting"]);
  expect(view.log.at(-1)).toMatchObject({
    level: "warn",
    message: "The copy starts again: the source was rewritten by VACUUM FULL",
  });
});

test("a resumed run no longer shows why the last one stopped", () => {
  const view = after(phase("copy", "started"), { event: "paused" }, STOPPED, phase("copy", "started"));
  expect(view).toMatchObject({ stopped: null, finished: null, paused: false });
});

test("a verdict that turns is written down, one that stays is not", () => {
  const view = after(CUT_OVER, window(true, ""), window(true, ""), window(false, "a leaf was dropped"));
  expect(view.log.map(({ level, message }) => `${level} ${message}`)).toEqual([
    "info The application is on the new table; locks held 61 ms",
    "error Verdict: rollback is not safe because a leaf was dropped",
  ]);
});

test("the lock of one cutover is not shown against the next phase", () => {
  const busy: RunEventBody = {
    event: "lock-try",
    purpose: "cutover",
    attempt: 1,
    outcome: "timeout",
    timeoutMs: 100,
    waitedMs: 100,
    blockers: [{ pid: 1, ageSeconds: 1, query: "", application: "" }],
  };
  expect(after(phase("cutover", "started"), busy).lockTry).toMatchObject({ attempt: 1 });
  expect(after(phase("cutover", "started"), busy, CUT_OVER).lockTry).toBeNull();
});

test("the log keeps the newest fifty messages, oldest first", () => {
  const bodies = Array.from(
    { length: 60 },
    (_, n): RunEventBody => ({ event: "log", level: "info", message: `message ${n}` }),
  );
  const { log } = after(...bodies);
  expect([log.length, log[0]?.message, log.at(-1)?.message]).toEqual([50, "message 10", "message 59"]);
});

test("folding changes neither the view it was given nor the event", () => {
  const view = after(phase("copy", "started"));
  const before = structuredClone(view);
  fold(view, event(5, STOPPED));
  expect(view).toEqual(before);
});

test("an event of a newer version does not blind the screen", () => {
  const unknown: RunEvent = JSON.parse(
    '{"at":"2026-07-01T10:00:00Z","migration":"m","event":"from-the-future"}',
  );
  expect(fold(after(phase("copy", "started")), unknown)).toEqual(after(phase("copy", "started")));
});

test("a store tells its subscribers of every event until they leave", () => {
  const store = createViewStore(after());
  const listener = vi.fn();
  const leave = store.subscribe(listener);
  store.push(event(1, { event: "paused" }));
  leave();
  store.push(event(2, { event: "continued" }));
  expect(listener).toHaveBeenCalledTimes(1);
  expect(store.current().paused).toBe(false);
});
