/** The forecast's arithmetic: what is wrong here fills a disk that was said to be large enough. */
import { describe, expect, test } from "vitest";
import { parseForecast } from "../../src/config/forecast.js";
import { diskTogether } from "../../src/many/plan.js";
import { forecast } from "../../src/plan/forecast.js";
import { checkpoints, newTable, walBytes, walOf } from "../../src/plan/forecast-bytes.js";
import { freeSpace } from "../../src/plan/free-space.js";
import { btreePages, entrySize, rowSize, rowsPerPage, toastPages } from "../../src/plan/row-size.js";
import type { SampledColumn, TableSample } from "../../src/plan/sample.js";
import { planOf, primaryKey, surveyOf, table } from "./fixture.js";

const column = (length: number, align: number, storage = "p"): SampledColumn => ({
  ...{ name: "c", length, align, storage, distinct: null, nullFraction: null },
});
const INT4 = column(4, 4);
const INT8 = column(8, 8);
const TEXT = column(-1, 4, "x");
const MB = 2 ** 20;

const server: TableSample["server"] = {
  ...{ logsHints: false, fullPageWrites: true, walCompression: false, maxWalBytes: 1024 * MB },
  ...{ checkpointSeconds: 300, completionTarget: 0.9, sinceCheckpoint: { bytes: 0, seconds: 0 } },
  ...{ maintenanceBytes: 64 * MB, walKeptBy: null, slotLimitBytes: null },
};

/** A million rows of (id bigint, created_at timestamptz). */
function sampleOf(over: Partial<TableSample> = {}): TableSample {
  return {
    columns: [
      { ...INT8, name: "id", distinct: -1, nullFraction: 0 },
      { ...INT8, name: "created_at", distinct: -1, nullFraction: 0 },
    ],
    rows: Array.from({ length: 1000 }, () => [8, 8]),
    ...{ blocksRead: 64, rowsPerBlock: 185, analysedBlocks: 6000 },
    indexes: [{ name: "orders_pkey", share: 1, expressionWidths: [] }],
    ...{ writesPerSecond: null, server, probeMs: 20, hashRowUs: 1, leastHashRowUs: 0, blockSeconds: 0 },
    ...over,
  };
}

function inputOf(sample = sampleOf()) {
  const source = table({
    ...{ blocks: 6000, estimatedRows: 1_000_000 },
    indexes: [primaryKey("orders_pkey", ["id"])],
  });
  const plan = planOf({ table: source });
  const survey = surveyOf({ rows: 1_000_000 });
  return { ...plan, table: source, survey, sample, rows: 1_000_000 };
}

describe("rows and entries", () => {
  test("a page would hold other numbers of rows than PostgreSQL's", () => {
    // 226 rows of one int on a page, 185 of two bigints.
    expect(rowSize([INT4], [4]).tuple).toBe(28);
    expect(Math.floor(rowsPerPage(Array(5000).fill(28)))).toBe(226);
    expect(Math.round(rowsPerPage(Array(5000).fill(rowSize([INT8, INT8], [8, 8]).tuple)))).toBe(185);
    // Half of the page is kept free.
    expect(Math.round(rowsPerPage(Array(5000).fill(28), 50))).toBe(113);
  });

  test("a NULL, a short text or an alignment would be counted as what it is not", () => {
    expect(rowSize([INT8, TEXT], [8, null]).tuple).toBe(24 + 8);
    expect(rowSize(Array(9).fill(INT8), [null, ...Array(8).fill(8)]).tuple).toBe(32 + 64);
    // One byte of header and no alignment up to 127 bytes, four and aligned above.
    expect(rowSize([column(1, 1), TEXT], [1, 127]).tuple).toBe(24 + 128);
    expect(rowSize([column(1, 1), TEXT], [1, 128]).tuple).toBe(24 + 4 + 128);
  });

  test("a long value would be counted in the heap, or a value that is never moved out of it", () => {
    expect(rowSize([INT8, TEXT], [8, 5000])).toEqual({ tuple: 24 + 8 + 18, moved: [5000] });
    expect(rowSize([INT8, column(-1, 4, "p")], [8, 5000]).moved).toEqual([]);
    expect(rowSize([TEXT, TEXT], [1500, 1400]).moved).toEqual([1500]);
    expect(rowSize([column(-1, 4, "m"), TEXT], [1500, 1400]).moved).toEqual([1400]);
  });

  test("the pages of moved values would be counted by their bytes: whole chunks leave holes", () => {
    expect(toastPages([4 * 1996])).toBe(1);
    expect(toastPages([6400, 6400, 6400, 6400])).toBe(4);
    expect(toastPages(Array(100).fill(100))).toBe(2);
    expect(toastPages([4000 * 1996])).toBe(1000);
  });

  test("an index would be forecast with pages of another size than a build's", () => {
    expect(entrySize([INT8], [8])).toBe(16);
    expect(entrySize([INT8, INT8], [8, 8])).toBe(24);
    expect(entrySize([INT8], [null])).toBe(16);
    const plain = { entry: 16, distinct: 1e9, dedupes: false };
    // pgstattuple of a fresh primary key of a million bigints: 2733 leaf pages, 2745 in all.
    expect(btreePages({ ...plain, rows: 1_000_000 })).toBeGreaterThan(2730);
    expect(btreePages({ ...plain, rows: 1_000_000 })).toBeLessThan(2760);
    expect(btreePages({ ...plain, rows: 0 })).toBe(1);
    expect(btreePages({ ...plain, rows: 1 })).toBe(2);
  });

  test("an index of few different keys would be forecast three times too large", () => {
    const many = btreePages({ rows: 1_000_000, entry: 16, distinct: 100, dedupes: true });
    const each = btreePages({ rows: 1_000_000, entry: 16, distinct: 1_000_000, dedupes: true });
    expect(many / each).toBeGreaterThan(0.28);
    expect(many / each).toBeLessThan(0.36);
    expect(btreePages({ rows: 1_000_000, entry: 16, distinct: 100, dedupes: false })).toBe(each);
  });
});

describe("WAL and checkpoints", () => {
  const at = (over: Partial<typeof server>, all: number, seconds = 0) =>
    checkpoints({ ...server, ...over }, all, seconds).map((one) => Math.round(one / MB));

  test("a checkpoint would be forecast at another distance than max_wal_size's", () => {
    expect(at({}, 1200 * MB)).toEqual([512, 1024]);
    expect(at({ sinceCheckpoint: { bytes: 500 * MB, seconds: 1 } }, 600 * MB)).toEqual([12, 524]);
    expect(at({}, 500 * MB)).toEqual([]);
  });

  test("a checkpoint that time makes due would be left out", () => {
    expect(at({}, 500 * MB, 600)).toEqual([250]);
    expect(at({ sinceCheckpoint: { bytes: 0, seconds: 240 } }, 500 * MB, 300)).toEqual([100]);
  });

  test("page images would be counted where no checkpoint comes, or left out where one does", () => {
    const none = inputOf();
    expect(walOf(none, newTable(none), 0).images).toBe(0);
    const small = inputOf(sampleOf({ server: { ...server, maxWalBytes: 64 * MB } }));
    const made = newTable(small);
    // Each page is frozen long after it was written.
    expect(walOf(small, made, 0).images / (made.heapPages * 8192)).toBeGreaterThan(0.95);
    const hints = inputOf(sampleOf({ server: { ...server, maxWalBytes: 64 * MB, logsHints: true } }));
    expect(walOf(hints, made, 0).images / walOf(small, made, 0).images).toBeGreaterThan(1.3);
    const off = { ...server, maxWalBytes: 64 * MB, fullPageWrites: false };
    const without = inputOf(sampleOf({ server: off }));
    expect(walOf(without, made, 0).images).toBe(0);
    expect(walBytes(walOf(small, made, 0))).toBeGreaterThan(walBytes(walOf(without, made, 0)));
  });
});

describe("the forecast", () => {
  test("the old table's bloat would be copied into it", () => {
    const { table: source, ...input } = inputOf();
    const bloated = { ...source, heapBytes: 10e9, indexBytes: 10e9 };
    const slim = forecast({ ...input, table: source });
    expect(forecast({ ...input, table: bloated }).disk).toEqual(slim.disk);
    // 1,000,000 rows at 185 on a page, and entries of 24 bytes.
    expect(slim.disk?.heap).toBeGreaterThan(44e6);
    expect(slim.disk?.heap).toBeLessThan(45e6);
    expect(slim.disk?.indexes).toBeGreaterThan(31e6);
    expect(slim.disk?.indexes).toBeLessThan(32.5e6);
    expect(slim.sampled).toBe(true);
  });

  test("a table that has grown since it was analysed would be forecast as it was", () => {
    const input = inputOf(sampleOf({ analysedBlocks: 3000 }));
    expect(forecast(input).rows).toBe(6000 * 185);
    expect(forecast(inputOf()).rows).toBe(1_000_000);
  });

  test("WAL that a slot keeps would not be counted on the disk, and its limit would be forgotten", () => {
    const kept = (over: Partial<typeof server>) =>
      forecast(inputOf(sampleOf({ server: { ...server, maxWalBytes: 16 * MB, ...over } })));
    expect(kept({}).disk?.wal).toBe(16 * MB);
    const slot = kept({ walKeptBy: "replication slot s" });
    expect(slot.disk?.wal).toBe(slot.walBytes);
    expect(slot.basis).toContain("kept by replication slot s");
    expect(kept({ walKeptBy: "replication slot s", slotLimitBytes: 32 * MB }).disk?.wal).toBe(32 * MB);
  });

  test("the parts would not make the whole", () => {
    const made = forecast(inputOf(sampleOf({ writesPerSecond: 100 })));
    const sum = (parts: Record<string, number> = {}) =>
      Object.values(parts).reduce((all, one) => all + one, 0);
    expect(sum(made.disk)).toBe(made.extraDiskBytes);
    expect(Math.abs(sum(made.wal) - made.walBytes)).toBeLessThan(5);
    expect(made.disk?.log).toBe(made.seconds.high * 100 * 120);
    const low = (made.phases ?? []).reduce((all, phase) => all + phase.low, 0);
    expect(made.seconds.low).toBe(Math.ceil(low));
  });

  test("a server half as fast, a slow disk or more workers would make no difference", () => {
    const of = (over: Partial<TableSample>, workers = 2) => forecast({ ...inputOf(sampleOf(over)), workers });
    const phase = (made: ReturnType<typeof of>, name: string) =>
      made.phases?.find((one) => one.phase === name)?.low ?? Number.NaN;
    expect(phase(of({ probeMs: 40 }), "index")).toBeGreaterThan(1.7 * phase(of({}), "index"));
    expect(phase(of({ hashRowUs: null }), "validate")).toBeCloseTo(
      phase(of({ hashRowUs: 0.9 }), "validate"),
      5,
    );
    const large = of({ hashRowUs: null, leastHashRowUs: 1_000 });
    expect(phase(large, "validate")).toBeGreaterThan(500 * phase(of({ hashRowUs: null }), "validate"));
    expect(large.basis).toContain("validation takes what is said, or more");
    expect(phase(of({ hashRowUs: 10 }), "validate")).toBeGreaterThan(phase(of({}), "validate") + 8);
    expect(phase(of({ blockSeconds: 0.001 }), "copy")).toBeCloseTo(phase(of({}), "copy") + 6, 5);
    expect(phase(of({}, 4), "copy")).toBeLessThan(phase(of({}), "copy"));
  });

  test("without a sample it would not say so", () => {
    expect(planOf().forecast).toMatchObject({ sampled: false });
    expect(planOf().forecast.basis).toMatch(/^No sample was taken: /);
    const why = forecast({ ...inputOf(), sample: { why: "canceling statement due to lock timeout" } });
    expect(why.basis).toMatch(/^No sample was taken \(canceling statement due to lock timeout\): /);
  });
});

describe("--free-disk", () => {
  const judged = (needed: number, bytes: number | null) => {
    const plan = planOf();
    const found = freeSpace(
      { ...plan, forecast: { ...plan.forecast, sampled: true, extraDiskBytes: needed } },
      bytes,
    );
    return { refused: found.refusals.map((r) => r.code), warned: found.warnings.map((w) => w.code) };
  };

  test.each([
    [100, null, [], []],
    [101, 100, ["disk-too-small"], []],
    [100, 100, [], ["disk-nearly-full"]],
    [81, 100, [], ["disk-nearly-full"]],
    [80, 100, [], []],
  ])("%d bytes needed of %s free would be judged wrongly", (needed, free, refused, warned) => {
    expect(judged(needed, free)).toEqual({ refused, warned });
  });

  test("without a sample the WAL would not count, and a rule of thumb would be called right within a quarter", () => {
    const plan = planOf();
    const rough = {
      ...plan,
      forecast: { ...plan.forecast, sampled: false, extraDiskBytes: 60, walBytes: 50 },
    };
    expect(freeSpace(rough, 100).refusals.map(({ code }) => code)).toEqual(["disk-too-small"]);
    expect(freeSpace(rough, 120).warnings[0]?.advice).toMatch(
      /^No sample was taken, so this is a rule of thumb/,
    );
  });

  test("the room that a refusal asks for could not be typed", () => {
    const [refusal] = freeSpace(
      { ...planOf(), forecast: { ...planOf().forecast, extraDiskBytes: 5.377e9 } },
      1,
    ).refusals;
    const [asked = ""] = /\d[\d.]* [kMGT]?B/.exec(refusal?.remedy ?? "") ?? [];
    expect(asked).toMatch(/\d\.\d+ GB/);
    expect(parseForecast({ freeDisk: asked }).freeDiskBytes).toBeGreaterThan(5.377e9);
    expect(parseForecast({ freeDisk: "2000000000000" }).freeDiskBytes).toBe(2e12);
    expect(parseForecast({ freeDisk: "0" }).freeDiskBytes).toBe(0);
  });

  test("several tables would need room for the passing files of all of them at once", () => {
    const disk = { heap: 60, toast: 0, indexes: 40, log: 5, sort: 10, wal: 85 };
    const one = { ...planOf().forecast, extraDiskBytes: 200, disk };
    const other = { ...planOf().forecast, extraDiskBytes: 120, disk: { ...disk, log: 0, sort: 0, wal: 20 } };
    const old = { ...planOf().forecast, extraDiskBytes: 7 };
    delete old.disk;
    expect(diskTogether([one, other, old])).toBe(100 + 100 + 7 + 100);
    expect(diskTogether([])).toBe(0);
  });

  test("a size would be read as another", () => {
    const free = (text: string) => parseForecast({ freeDisk: text }).freeDiskBytes;
    expect(free("50GB")).toBe(50e9);
    expect(free("2 TB")).toBe(2e12);
    expect(free("123456")).toBe(123_456);
    for (const wrong of ["", "0GB", "50G", "-1GB", "1.GB", "lots"])
      expect(() => free(wrong), wrong).toThrow(/--free-disk/);
  });
});
