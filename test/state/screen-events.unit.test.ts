import { expect, test } from "vitest";
import type { RunEventBody } from "../../state/events.js";
import { fold } from "../../state/fold.js";
import { parseEvent } from "../../state/journal-events.js";
import { emptyView } from "../../state/view.js";

const START = Date.parse("2026-07-01T10:00:00Z");
const at = (seconds: number) => new Date(START + seconds * 1000).toISOString();
const event = (seconds: number, body: RunEventBody) => ({ at: at(seconds), migration: "m", ...body });
const fresh = () => emptyView({ migration: "m", table: "t", server: "s", startedAt: at(0) });
const backlog = (seconds: number, keys: number) =>
  event(seconds, { event: "backlog", direction: "forward", keys, appliedPerSecond: null });
const sample = (seconds: number, logged: number | null) =>
  event(seconds, { event: "sample", walBytesPerSecond: null, walBytes: null, logged });
const MAP: RunEventBody = { event: "map", phase: "copy", of: "blocks", cells: "x.", workers: [] };

test("a window or an index event of an older journal would no longer be read", () => {
  const window = { deadline: at(9), secondsLeft: 1, safe: true, verdict: "", keysBehind: 0 };
  const old = [
    { event: "window", ...window },
    { event: "index", built: 1, total: 2, current: [], secondsLeft: null },
  ];
  for (const body of old) {
    const parsed = parseEvent(body.event, JSON.stringify({ at: at(0), migration: "m", ...body }));
    expect(fold(fresh(), parsed)).toMatchObject({ [body.event]: body });
  }
});

test("what a run writes down for the screen reads back as it was", () => {
  const bodies: RunEventBody[] = [
    MAP,
    { event: "forecast", phases: [{ phase: "copy", low: 1, high: 2 }] },
    { event: "leaves", leaves: [{ name: "a", bounds: "FOR VALUES IN ('x')", rows: null, exact: false }] },
    { event: "comparing", done: 1, total: 2, rows: 3, secondsLeft: null },
    { event: "sample", walBytesPerSecond: 1.5, walBytes: 2, logged: null },
    { event: "check", name: "change log short", ok: null },
  ];
  for (const body of bodies)
    expect(parseEvent(body.event, JSON.stringify(event(1, body)))).toEqual(event(1, body));
});

test("the trend has a mark every two seconds, the newest two hundred and forty seconds of them", () => {
  let view = fresh();
  for (let second = 0; second < 400; second += 1) view = fold(view, backlog(second, second));
  expect(view.trend).toHaveLength(120);
  expect(view.trend.at(-1)).toEqual({ at: at(398), keys: 398 });
  expect(view.trend[0]).toEqual({ at: at(160), keys: 160 });
});

test("an estimate of the statistics would stand beside an exact count of the same moment", () => {
  const counted = fold(fold(fresh(), backlog(10, 7)), sample(13, 900));
  expect(counted.trend.map((mark) => mark.keys)).toEqual([7]);
  const later = fold(fold(counted, sample(16, 950)), sample(19, null));
  expect(later.trend.map((mark) => mark.keys)).toEqual([7, 950]);
});

test("the pieces of one phase would be taken for those of the next", () => {
  const phase = (status: "started" | "done") =>
    event(2, { event: "phase", phase: "index", status, ms: null });
  expect(fold(fold(fresh(), event(1, MAP)), phase("started")).map).toBeNull();
  expect(fold(fold(fresh(), event(1, MAP)), phase("done")).map).toBeNull();
  expect(
    fold(fold(fresh(), event(1, MAP)), event(2, { event: "copy-restarted", reason: "" })).map,
  ).toBeNull();
});

test("a second cutover begins with no condition ticked, and each keeps its place", () => {
  const check = (name: string, ok: boolean | null) => event(1, { event: "check", name, ok });
  const seen = [check("a", null), check("b", null), check("a", true)].reduce(fold, fresh());
  expect(seen.checks).toEqual([
    { name: "a", ok: true },
    { name: "b", ok: null },
  ]);
  const again = fold(seen, event(2, { event: "phase", phase: "cutover", status: "started", ms: null }));
  expect(again.checks).toEqual([]);
});

test("the change log's length before the cutover says nothing about the one after it", () => {
  const counts = { tries: 1, waitedMs: 1, heldMs: 1, longestStallMs: 1, drainedKeys: 0 };
  const view = fold(
    fold(fresh(), backlog(1, 9)),
    event(2, { event: "cutover", direction: "forward", ...counts }),
  );
  expect(view.trend).toEqual([]);
});
