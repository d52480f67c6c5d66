import { describe, expect, test } from "vitest";
import { parseDuration, parseMilliseconds } from "../../src/config/duration.js";
import {
  mergeOptions,
  mergePolicy,
  parseRequest,
  parseSettings,
  type RawOptions,
  type RawSettings,
} from "../../src/config/request.js";
import { parseTableName, sameTable } from "../../src/config/table-name.js";
import { parseThrottle } from "../../src/config/throttle.js";

describe("durations", () => {
  test.each([
    ["24h", 86_400],
    ["7d", 604_800],
    ["90m", 5400],
    ["1w", 604_800],
    ["3600s", 3600],
    [" 0s ", 0],
  ])("%s is %i seconds", (text, seconds) => {
    expect(parseDuration(text, "--keep")).toBe(seconds);
  });

  test.each(["24", "h", "", "1.5h", "-1h", "1mo", "24 h", "1d12h", "99999w"])(
    "%j is refused with the units",
    (text) => {
      expect(() => parseDuration(text, "--keep")).toThrowError(/^--keep: /);
      expect(() => parseDuration(text, "--keep")).toThrowError(expect.objectContaining({ exitCode: 2 }));
    },
  );

  test("a lock timeout of zero would wait for ever and is refused", () => {
    expect(parseMilliseconds("100ms", "--lock-timeout")).toBe(100);
    expect(parseMilliseconds("2s", "--lock-timeout")).toBe(2000);
    expect(parseMilliseconds("1m", "--lock-timeout")).toBe(60_000);
    for (const text of ["0ms", "100", "2h", "61m"])
      expect(() => parseMilliseconds(text, "--lock-timeout")).toThrowError(/between 1ms and 60m/);
  });
});

describe("what is asked for", () => {
  const base: RawOptions = { by: "created_at", every: "month" };

  test("defaults: 24 hours of retention, the primary key, leaves well ahead", () => {
    expect(parseRequest("orders", base)).toEqual({
      table: "orders",
      scheme: { kind: "range-time", column: "created_at", every: "month" },
      ahead: 6,
      leafTemplate: "{table}_{YYYY}_{MM}",
      keepSeconds: 86_400,
      keyIndex: null,
    });
  });

  test.each<[RawOptions, object]>([
    [
      { by: "id", step: "1_000_000" },
      { kind: "range-int", column: "id", step: "1000000" },
    ],
    [
      { by: '"createdAt"', every: "Week" },
      { kind: "range-time", column: "createdAt", every: "week" },
    ],
    [
      { by: "user_id", hash: "8" },
      { kind: "hash", column: "user_id", modulus: 8 },
    ],
    [
      { by: "r", list: `eu, us ,"a, ""b""",""` },
      { kind: "list", column: "r", values: ["eu", "us", 'a, "b"', ""] },
    ],
  ])("%j", (options, scheme) => {
    expect(parseRequest("orders", options).scheme).toEqual(scheme);
  });

  test.each<[RawOptions, RegExp]>([
    [{ every: "month" }, /no partition column/],
    [{ by: "c" }, /how to cut/],
    [{ by: "c", every: "month", hash: "8" }, /--every and --hash exclude each other/],
    [{ by: "c", every: "fortnight" }, /not an interval/],
    [{ by: "c", step: "0" }, /above zero/],
    [{ by: "c", step: "1.5" }, /above zero/],
    [{ by: "c", hash: "1" }, /from 2 to 1024/],
    [{ by: "c", list: "a,,b" }, /a value is empty/],
    [{ by: "c", list: "" }, /a value is empty/],
    [{ by: "c", list: "a,a" }, /given twice/],
    [{ by: "c", list: '"a' }, /cannot read/],
    [{ ...base, ahead: "-1" }, /--ahead/],
    [{ ...base, ahead: "many" }, /--ahead/],
    [{ ...base, keep: "soon" }, /--keep/],
  ])("%j is refused, and nothing is asked of the server", (options, message) => {
    expect(() => parseRequest("orders", options)).toThrowError(message);
    expect(() => parseRequest("orders", options)).toThrowError(expect.objectContaining({ exitCode: 2 }));
  });

  test("the command line wins over the file where it says something", () => {
    expect(mergeOptions<RawOptions>({ by: "a", keep: "7d" }, { by: "b", keep: undefined })).toEqual({
      by: "b",
      keep: "7d",
    });
  });
});

describe("run settings", () => {
  test("the defaults are those of the measured prototype", () => {
    expect(parseSettings({})).toEqual({
      workers: 2,
      workersWhy: null,
      batchBlocks: 8192,
      batchTimeMs: 500,
      lockTimeoutMs: 100,
      lockTimeoutMaxMs: 1000,
      lockTries: 30,
      holdBudgetMs: 1000,
      backupDir: null,
      repair: false,
      smoke: [],
      smokeFailure: "report",
      queries: [],
      rehearse: null,
      forceDrop: false,
      hooks: [],
      hookTimeoutMs: 60_000,
      onHangup: "stop",
      throttle: parseThrottle({}),
    });
  });

  test("a batch has one size or one time, and who names the one takes the other back", () => {
    expect(parseSettings({ batchBlocks: "1024" })).toMatchObject({ batchBlocks: 1024, batchTimeMs: 0 });
    expect(parseSettings({ batchTime: "2s" })).toMatchObject({ batchTimeMs: 2000 });
    expect(parseSettings({ batchTime: "0" })).toMatchObject({ batchBlocks: 8192, batchTimeMs: 0 });
    expect(parseSettings({ batchTime: "0", batchBlocks: "64" })).toMatchObject({ batchBlocks: 64 });
    expect(() => parseSettings({ batchTime: "2s", batchBlocks: "64" })).toThrowError(/exclude each other/);
    expect(() => parseSettings({ batchTime: "500" })).toThrowError(/--batch-time/);
    const fixed: RawSettings = { batchBlocks: "1024" };
    expect(parseSettings(mergePolicy(fixed, { batchTime: "1s" }))).toMatchObject({ batchTimeMs: 1000 });
    const timed: RawSettings = { batchTime: "1s" };
    expect(parseSettings(mergePolicy(timed, { batchBlocks: "64" }))).toMatchObject({ batchTimeMs: 0 });
    expect(parseSettings(mergePolicy(timed, { workers: "3" }))).toMatchObject({ batchTimeMs: 1000 });
  });

  test("a lock timeout above the default bound raises the bound; a bound below it is refused", () => {
    expect(parseSettings({ lockTimeout: "3s" }).lockTimeoutMaxMs).toBe(3000);
    expect(() => parseSettings({ lockTimeout: "3s", lockTimeoutMax: "1s" })).toThrowError(/shorter/);
    expect(() => parseSettings({ workers: "0" })).toThrowError(/--workers/);
  });
});

describe("table names", () => {
  test.each([
    ["orders", null, "orders"],
    ["Public.Orders", "public", "orders"],
    ['"Conversation Message"', null, "Conversation Message"],
    ['auth."Odd""Name"', "auth", 'Odd"Name'],
    ['"a.b"."c.d"', "a.b", "c.d"],
    ["app.public.orders", "public", "orders"],
  ])("%s", (text, schema, name) => {
    expect(parseTableName(text)).toEqual({ schema, name });
  });

  test.each(["", "a..b", '"a', "a b", "a.b.c.d", "a.", ".a"])("%j is refused", (text) => {
    expect(() => parseTableName(text)).toThrowError(/is not a table name/);
  });

  test("an entry for public.orders is for orders, not for auth.orders", () => {
    expect(sameTable("orders", "public.orders")).toBe(true);
    expect(sameTable("orders", "auth.orders")).toBe(false);
    expect(sameTable("Orders", '"Orders"')).toBe(false);
  });
});
