import { expect, test } from "vitest";
import type { RunEvent, RunEventBody } from "../../state/events.js";
import { fold } from "../../state/fold.js";
import { LinePrinter } from "../../ui/lines.js";
import { ndjsonFor } from "../../ui/ndjson.js";
import { event, freshView, UNTIL_RETAINED, windowEvent } from "./support.js";

function printed(events: RunEvent[]): string[] {
  const lines: string[] = [];
  const printer = new LinePrinter((line) => lines.push(line));
  let view = freshView();
  for (const one of events) {
    view = fold(view, one);
    printer.print(one, view);
  }
  return lines;
}

const copy = (batchesDone: number): RunEventBody => ({
  event: "copy",
  rowsDone: batchesDone * 1000,
  rowsEstimated: 100_000,
  batchesDone,
  batchesTotal: 100,
  rowsPerSecond: null,
  secondsLeft: null,
  workers: 2,
});

test("a run in a pipe reads as a log", () => {
  expect(printed([...UNTIL_RETAINED, windowEvent(110, true, "")]).join("")).toMatchInlineSnapshot(`
    "2026-07-01T10:00:00.000Z backup started
    2026-07-01T10:00:09.000Z backup verified: 1.23 GB by pg_dump to /b/o.dump
    2026-07-01T10:00:09.000Z backup done in 9.0s
    2026-07-01T10:00:09.000Z shadow started
    2026-07-01T10:00:10.000Z shadow done in 0.4s
    2026-07-01T10:00:10.000Z copy started
    2026-07-01T10:01:10.000Z copy 100%: 5,000,123 rows, 83,000 rows/s, 0s left
    2026-07-01T10:01:10.000Z copy done in 1m 00s
    2026-07-01T10:01:10.000Z index started
    2026-07-01T10:01:40.000Z index 84 of 84 built, 0s left
    2026-07-01T10:01:40.000Z index done in 30s
    2026-07-01T10:01:40.000Z validate started
    2026-07-01T10:01:44.000Z change log (forward): 12 keys to apply, 9,000 keys/s
    2026-07-01T10:01:45.000Z validation equal: 5,000,123 rows, 12 keys left out, 4.9s
    2026-07-01T10:01:45.000Z validate done in 5.0s
    2026-07-01T10:01:45.000Z cutover started
    2026-07-01T10:01:46.000Z cutover: locks held 61 ms, longest stall 70 ms, tries 3, waited 320 ms. The application is on the new table; the old one is kept.
    2026-07-01T10:01:46.000Z cutover done in 0.9s
    2026-07-01T10:01:46.000Z retain started
    2026-07-01T10:01:50.000Z window: 23h 59m left, until 2026-07-02 10:01 UTC; rollback is safe, 3 keys behind
    "
  `);
});

test("progress is printed every five seconds and at its end, not at every batch", () => {
  const events = Array.from({ length: 101 }, (_, n) => event(n / 10, copy(n)));
  expect(printed(events).map((line) => line.match(/copy (\d+%)/)?.[1])).toEqual(["0%", "50%", "100%"]);
});

test("every lock try is printed with who holds the lock, on one line whatever the query holds", () => {
  const lockTry = (attempt: number): RunEvent =>
    event(attempt / 10, {
      event: "lock-try",
      purpose: "cutover",
      attempt,
      outcome: "timeout",
      timeoutMs: 100,
      waitedMs: 101,
      blockers: [
        { pid: 42, ageSeconds: 192, query: "UPDATE t\n SET a = '\u001b]0;x\u0007'", application: "app" },
      ],
    });
  expect(printed([lockTry(1), lockTry(2)])).toEqual([
    "2026-07-01T10:00:00.100Z lock busy on try 1 after 101 ms of 100 ms (cutover), held by pid 42 app, open 3m 12s: UPDATE t SET a = ']0;x'\n",
    "2026-07-01T10:00:00.200Z lock busy on try 2 after 101 ms of 100 ms (cutover), held by pid 42 app, open 3m 12s: UPDATE t SET a = ']0;x'\n",
  ]);
});

test("a verdict that turns is printed at once, a steady one once a minute", () => {
  const events = [
    windowEvent(0, true, ""),
    windowEvent(1, true, ""),
    windowEvent(2, false, "a leaf was dropped"),
    windowEvent(3, false, "a leaf was dropped"),
    windowEvent(300, false, "a leaf was dropped"),
  ];
  expect(printed(events).map((line) => line.slice(14, 19))).toEqual(["00:00", "00:02", "05:00"]);
});

test("NDJSON is one object a line with the events' own names", () => {
  const one = event(1, { event: "log", level: "warn", message: "two\nlines" });
  const line = ndjsonFor(one);
  expect(line).toBe(
    '{"at":"2026-07-01T10:00:01.000Z","migration":"orders_3f9a1c","event":"log","level":"warn","message":"two\\nlines"}',
  );
  expect(ndjsonFor(one, "public.orders")).toMatch(/^\{"at":"[^"]+","table":"public\.orders","migration":/);
  expect(UNTIL_RETAINED.map((each) => JSON.parse(ndjsonFor(each)))).toEqual(UNTIL_RETAINED);
});
