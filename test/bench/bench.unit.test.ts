/** What the bench computes and prints, without a server: a number that is wrong here would be believed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PartwayError } from "../../src/errors.js";
import { quantile } from "../../src/throttle/marks.js";
import { insideLock } from "./cutover.js";
import { eventsOf, phaseSeconds, STEPS } from "./events.js";
import { statistics } from "./floor.js";
import { bySecond, latencyIn, longestTouching } from "./latency.js";
import { markdown } from "./markdown.js";
import { parseOptions } from "./options.js";
import { type Measurement, Result, ratiosOf } from "./result.js";
import { rotated } from "./saturation.js";
import { median, ratio } from "./stats.js";
import { svg } from "./svg.js";
import { tablesOf, terminalTable } from "./tables.js";
import { judge, judged, TARGETS } from "./targets.js";
import { runSpans, swapValues } from "./under-writers.js";
import { type Look, waitOf, waitsIn } from "./waits.js";

const result = (measurements: Partial<Measurement>[], more: Partial<Result> = {}): Result =>
  Result.parse({
    ...{ server: "15", started: "2026-01-02T03:04:05.000Z", finished: "2026-01-02T04:04:05.000Z" },
    ...{ command: "npm run bench --", rows: 5_000_000, rowBytes: 180.4, partway: "0.1.0" },
    ...{ machine: { cpu: "A <fast> & quiet one", cores: "2" }, settings: { fsync: "on" } },
    measurements: measurements.map((one) => ({ round: "fast 1", at: "2026-01-02T03:10:00Z", ...one })),
    ...{ skipped: [], profiles: [], ...more },
  });

describe("statistics", () => {
  test("a median is the middle one, or between the two middle ones", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNull();
  });

  test("a percentile is a value that was measured, the nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
    expect([0.07, 0.5, 0.99, 0.999, 1].map((share) => quantile(hundred, share))).toEqual([
      7, 50, 99, 100, 100,
    ]);
    expect(quantile([7], 0.5)).toBe(7);
  });

  test("there is no ratio to nothing", () => {
    expect(ratio(3, 2)).toBe(1.5);
    expect([ratio(3, 0), ratio(null, 2), ratio(3, undefined)]).toEqual([null, null, null]);
  });

  test("values of different rounds are never divided by each other", () => {
    const of = result([
      { part: "partway", round: "fast 1", values: { seconds: 10 } },
      { part: "floor", round: "fast 1", values: { seconds: 20 } },
      { part: "partway", round: "fast 2", values: { seconds: 90 } },
      { part: "floor", round: "slow 1", values: { seconds: 1 } },
    ]);
    expect(ratiosOf(of, ["partway", "seconds"], ["floor", "seconds"])).toEqual([0.5]);
  });
});

describe("latency", () => {
  const samples = [
    { due: 900, ms: 300, ok: true },
    { due: 1_000, ms: 1, ok: true },
    { due: 1_500, ms: 9, ok: true },
    { due: 1_600, ms: 5, ok: false },
    { due: 1_999, ms: 50, ok: true },
    { due: 2_000, ms: 70, ok: true },
  ];

  test("a span has the statements that were due in it, and the answers that came in it", () => {
    const found = latencyIn(samples, { name: "copy", from: 1_000, to: 2_000 });
    // Due: 1, 9 and 50 ms; answered: the one due before, 1 and 9 ms.
    expect(found).toMatchObject({ count: 3, errors: 1, p50: 9, max: 50, perSecond: 3, seconds: 1 });
    expect(latencyIn(samples, { name: "never", from: 5_000, to: 6_000 })).toBeNull();
  });

  test("late answers and failed ones are not load that was kept", () => {
    const late = [
      { due: 1_000, ms: 100, ok: true },
      { due: 1_200, ms: 101, ok: true },
      { due: 1_400, ms: 1, ok: false },
      { due: 1_600, ms: 2, ok: true },
    ];
    // All that were answered came within the span: by answers a second alone nothing would be missing but the failed one.
    expect(latencyIn(late, { name: "copy", from: 1_000, to: 2_000 })).toMatchObject({
      perSecond: 3,
      onTime: 0.5,
    });
  });

  test("each second has its own p99 and max, and the span that it begins in", () => {
    const spans = [
      { name: "window", from: 1_900, to: 9_000 },
      { name: "window_first", from: 1_900, to: 3_900 },
    ];
    expect(bySecond([...samples, { due: 4_950, ms: 4, ok: true }], spans)).toEqual([
      { from: 900, second: 0, span: "", count: 3, p99: 300, max: 300 },
      { from: 1_900, second: 1, span: "window_first", count: 2, p99: 70, max: 70 },
      { from: 4_900, second: 4, span: "window", count: 1, p99: 4, max: 4 },
    ]);
    expect(bySecond([], spans)).toEqual([]);
  });

  test("waiting for a commit to reach the disk is told from other IO, locks and work, on each version", () => {
    expect(
      [
        ["active", "IO", "WALSync"],
        ["active", "IO", "WalSync"],
        ["active", "LWLock", "WALWrite"],
        ["active", "IO", "DataFileRead"],
        ["active", "Lock", "relation"],
        ["active", "LWLock", "BufferContent"],
        ["active", "IPC", "SafeSnapshot"],
        ["active", null, null],
        ["idle", "Client", "ClientRead"],
      ].map(([state, type, event]) => waitOf(state ?? null, type ?? null, event ?? null)),
    ).toEqual(["wal", "wal", "wal", "io", "lock", "lwlock", "other", "none", "idle"]);
    const looks: Look[] = [
      { at: 999, counts: { lock: 9 } },
      { at: 1_000, counts: { wal: 2, idle: 6 } },
      { at: 1_500, counts: { wal: 3, none: 1, idle: 4 } },
      { at: 2_000, counts: { lock: 9 } },
    ];
    expect(waitsIn(looks, { from: 1_000, to: 2_000 })).toEqual({
      ...{ wal: 5, io: 0, lock: 0, lwlock: 0, other: 0, none: 1, idle: 10 },
    });
  });

  test("a statement that was sent before the lock and waited for it is part of the stall", () => {
    expect(longestTouching(samples, { from: 1_100, to: 1_400 })).toBe(300);
    expect(longestTouching(samples, { from: 1_300, to: 1_400 })).toBe(0);
  });
});

describe("a run's lines", () => {
  const line = (second: number, body: object) => ({
    ...{ at: new Date(second * 1_000).toISOString(), migration: "m", ms: null },
    ...body,
  });
  const phase = (second: number, name: string, status: string) =>
    line(second, { event: "phase", phase: name, status });
  const step = (second: number, name: string) =>
    line(second, { event: "index", built: 0, total: 3, current: [], secondsLeft: null, step: name });

  test("seconds of the phases, the index phase's steps, and of all without validation", () => {
    const events = eventsOf([
      { event: "something of a later version" },
      ...[phase(10, "shadow", "started"), phase(11, "shadow", "done")],
      ...[phase(11, "copy", "started"), phase(20, "copy", "done"), phase(20, "index", "started")],
      ...[step(20, "building indexes"), step(23, "building indexes")],
      ...[step(28, "freezing rows, gathering statistics"), step(34, "catching up with the change log")],
      ...[phase(35, "index", "done"), phase(35, "validate", "started"), phase(40, "validate", "done")],
    ]);
    expect(phaseSeconds(events)).toEqual({
      ...{ shadowSeconds: 1, copySeconds: 9, indexSeconds: 15, validateSeconds: 5 },
      ...{ buildSeconds: 8, vacuumSeconds: 6, catchUpSeconds: 1 },
      ...{ seconds: 25, secondsWithoutVacuum: 19, secondsWithValidation: 30 },
    });
  });

  test("the window is one span, and its first two seconds and the rest are one each", () => {
    const events = eventsOf([phase(10, "retain", "started"), phase(17, "retain", "done")]);
    expect(runSpans(events)).toEqual([
      { name: "window", from: 10_000, to: 17_000 },
      { name: "window_first", from: 10_000, to: 12_000 },
      { name: "window_rest", from: 12_000, to: 17_000 },
    ]);
  });

  const swap = (second: number, waitedMs: number, heldMs: number) =>
    line(second, {
      ...{ event: "cutover", direction: "forward", tries: 2, waitedMs, heldMs },
      ...{ longestStallMs: 0, drainedKeys: 0 },
    });

  test("what stalls in the second after the swap is a stall of the swap, what comes later is not", () => {
    const events = eventsOf([swap(10, 3, 20)]);
    const stall = (due: number, ms: number) => swapValues(events, [{ due, ms, ok: true }])["writerStallMs"];
    expect([stall(10_900, 70), stall(11_001, 70), stall(9_000, 1_100)]).toEqual([70, 0, 1_100]);
  });

  test("the floor gathers statistics and freezes as the index phase of that version does", () => {
    const phases = readFileSync(join(import.meta.dirname, "../../src/phases/index-build.ts"), "utf8").replace(
      /\$\{(shadow|leaf)\}/g,
      "public.$1",
    );
    for (const version of [150_000, 180_000]) {
      const { parent, leaf } = statistics(version);
      expect(phases).toContain(`\`${parent}\``);
      expect(phases).toContain(`\`${leaf("leaf")}\``);
    }
    expect(statistics(170_010).leaf("x")).not.toContain("ANALYZE");
    expect(phases).toContain("ANALYZE_ONLY = 180_000");
  });

  test("each pair of the saturated states begins with another state", () => {
    expect([0, 1, 3, 4].map((turn) => rotated(["a", "b", "c", "d"], turn).join(""))).toEqual([
      ...["abcd", "bcda", "dabc", "abcd"],
    ]);
  });

  test("the steps and conditions it looks for are those that the phases tell", () => {
    const told = ["index-build.ts", "cutover.ts"].map((file) =>
      readFileSync(join(import.meta.dirname, "../../src/phases", file), "utf8"),
    );
    for (const name of [...Object.keys(STEPS), "new table untouched", "change log short"])
      expect(told.join("\n")).toContain(`"${name}"`);
  });

  test("the statements between the last lock and the commit, of the backend that renamed", () => {
    const log = [
      "1.1 [7] LOG:  duration: 99.0 ms  statement: SELECT before_the_lock",
      '1.2 [7] LOG:  duration: 80.0 ms  statement: LOCK TABLE "public"."orders" IN ACCESS EXCLUSIVE MODE',
      "1.3 [8] LOG:  duration: 55.0 ms  statement: SELECT of_another",
      "1.4 [7] LOG:  duration: 1.0 ms  parse look: SELECT 1",
      "1.5 [7] LOG:  duration: 2.0 ms  bind look: SELECT 1",
      "1.6 [7] LOG:  duration: 4.0 ms  execute look: SELECT 1",
      "\tDETAIL of the line above",
      '1.7 [7] LOG:  duration: 3.0 ms  statement: ALTER TABLE "public"."orders"',
      "\t  RENAME TO orders_retired",
      "1.8 [7] LOG:  duration: 5.0 ms  statement: COMMIT",
      "1.9 [7] LOG:  duration: 77.0 ms  statement: SELECT after_it",
    ].join("\n");
    expect(insideLock(log.replace("\n\tDETAIL of the line above", ""))).toEqual([
      { statement: "SELECT 1", ms: 7, count: 1 },
      { statement: "COMMIT", ms: 5, count: 1 },
      { statement: 'ALTER TABLE "public"."orders" RENAME TO orders_retired', ms: 3, count: 1 },
    ]);
    expect(insideLock("1.1 [7] LOG:  duration: 1.0 ms  statement: COMMIT")).toEqual([]);
  });
});

describe("targets", () => {
  const target = TARGETS.find(({ name }) => name.startsWith("from the shadow on, without validation, idle"));
  const verdict = (seconds: number) => {
    if (target === undefined) throw new Error("the target is not there");
    return judge(
      target,
      result([
        { part: "partway", values: { seconds } },
        { part: "floor", values: { seconds: 10_000 } },
      ]),
    );
  };

  test("met up to the bound, missed beyond it, and what missed it does not read like the bound", () => {
    expect(verdict(10_000)).toMatchObject({ verdict: "met", measured: "1x", bound: "at most 1x" });
    expect(verdict(10_001)).toMatchObject({ verdict: "missed", measured: "1.0001x" });
    expect(verdict(12_345)).toMatchObject({ verdict: "missed", measured: "1.23x" });
  });

  test("what was not measured is not met", () => {
    expect(judged(result([])).map((one) => one.verdict)).toEqual(TARGETS.map(() => "not measured"));
  });

  const measured = (start: string, of: Result) => {
    const found = judged(of).filter(({ name }) => name.startsWith(start));
    return found.map((one) => `${one.measured} ${one.verdict}`);
  };

  test("Partway's WAL, which has VACUUM's, is divided by the floor's that has it too", () => {
    const of = result([
      { part: "partway", values: { walPerRow: 303 } },
      { part: "floor", values: { walPerRow: 200, walPerRowWithVacuum: 300 } },
    ]);
    expect(measured("WAL a row", of)).toEqual(["1.01x met"]);
  });

  test("a stall is measured against the try's lock_timeout and the held time, not less and not more", () => {
    const swapped = { heldMs: 20, lockTimeoutMs: 100, lockWaitMs: 3 };
    const of = (writerStallMs: number) =>
      result([{ part: "cutover", values: { ...swapped, writerStallMs } }]);
    expect(measured("a statement stalled", of(120))).toEqual(["0 ms met"]);
    expect(measured("a statement stalled", of(187))).toEqual(["67 ms missed"]);
  });

  test("the window is judged whole, its first seconds too", () => {
    const of = result([
      {
        part: "partway-500",
        values: { "window.p99Ratio": 9, "window_rest.p99Ratio": 1, "window.onTime": 0.9 },
      },
    ]);
    expect(measured("p99 of 500 writes/s during the window", of)).toEqual(["9x missed"]);
    expect(measured("500 writes/s answered within 100 ms during the window", of)).toEqual(["90% missed"]);
  });

  test("the worst swap is judged, not the middle one", () => {
    const swaps = [40, 41, 130].map((heldMs) => ({ part: "cutover", values: { heldMs, writerStallMs: 90 } }));
    const held = judged(result(swaps)).filter(({ name }) => name.includes("28 leaves"));
    expect(held.map((one) => [one.measured, one.verdict])).toEqual([
      ["41 ms", "met"],
      ["130 ms", "missed"],
    ]);
  });
});

describe("what is printed", () => {
  const full = result(
    [
      {
        part: "floor",
        values: {
          ...{ seconds: 17.1, copySeconds: 6.4, indexSeconds: 10.7, secondsWithVacuum: 25 },
          ...{ walPerRow: 200, walPerRowWithVacuum: 300 },
        },
      },
      {
        part: "partway",
        values: {
          ...{ seconds: 24, copySeconds: 6, indexSeconds: 18, secondsWithoutVacuum: 16 },
          ...{ wallSeconds: 26, walPerRow: 303 },
        },
      },
      {
        part: "partway-500",
        values: {
          ...{ seconds: 30, "copy.p99": 4.2, "copy.max": 30, "copy.perSecond": 500 },
          ...{ "window_first.p99": 80, "window_rest.p99": 3 },
          ...{ "copy.wait.wal": 30, "copy.wait.lock": 10, "copy.wait.none": 60, "copy.wait.idle": 900 },
        },
      },
    ],
    {
      profiles: [{ part: "cutover", statements: [{ statement: "SELECT a || b", ms: 3, count: 1 }] }],
      skipped: [{ part: "repack", why: "Debian's postgresql-15-repack not installed" }],
    },
  );

  test("every row of a table has as many cells as its head", () => {
    for (const { title, head, rows } of tablesOf(full))
      for (const row of rows) expect(row.length, title).toBe(head.length);
    expect(terminalTable(full)).toContain("Not measured in this run");
  });

  test("Partway's row has its whole process, and its WAL like for like with the floor's", () => {
    const [whole] = tablesOf(full);
    const cellsOf = (way: string) => {
      const row = whole?.rows.find(([name]) => name?.startsWith(way));
      return Object.fromEntries((whole?.head ?? []).map((name, i) => [name, row?.[i]]));
    };
    expect(cellsOf("Partway from the shadow on, no writers")).toMatchObject({
      ...{ total: "24.0", "whole process": "26.0", "of the floor, like for like": "1.01" },
      ...{ "seconds, both without VACUUM": "0.94", "both with it": "0.96" },
    });
    expect(cellsOf("floor")).toMatchObject({ "of the floor, like for like": "1.00", "both with it": "-" });
  });

  test("what the writers waited for is told by span, idle connections left out", () => {
    const table = tablesOf(full).find(({ title }) => title.includes("waiting for (partway-500)"));
    expect(table?.rows).toEqual([["copy", "100", "30.0%", "0.0%", "10.0%", "0.0%", "0.0%", "60.0%"]]);
    const writers = tablesOf(full).find(({ title }) => title.startsWith("Writers at 500 statements"));
    expect(writers?.rows.map(([span]) => span)).toEqual(["copy", "window_first", "window_rest"]);
  });

  test("Markdown keeps a bar of a statement inside its cell, and names machine, command and verdicts", () => {
    const text = markdown(full);
    expect(text).toContain("SELECT a \\|\\| b");
    expect(text).toContain("cores 2");
    expect(text).toContain("`npm run bench --`");
    expect(text).toMatch(/Of \d+ targets 1 are met, 2 missed, \d+ not measured/);
    expect(text).not.toContain("cut off");
    expect(markdown({ ...full, finished: null })).toContain("cut off");
    const widths = text
      .split("\n\n")
      .filter((block) => block.startsWith("| "))
      .map(
        (block) =>
          new Set(
            block
              .trim()
              .split("\n")
              .map((row) => row.split(/(?<!\\)\|/).length),
          ).size,
      );
    expect(new Set(widths)).toEqual(new Set([1]));
  });

  test("the picture is well-formed, whatever the machine is called", () => {
    const picture = svg(full);
    expect(picture).toContain("A &lt;fast&gt; &amp; quiet one");
    expect(picture).not.toMatch(/NaN|undefined|Infinity/);
    expect(openTags(picture)).toEqual([]);
    expect(openTags(svg(result([])))).toEqual([]);
  });
});

/** Tags that are not closed, or closed out of turn. */
function openTags(xml: string): string[] {
  const open: string[] = [];
  for (const [, close, name = "", itself] of xml.matchAll(
    /<(\/?)([a-z]+)(?:\s+[a-zA-Z-]+="[^"<&]*")*\s*(\/?)>/g,
  )) {
    if (close === "/") {
      if (open.pop() !== name) return [...open, `</${name}> out of turn`];
    } else if (itself !== "/") open.push(name);
  }
  const text = xml.replace(/<(\/?)([a-z]+)(?:\s+[a-zA-Z-]+="[^"<&]*")*\s*(\/?)>/g, "");
  return /[<>]|&(?!(?:amp|lt|gt|quot);)/.test(text) ? [...open, "a bare <, > or &"] : open;
}

describe("options", () => {
  test("what is left out is the full run, growth apart", () => {
    const { rows, server, repeats, parts } = parseOptions([]);
    expect({ rows, server, repeats }).toEqual({ rows: 5_000_000, server: "15", repeats: 5 });
    expect(parts.has("growth")).toBe(false);
    expect(parseOptions(["--growth"]).parts.has("growth")).toBe(true);
    expect([...parseOptions(["--only", "floor, partway"]).parts]).toEqual(["floor", "partway"]);
  });

  test.each([["--server", "16"], ["--rows", "5e6"], ["--only", "florr"], ["--repeats", "0"], ["--fast"]])(
    "%s %s is refused before anything is started",
    (...args) => {
      const refused = (() => {
        try {
          return parseOptions(args.filter((arg) => arg !== undefined));
        } catch (error) {
          return error;
        }
      })();
      expect(refused).toBeInstanceOf(PartwayError);
      expect(refused).toMatchObject({ exitCode: 2 });
    },
  );
});
