/** What the bench computes and prints, without a server: a number that is wrong here would be believed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PartwayError } from "../../src/errors.js";
import { insideLock } from "./cutover.js";
import { eventsOf, phaseSeconds, STEPS } from "./events.js";
import { latencyIn, longestTouching } from "./latency.js";
import { markdown } from "./markdown.js";
import { parseOptions } from "./options.js";
import { type Measurement, Result, ratiosOf } from "./result.js";
import { median, percentile, ratio } from "./stats.js";
import { svg } from "./svg.js";
import { tablesOf, terminalTable } from "./tables.js";
import { judge, judged, TARGETS } from "./targets.js";

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
    expect([0.5, 0.99, 0.999, 1].map((share) => percentile(hundred, share))).toEqual([50, 99, 100, 100]);
    expect(percentile([7], 0.5)).toBe(7);
    expect(percentile([], 0.5)).toBeNull();
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
  const target = TARGETS.find(({ name }) => name.startsWith("whole migration without validation"));
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
        values: { seconds: 17.1, copySeconds: 6.4, indexSeconds: 10.7, secondsWithVacuum: 25 },
      },
      {
        part: "partway",
        values: { seconds: 24, copySeconds: 6, indexSeconds: 18, secondsWithoutVacuum: 16 },
      },
      {
        part: "partway-500",
        values: { seconds: 30, "copy.p99": 4.2, "copy.max": 30, "copy.perSecond": 500 },
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

  test("Markdown keeps a bar of a statement inside its cell, and names machine, command and verdicts", () => {
    const text = markdown(full);
    expect(text).toContain("SELECT a \\|\\| b");
    expect(text).toContain("cores 2");
    expect(text).toContain("`npm run bench --`");
    expect(text).toMatch(/Of \d+ targets 0 are met, 2 missed, \d+ not measured/);
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
