import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { aheadLeaves, leafFor } from "../../src/plan/bounds.js";
import { calendarOf, instantText, intervalOf, parseHours, startOf } from "../../src/plan/calendar.js";
import type { Interval, LeafBounds } from "../../src/plan/types.js";
import { column, type Given, planOf, primaryKey, shownLeaves } from "./fixture.js";

const INTERVALS: Interval[] = ["hour", "day", "week", "month", "quarter", "year"];

function leaves(given: Given): string[] {
  const plan = planOf(given);
  expect(plan.refusals).toEqual([]);
  return shownLeaves(plan);
}

const time = (every: string, min: string, max: string, ahead = "0", now = max): Given => ({
  options: { by: "created_at", every, ahead },
  survey: { min, max, now },
});

describe("leaves by time hold every row, in UTC", () => {
  test("a month's leaf starts on its first day, in a leap year too", () => {
    expect(leaves(time("month", "2024-01-31 23:59:59.999999+00", "2024-03-01 00:00:00+00"))).toEqual([
      "orders_2024_01 [2024-01-01 00:00:00+00, 2024-02-01 00:00:00+00)",
      "orders_2024_02 [2024-02-01 00:00:00+00, 2024-03-01 00:00:00+00)",
      "orders_2024_03 [2024-03-01 00:00:00+00, 2024-04-01 00:00:00+00)",
    ]);
  });

  test("29 February is a day of its own in leap years only", () => {
    const days = (year: number) =>
      leaves(time("day", `${year}-02-28 00:00:00+00`, `${year}-03-01 00:00:00+00`)).length;
    expect([days(2000), days(1900), days(2024), days(2026)]).toEqual([3, 2, 3, 2]);
  });

  test("week 53 is a whole week and belongs to the old year", () => {
    expect(leaves(time("week", "2020-12-27 23:00:00+00", "2021-01-03 23:00:00+00", "1"))).toEqual([
      "orders_2020w52 [2020-12-21 00:00:00+00, 2020-12-28 00:00:00+00)",
      "orders_2020w53 [2020-12-28 00:00:00+00, 2021-01-04 00:00:00+00)",
      "orders_2021w01 [2021-01-04 00:00:00+00, 2021-01-11 00:00:00+00)",
    ]);
  });

  test("the days before New Year can belong to week 1 of the next year", () => {
    expect(leaves(time("week", "2025-12-29 00:00:00+00", "2025-12-31 00:00:00+00"))).toEqual([
      "orders_2026w01 [2025-12-29 00:00:00+00, 2026-01-05 00:00:00+00)",
    ]);
  });

  test("quarters, years and hours", () => {
    expect(leaves(time("quarter", "2025-11-30 00:00:00+00", "2026-01-01 00:00:00+00"))).toEqual([
      "orders_2025_q4 [2025-10-01 00:00:00+00, 2026-01-01 00:00:00+00)",
      "orders_2026_q1 [2026-01-01 00:00:00+00, 2026-04-01 00:00:00+00)",
    ]);
    expect(leaves(time("year", "1969-07-20 20:17:00+00", "1970-01-01 00:00:00+00"))).toEqual([
      "orders_1969 [1969-01-01 00:00:00+00, 1970-01-01 00:00:00+00)",
      "orders_1970 [1970-01-01 00:00:00+00, 1971-01-01 00:00:00+00)",
    ]);
    expect(leaves(time("hour", "2026-12-31 23:15:00+00", "2026-12-31 23:59:00+00", "1"))).toEqual([
      "orders_2026_12_31_23 [2026-12-31 23:00:00+00, 2027-01-01 00:00:00+00)",
      "orders_2027_01_01_00 [2027-01-01 00:00:00+00, 2027-01-01 01:00:00+00)",
    ]);
  });

  test("a date's bounds have no time, a timestamp's no zone", () => {
    const day = {
      options: { by: "day", every: "month", ahead: "0" },
      survey: { min: "2026-03-01", max: "2026-03-15" },
    };
    expect(leaves(day)).toEqual(["orders_2026_03 [2026-03-01, 2026-04-01)"]);
    const columns = [column("id", "bigint"), column("created_at", "timestamp without time zone")];
    expect(
      leaves({ ...time("month", "2026-03-01 00:00:00", "2026-03-15 00:00:00"), table: { columns } }),
    ).toEqual(["orders_2026_03 [2026-03-01 00:00:00, 2026-04-01 00:00:00)"]);
  });

  test("an old table gets leaves up to now and beyond, so that the next insert fits", () => {
    const old = leaves(
      time("month", "2025-12-05 00:00:00+00", "2025-12-06 00:00:00+00", "1", "2026-02-01T00:00:00.000Z"),
    );
    expect(old.map((leaf) => leaf.split(" ")[0])).toEqual([
      "orders_2025_12",
      "orders_2026_01",
      "orders_2026_02",
      "orders_2026_03",
    ]);
  });

  test("a table with rows in the future only has a leaf for now", () => {
    const future = leaves(
      time("month", "2026-04-01 00:00:00+00", "2026-04-02 00:00:00+00", "1", "2026-03-01T00:00:00Z"),
    );
    expect(future.map((leaf) => leaf.split(" ")[0])).toEqual([
      "orders_2026_03",
      "orders_2026_04",
      "orders_2026_05",
    ]);
  });

  test("an empty table gets the interval before now, now, and those ahead", () => {
    const empty = {
      survey: { min: null, max: null, rows: 0 },
      options: { by: "created_at", every: "month", ahead: "1" },
    };
    expect(leaves(empty).map((leaf) => leaf.split(" ")[0])).toEqual([
      "orders_2026_02",
      "orders_2026_03",
      "orders_2026_04",
    ]);
  });

  test("the year 1 BC and the year 10000 are written as PostgreSQL writes them", () => {
    expect(instantText(startOf(intervalOf(parseHours("0001-12-31 BC") ?? 0, "month"), "month"), "date")).toBe(
      "0001-12-01 BC",
    );
    expect(instantText((parseHours("9999-12-31") ?? 0) + 24, "timestamptz")).toBe("10000-01-01 00:00:00+00");
  });

  test("one wrong value is named instead of making thousands of leaves", () => {
    const plan = planOf(
      time("day", "0001-01-01 00:00:00+00", "2026-03-15 00:00:00+00", "1", "2026-03-15T00:00:00Z"),
    );
    expect(plan.leaves).toEqual([]);
    expect(plan.refusals.map((r) => r.code)).toEqual(["too-many-leaves"]);
    expect(plan.refusals[0]?.remedy).toContain("created_at = 0001-01-01 00:00:00+00");
    const late = planOf(
      time("month", "2026-01-01 00:00:00+00", "9999-12-31 00:00:00+00", "1", "2026-03-15T00:00:00Z"),
    );
    expect(late.refusals[0]?.remedy).toContain("created_at = 9999-12-31 00:00:00+00");
    expect(late.refusals[0]?.remedy).toContain("--every quarter");
  });
});

describe("leaves by number", () => {
  const step = (
    min: string | null,
    max: string | null,
    size: string,
    ahead: string,
    type = "bigint",
  ): Given => ({
    table: { columns: [column("id", type), column("created_at", "timestamp with time zone")] },
    options: { by: "id", step: size, ahead },
    survey: { min, max },
  });

  test("negative numbers fall into the leaf below zero, not the one above", () => {
    expect(leaves(step("-1000", "-1", "1000", "0"))).toEqual(["orders_m1000 [-1000, 0)"]);
    expect(leaves(step("-1001", "0", "1000", "0"))).toEqual([
      "orders_m2000 [-2000, -1000)",
      "orders_m1000 [-1000, 0)",
      "orders_0 [0, 1000)",
    ]);
  });

  test("numbers beyond 2^53 keep every digit", () => {
    expect(leaves(step("9007199254740993", "9007199254740993", "10", "1"))).toEqual([
      "orders_9007199254740990 [9007199254740990, 9007199254741000)",
      "orders_9007199254741000 [9007199254741000, 9007199254741010)",
    ]);
  });

  test("an empty table starts at zero", () => {
    expect(leaves(step(null, null, "100", "2"))).toEqual([
      "orders_0 [0, 100)",
      "orders_100 [100, 200)",
      "orders_200 [200, 300)",
    ]);
  });

  test("leaves ahead stop at the end of the type", () => {
    expect(leaves(step("2147000000", "2147000000", "100000", "9", "integer")).at(-1)).toBe(
      "orders_2147300000 [2147300000, 2147400000)",
    );
  });

  test("the lowest leaf starts no lower than the type", () => {
    expect(leaves(step("-32768", "-32768", "1000", "0", "smallint"))).toEqual([
      "orders_m33000 [-32768, -32000)",
    ]);
  });

  test("a value in the last, incomplete step of the type is refused with what helps", () => {
    const { refusals } = planOf(step("1", "2147483647", "1000000", "1", "integer"));
    expect(refusals.map((r) => r.code)).toEqual(["leaf-beyond-type"]);
    expect(refusals[0]?.remedy).toContain("--step");
  });

  test("the number far from all others is named", () => {
    const given = step("5", "99999999999", "1000", "1");
    const { refusals } = planOf({
      ...given,
      survey: { ...given.survey, sample: { values: ["7", "8", "9"], fraction: 1 } },
    });
    expect(refusals[0]?.remedy).toContain("id = 99999999999");
  });
});

describe("hash and list", () => {
  test("eight hash leaves have the remainders 0 to 7", () => {
    const given = {
      options: { by: "id", hash: "8", leaf: "campaigns_partition_{n}" },
      survey: { min: null, max: null },
    };
    expect(leaves(given)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => `campaigns_partition_${n} ${n} of 8`));
  });

  test("a list leaf is named after its value; what a name cannot show is told apart", () => {
    const names = leaves({ options: { by: "region", list: `eu,us,"eu west",eu-west` } }).map(
      (leaf) => leaf.split(" ")[0],
    );
    expect(names.slice(0, 2)).toEqual(["orders_eu", "orders_us"]);
    expect(new Set(names).size).toBe(4);
  });
});

describe("a row that arrives after preflight", () => {
  test("inside the plan's span it needs the leaf that is there", () => {
    const plan = planOf();
    expect(leafFor(plan, "2026-02-28 23:59:59.999999+00")).toBe(plan.leaves[1]);
    expect(leafFor(plan, "2026-03-01 00:00:00+00")).toBe(plan.leaves[2]);
  });

  test("outside it, a leaf on the same grid, with a name that is free", () => {
    const plan = planOf({ table: { namesInSchema: ["orders", "orders_2019_07"] } });
    expect(leafFor(plan, "2019-07-04 00:00:00+00")).toEqual({
      name: "orders_2019_07_2",
      bounds: { kind: "range", from: "2019-07-01 00:00:00+00", to: "2019-08-01 00:00:00+00" },
      estimatedRows: null,
    });
  });

  test("a new list value gets its leaf, and a number far away its own", () => {
    const list = planOf({ options: { by: "region", list: "eu,us" } });
    expect(leafFor(list, "apac")).toMatchObject({
      name: "orders_apac",
      bounds: { kind: "list", value: "apac" },
    });
    const numbers = planOf({
      options: { by: "id", step: "1000", ahead: "1" },
      survey: { min: "0", max: "10" },
    });
    expect(leafFor(numbers, "-5000001")).toMatchObject({ bounds: { from: "-5001000", to: "-5000000" } });
  });

  test("infinity stops the run with what to do, it is not put anywhere", () => {
    expect(() => leafFor(planOf(), "infinity")).toThrowError(/fits no leaf/);
  });

  test("leaves ahead are only those that the plan does not have", () => {
    const plan = planOf();
    expect(aheadLeaves(plan, "2026-04-10 00:00:00+00", 3).map((leaf) => leaf.name)).toEqual([
      "orders_2026_06",
      "orders_2026_07",
    ]);
    expect(aheadLeaves(planOf({ options: { by: "id", hash: "4" } }), "7", 3)).toEqual([]);
  });
});

describe("properties", () => {
  const hours = fc.integer({ min: -20_000_000, max: 70_000_000 });

  test("the calendar agrees with JavaScript's where JavaScript has one", () => {
    fc.assert(
      fc.property(hours, (at) => {
        const date = new Date(at * 3_600_000);
        const { year, month, day, hour } = calendarOf(at);
        expect([year, month, day, hour]).toEqual([
          date.getUTCFullYear(),
          date.getUTCMonth() + 1,
          date.getUTCDate(),
          date.getUTCHours(),
        ]);
        expect(parseHours(instantText(at, "timestamptz"))).toBe(at);
      }),
    );
  });

  test("an instant lies in its interval, and intervals touch", () => {
    fc.assert(
      fc.property(hours, fc.constantFrom(...INTERVALS), (at, every) => {
        const i = intervalOf(at, every);
        expect(startOf(i, every)).toBeLessThanOrEqual(at);
        expect(startOf(i + 1, every)).toBeGreaterThan(at);
        expect(intervalOf(startOf(i, every), every)).toBe(i);
      }),
    );
  });

  test("leaves touch, and every value between the smallest and the largest has exactly one", () => {
    const around = { min: parseHours("2020-01-01") ?? 0, max: parseHours("2020-06-01") ?? 0 };
    fc.assert(
      fc.property(
        fc.array(fc.integer(around), { minLength: 1, maxLength: 20 }),
        fc.constantFrom(...INTERVALS),
        fc.integer({ min: 0, max: 3 }),
        (values, every, ahead) => {
          const text = (at: number) => instantText(at, "timestamptz");
          const sorted = values.toSorted((a, b) => a - b);
          const plan = planOf({
            options: { by: "created_at", every, ahead: String(ahead) },
            survey: { min: text(sorted[0] ?? 0), max: text(sorted.at(-1) ?? 0), now: "2020-06-01T00:00:00Z" },
          });
          const spans = plan.leaves.map((leaf) =>
            span(leaf.bounds, (t) => BigInt(parseHours(t) ?? Number.NaN)),
          );
          expectTouching(spans);
          for (const at of values)
            expect(spans.filter(([from, to]) => from <= at && at < to)).toHaveLength(1);
          expect(new Set(plan.leaves.map((leaf) => leaf.name)).size).toBe(plan.leaves.length);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("number leaves touch, are aligned, and every value has exactly one", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
        fc.bigInt({ min: 1n, max: 10n ** 9n }),
        fc.array(fc.bigInt({ min: 0n, max: 10n ** 10n }), { minLength: 1, maxLength: 10 }),
        (base, size, offsets) => {
          const stepSize = size + 10n ** 7n;
          const values = offsets.map((offset) => base + offset).toSorted((a, b) => (a < b ? -1 : 1));
          const plan = planOf({
            table: { indexes: [primaryKey("orders_pkey", ["id"])] },
            options: { by: "id", step: String(stepSize), ahead: "2" },
            survey: { min: String(values[0]), max: String(values.at(-1)) },
          });
          const spans = plan.leaves.map((leaf) => span(leaf.bounds, BigInt));
          expectTouching(spans);
          for (const value of values)
            expect(spans.filter(([from, to]) => from <= value && value < to)).toHaveLength(1);
          for (const [from] of spans) expect(from % stepSize).toBe(0n);
        },
      ),
      { numRuns: 100 },
    );
  });

  function span(bounds: LeafBounds, read: (text: string) => bigint): [bigint, bigint] {
    if (bounds.kind !== "range") throw new Error("not a range");
    return [read(bounds.from), read(bounds.to)];
  }

  function expectTouching(spans: [bigint, bigint][]): void {
    expect(spans.length).toBeGreaterThan(0);
    for (const [i, [from, to]] of spans.entries()) {
      expect(from < to).toBe(true);
      expect(spans[i + 1]?.[0] ?? to).toBe(to);
    }
  }
});
