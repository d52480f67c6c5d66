/** What an operator would lose: a leaf dropped too early, a row without a leaf, a name that was taken. */
import { describe, expect, test } from "vitest";
import { parseBound } from "../../src/care/bound.js";
import { rangesThatCount } from "../../src/care/clock.js";
import {
  clockBeyond,
  expiredLeaves,
  gapsOf,
  missingLeaves,
  rangesOf,
  recogniseTable,
  thenStill,
} from "../../src/care/decide.js";
import { entryFor } from "../../src/care/entry.js";
import { type Axis, monthsBefore, positionOf } from "../../src/care/grid.js";
import { parseRetention, policyOf } from "../../src/care/policy.js";
import { rangeOf } from "../../src/care/table.js";
import type { PartitionPolicy } from "../../src/config/schema.js";
import { instantText, parseHours } from "../../src/plan/calendar.js";
import { at, careTable, TIME } from "./support.js";

const policy = (table: ReturnType<typeof careTable>, given: PartitionPolicy) =>
  policyOf("t", given, table.axis, recogniseTable(table).grid);

describe("bounds", () => {
  test.each([
    ["FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')", "2026-01-01", "2026-02-01"],
    ["FOR VALUES FROM ('it''s') TO (') TO (')", "it's", ") TO ("],
    ["FOR VALUES FROM (-5) TO (10)", "-5", "10"],
  ])("%s would be read as something else", (text, from, to) => {
    expect(parseBound(text)).toEqual({
      kind: "range",
      from: [{ kind: "value", text: from }],
      to: [{ kind: "value", text: to }],
    });
  });

  test("MINVALUE would be taken for a text, or a second column be lost", () => {
    expect(parseBound("FOR VALUES FROM (MINVALUE, 'MINVALUE') TO ('a', MAXVALUE)")).toEqual({
      kind: "range",
      from: [{ kind: "min" }, { kind: "value", text: "MINVALUE" }],
      to: [{ kind: "value", text: "a" }, { kind: "max" }],
    });
    expect(parseBound("DEFAULT").kind).toBe("default");
    expect(parseBound("FOR VALUES IN ('a, b', NULL)").kind).toBe("list");
    expect(parseBound("FOR VALUES WITH (modulus 4, remainder 1)").kind).toBe("hash");
    expect(() => parseBound("FOR VALUES")).toThrow("not a partition bound");
  });

  test("half past would be taken for the hour", () => {
    expect(positionOf(TIME, "2026-01-01 00:30:00+00")).toEqual({
      low: at("2026-01-01"),
      high: at("2026-01-01") + 1n,
    });
    expect(positionOf(TIME, "2026-01-01 00:00:00+00")).toEqual({
      low: at("2026-01-01"),
      high: at("2026-01-01"),
    });
    expect(positionOf(TIME, "2026-01-01 01:00:00")?.high).toBe(at("2026-01-01") + 1n);
    expect(positionOf(TIME, "infinity")).toBeNull();
  });
});

describe("the interval that leaves stand on", () => {
  test.each([
    ["hour", ["2026-01-01 00:00", "2026-01-01 01:00", "2026-01-01 02:00"]],
    ["day", ["2026-02-27", "2026-02-28", "2026-03-01"]],
    ["week", ["2025-12-22", "2025-12-29", "2026-01-05"]],
    ["month", ["2026-01-01", "2026-02-01", "2026-03-01"]],
    ["quarter", ["2025-10-01", "2026-01-01", "2026-04-01"]],
    ["year", ["2024-01-01", "2025-01-01", "2026-01-01"]],
  ])("would not be seen to be the %s", (every, ends) => {
    expect(recogniseTable(careTable(ends))).toEqual({
      grid: { kind: "time", every, type: "timestamptz" },
      odd: [],
    });
  });

  test("would be guessed where bounds stand on none (weeks from a Sunday, months of another time zone)", () => {
    for (const ends of [
      ["2026-01-04", "2026-01-11", "2026-01-18"],
      ["2026-01-01 05:00", "2026-02-01 05:00", "2026-03-01 05:00"],
    ]) {
      const { grid, odd } = recogniseTable(careTable(ends));
      expect(grid).toBeNull();
      expect(odd).toHaveLength(2);
    }
  });

  test("would be lost over one leaf of old rows, which is named", () => {
    const table = careTable(["MINVALUE", "2026-01-01", "2026-02-01", "2026-03-01"]);
    const { grid, odd } = recogniseTable(table);
    expect(grid).toMatchObject({ every: "month" });
    expect(odd.map(({ name }) => name)).toEqual(["l0"]);
  });
});

describe("new leaves", () => {
  test("would begin later than now, or end before what was asked", () => {
    const table = careTable(["2026-01-01", "2026-02-01"]);
    const made = missingLeaves(table, policy(table, { ahead: 2 }), at("2026-01-31 23:00"), []);
    expect(made).toEqual([
      { name: "t_2026_02", from: "2026-02-01 00:00:00+00", to: "2026-03-01 00:00:00+00" },
      { name: "t_2026_03", from: "2026-03-01 00:00:00+00", to: "2026-04-01 00:00:00+00" },
    ]);
  });

  test("would overlap a leaf that covers part of their interval; the rest would stay without one", () => {
    const table = careTable(["2026-01-01", "2026-02-01", "2026-02-10 00:30"]);
    const made = missingLeaves(table, policy(table, { ahead: 0 }), at("2026-02-05"), []);
    expect(made).toEqual([
      { name: "t_2026_02", from: "2026-02-10 01:00:00+00", to: "2026-03-01 00:00:00+00" },
    ]);
  });

  test("would take a name that another table has", () => {
    const table = careTable(["2026-01-01", "2026-02-01"]);
    const made = missingLeaves(table, policy(table, { ahead: 1 }), at("2026-01-15"), ["t_2026_02"]);
    expect(made.map(({ name }) => name)).toEqual(["t_2026_02_2"]);
  });

  test("would go beyond what the column can hold", () => {
    const axis: Axis = { kind: "number", largest: 32_767n };
    const table = careTable(["30000", "31000"], axis);
    const made = missingLeaves(table, policy(table, { ahead: 9 }), 30_500n, []);
    expect(made.map(({ from, to }) => [from, to])).toEqual([["31000", "32000"]]);
  });

  test("a gap would go unseen", () => {
    const table = careTable(["2026-01-01", "2026-02-01", "-", "2026-03-01", "2026-04-01"]);
    expect(gapsOf(table)).toEqual([{ from: at("2026-02-01"), to: at("2026-03-01") }]);
    expect(gapsOf(careTable(["MINVALUE", "2026-01-01", "2026-02-01"]))).toEqual([]);
  });
});

describe("retention", () => {
  const MONTHS = ["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"];
  test.each([
    // The upper bound counts: on the last hour before, January still holds rows that are not a year old.
    ["12mo", "2026-01-31 23:00", []],
    ["12mo", "2026-02-01 00:00", ["l0"]],
    ["1 year", "2026-03-01 00:00", ["l0", "l1"]],
    // 3 months are not 90 days (FEATURES N21).
    ["3mo", "2025-05-01", ["l0"]],
    ["90d", "2025-05-01", []],
    ["90d", "2025-05-02", ["l0"]],
    // The day is cut to the month's length: 31 March less a month is 28 February.
    ["1 month", "2025-03-31", ["l0"]],
    ["2q", "2025-08-01", ["l0"]],
  ])("%s at %s would take another leaf than %j", (retention, now, gone) => {
    const table = careTable(MONTHS);
    const found = expiredLeaves(table, policy(table, { retention }), at(now));
    expect(found.map(({ name }) => name)).toEqual(gone);
  });

  test("would take a leaf that ends at half past, on the hour", () => {
    const table = careTable(["2025-01-01", "2025-01-02", "2025-01-02 00:30"]);
    const gone = (now: string) => expiredLeaves(table, policy(table, { retention: "1d" }), at(now));
    expect(gone("2025-01-03 00:00").map(({ name }) => name)).toEqual(["l0"]);
    expect(gone("2025-01-03 01:00").map(({ name }) => name)).toEqual(["l0", "l1"]);
  });

  test("would count numbers from anywhere but the largest", () => {
    const table = careTable(["0", "1000", "2000", "3000"], { kind: "number", largest: 2n ** 63n - 1n });
    const gone = (now: bigint) => expiredLeaves(table, policy(table, { retention: "1500" }), now).length;
    expect([gone(2499n), gone(2500n)]).toEqual([0, 1]);
  });

  test("would be kept by guess where nothing is said", () => {
    const table = careTable(MONTHS);
    expect(expiredLeaves(table, policy(table, {}), at("2090-01-01"))).toEqual([]);
    expect(policy(table, {}).expired).toBe("detach");
  });

  test.each(["3m", "0d", "", "d", "-1d", "90 fortnights", "99999999999y"])(
    "%j would be read as a time",
    (text) => {
      expect(() => parseRetention("t", text)).toThrow("is not a length of time");
    },
  );

  test("months before the end of a month would run into the next", () => {
    const less = (text: string, months: number) => {
      const hours = parseHours(text);
      return hours === null ? null : instantText(monthsBefore(hours, months), "timestamp");
    };
    // What PostgreSQL gives for timestamp '...' - interval '...'.
    expect(less("2024-03-31 13:00:00", 1)).toBe("2024-02-29 13:00:00");
    expect(less("2024-02-29 00:00:00", 12)).toBe("2023-02-28 00:00:00");
    expect(less("2026-01-15 05:00:00", 25)).toBe("2023-12-15 05:00:00");
  });

  test("would be told in time for numbers, or in numbers for time", () => {
    const numbers = careTable(["0", "1000"], { kind: "number", largest: 1_000_000n });
    expect(() => policy(numbers, { retention: "90d" })).toThrow("does not suit");
    expect(() => policy(careTable(MONTHS), { retention: "90" })).toThrow("does not suit");
  });
});

describe("the configuration file", () => {
  const file: Record<string, PartitionPolicy> = {
    orders: { retention: "1mo", expired: "drop" },
    "archive.orders": { retention: "10y" },
  };
  test.each([
    ["archive.orders", "archive", "10y"],
    ["orders", "archive", "10y"],
    ["orders", "public", "1mo"],
    ["public.orders", "public", "1mo"],
    // Found by the search path.
    ["orders", "app", "1mo"],
    ["app.orders", "app", undefined],
  ])("%s of schema %s would get another table's retention than %s", (typed, schema, retention) => {
    expect(entryFor(file, typed, { schema, name: "orders" }).retention).toBe(retention);
  });

  test("a date would be cut by the hour", () => {
    const table = careTable(["2026-01-01", "2026-01-02"], { kind: "time", type: "date" });
    expect(() => policy(table, { every: "hour" })).toThrow("has no hours");
  });
});

describe("what counts", () => {
  test.each([
    ["FOR VALUES FROM ('infinity') TO (MAXVALUE)", null],
    ["FOR VALUES FROM (MINVALUE) TO ('-infinity')", null],
    ["FOR VALUES FROM ('-infinity') TO ('infinity')", { from: null, to: null }],
  ])("%s would cover all time, or nothing", (text, range) => {
    expect(rangeOf(TIME, parseBound(text))).toEqual(range);
  });

  test("a leaf on its way out would pass for one that takes rows, or its range for free", () => {
    const table = careTable(["2026-01-01", "2026-02-01", "2026-03-01"]);
    const [first] = table.leaves;
    if (first !== undefined) first.pending = true;
    expect(rangesOf(table)).toHaveLength(1);
    expect(missingLeaves(table, policy(table, { ahead: 1 }), at("2026-01-15"), [])).toEqual([]);
  });

  test("wild numbers would be counted: leaves of another width hold them", () => {
    const axis: Axis = { kind: "number", largest: 2n ** 63n - 1n };
    const table = careTable(["0", "1000", "2000", "9223372036854775807"], axis);
    const steps = (step: bigint) =>
      rangesThatCount(table, { kind: "number", step }).map(({ to }) => String(to?.low));
    expect(steps(1000n)).toEqual(["1000", "2000"]);
    // A policy that cuts otherwise from now on: the leaves that are there still say where the rows are.
    expect(steps(500n)).toEqual(["1000", "2000"]);
  });

  test.each([
    ["drop", "1mo", "2026-03-01", true],
    ["drop", "1mo", "2026-02-28 23:00", false],
    ["detach", "1mo", "2026-03-01", false],
    ["drop", undefined, "2090-01-01", false],
  ] as const)(
    "a note to drop would be obeyed or not whatever the policy says: %s %s",
    (expired, retention, now, yes) => {
      const table = careTable(["2026-02-01", "2026-03-01"]);
      const given = policy(table, { expired, ...(retention === undefined ? {} : { retention }) });
      const bound = "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')";
      expect(thenStill(table, given, at(now), bound)).toEqual({ do: yes ? "drop" : "detach" });
      expect(thenStill(table, given, null, bound)).toEqual({ do: "detach" });
    },
  );

  test.each([
    ["2026-03-31 23:00", null],
    ["2026-04-30 23:00", null],
    ["2026-05-01", 3n],
    ["2036-02-01", 120n],
  ])("a clock at %s would be believed or not", (now, beyond) => {
    const table = careTable(["2026-01-01", "2026-02-01"]);
    expect(clockBeyond(table, policy(table, { ahead: 2 }), at(now))).toBe(beyond);
  });

  test("a clock would be doubted where a leaf has no end", () => {
    const table = careTable(["2026-01-01", "2026-02-01", "MAXVALUE"]);
    expect(clockBeyond(table, policy(table, { ahead: 2 }), at("2090-01-01"))).toBeNull();
  });
});
