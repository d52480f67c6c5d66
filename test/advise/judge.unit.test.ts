/** The rules at their borders: a table that is partitioned for nothing costs for ever, one that is not in time costs a night. */
import { describe, expect, test } from "vitest";
import type { StatementUse, TableFacts } from "../../src/advise/facts.js";
import type { Growth } from "../../src/advise/measure.js";
import { column, index, primaryKey } from "../plan/fixture.js";
import { type Given, shown, verdictOf } from "./fixture.js";

const used = (over: Partial<StatementUse> = {}): Partial<TableFacts> => ({
  use: { statements: 3, calls: 1_000, meanMs: 5, slowShare: 0, named: { created_at: 0.5 }, ...over },
});
const BIG = { rows: 5_000_000, perMonth: 400_000 };
const BY_ID: Given = {
  ...{
    columns: [column("id", "bigint", { identity: "always" }), column("payload", "text")],
    since: { id: "1" },
  },
  indexes: [primaryKey("pkey", ["id"])],
};
const customers = (values: string[] | null) => ({
  customer_id: {
    nullFraction: 0,
    distinct: values?.length ?? 5_000,
    correlation: 0,
    histogram: null,
    values,
  },
});

test.each<[string, Given, string]>([
  [
    "a million narrow rows that hardly grow",
    { rows: 1_500_000, perMonth: 50_000, bytesPerRow: 120 },
    "leave alone: small",
  ],
  [
    "few rows, but wide ones",
    { rows: 50_000, perMonth: 1_000, bytesPerRow: 300_000 },
    "medium created_at month",
  ],
  [
    "small, and ten million rows within a year",
    { rows: 900_000, perMonth: 800_000 },
    "medium created_at month",
  ],
  ["fast queries, slow growth, nothing deleted", { ...BIG, over: used() }, "leave alone: fast-enough"],
  ["a hundredth of the calls slow", { ...BIG, over: used({ slowShare: 0.01 }) }, "medium created_at month"],
  [
    "fast queries, but old rows are deleted",
    { ...BIG, deletes: 300_000, over: used() },
    "medium created_at month",
  ],
  [
    "nobody asks by time",
    { ...BIG, over: used({ slowShare: 0.05, named: { id: 1 } }) },
    "leave alone: not-asked-for",
  ],
  [
    "nobody asks by time, but it grows without measure",
    { rows: 400_000_000, perMonth: 30_000_000, over: used({ named: { id: 1 } }) },
    "critical created_at week",
  ],
  [
    "few calls prove nothing",
    { ...BIG, over: used({ calls: 99, named: { id: 1 } }) },
    "medium created_at month",
  ],
  ["no growth", { rows: 5_000_000, perMonth: 10_000 }, "leave alone: does-not-grow"],
  [
    "no growth, but a fifth of the rows dead where old ones are deleted",
    { ...BIG, deletes: 400_000, dead: 1_300_000 },
    "high created_at month",
  ],
  ["200 GB", { rows: 50_000_000, perMonth: 10_000, bytesPerRow: 4_000 }, "critical created_at week"],
  ["50 GB", { rows: 10_000_000, perMonth: 10_000, bytesPerRow: 5_000 }, "high created_at week"],
  ["counted by number only, small", { ...BY_ID, ...BIG }, "leave alone: no-column"],
  ["counted by number only, 40 GB", { ...BY_ID, rows: 100_000_000, perMonth: 9_000 }, "high id step 5000000"],
  ["nothing to cut by", { ...BIG, columns: [column("id", "text")], since: {} }, "leave alone: no-column"],
  [
    "asked for by customer, many of them",
    { ...BIG, over: { ...used({ slowShare: 0.2, named: { customer_id: 0.7 } }), columns: customers(null) } },
    "medium customer_id hash 8",
  ],
  [
    "asked for by customer, of whom there are two",
    {
      ...BIG,
      over: { ...used({ slowShare: 0.2, named: { customer_id: 0.7 } }), columns: customers(["eu", "Us"]) },
    },
    "medium customer_id list Us,eu",
  ],
  [
    "index scans by customer do not say that nobody asks by time",
    { ...BIG, over: { scans: { orders_customer: 900, orders_pkey: 100 } } },
    "medium created_at month",
  ],
])("%s would be judged otherwise", (_, given, advice) => {
  expect(shown(verdictOf(given))).toBe(advice);
});

describe("by which time", () => {
  const times = (...names: string[]) => names.map((name) => column(name, "timestamp with time zone"));
  const since = Object.fromEntries(
    ["created_at", "updatedAt", "recorded_at", "ts", "at", "expires_at"].map((name) => [
      name,
      "2024-06-20 00:00:00+00",
    ]),
  );
  const by = (columns: Given["columns"], over: Partial<TableFacts> = {}) =>
    verdictOf({ ...BIG, columns: [column("id", "bigint"), ...(columns ?? [])], since, over }).cut?.column
      .name ?? null;

  test("rows would move whenever they are updated", () => {
    expect(by(times("updatedAt", "created_at"))).toBe("created_at");
    expect(by(times("expires_at"))).toBeNull();
  });
  test("a nullable time would win over one that is always there", () => {
    const nullable = column("recorded_at", "timestamp with time zone", { notNull: false });
    const columns = {
      recorded_at: { nullFraction: 0.3, distinct: null, correlation: 1, histogram: null, values: null },
    };
    expect(by([nullable, ...times("at")], { columns })).toBe("at");
  });
  test("a default of now() would count for nothing", () => {
    expect(by([...times("ts"), column("at", "date", { default: "CURRENT_DATE" })])).toBe("ts");
    expect(by([...times("at"), column("ts", "date", { default: "now()" })])).toBe("ts");
  });
  test("a time that is computed could not be partitioned by", () => {
    expect(by([column("ts", "date", { generated: "stored" }), ...times("at")])).toBe("at");
  });
});

test("a value years away would stretch the leaves unseen, or the sentence would not say what was measured", () => {
  const { why, growth } = verdictOf({ rows: 60_000_000, perMonth: 5_000_000, bytesPerRow: 500 });
  expect(why).toBe(
    "60.0 million rows, 30 GB, 5.0 million rows (2.5 GB) more a month: vacuum and index builds of the whole are felt.",
  );
  expect(growth?.basis).toBe("5,000,000 inserts counted in 30 days");
});

describe("how fast it grows", () => {
  /** A quarter of the rows in the last `days` days. */
  const aged = (days: number) => ({
    columns: {
      created_at: {
        ...{ nullFraction: 0, distinct: -1, correlation: 1, values: null },
        histogram: [
          "2024-06-20",
          "2024-09-20",
          "2024-12-20",
          `2025-${days === 30 ? "05-21" : "06-10"}`,
          "2025-06-20",
        ],
      },
    },
  });
  const rate = (given: Given, countedDays: number | null) =>
    thousands(verdictOf(given, { countedDays }).growth);
  const thousands = (growth: Growth | null) =>
    growth === null ? null : Math.round(growth.rowsPerMonth / 1_000);

  test("a restore would be taken for a month's rows", () => {
    expect(rate({ rows: 5_000_000, perMonth: 5_000_000, over: aged(30) }, 30.44)).toBe(1_268);
    expect(rate({ rows: 5_000_000, perMonth: 5_000_000, deletes: 1, over: aged(30) }, 30.44)).toBe(5_000);
  });
  test("counters of an hour would be scaled up to a month", () => {
    expect(rate({ rows: 5_000_000, perMonth: 500_000, over: aged(30) }, 0.04)).toBe(1_268);
    expect(rate({ rows: 5_000_000, perMonth: 500_000 }, null)).toBeNull();
  });
  test("a new table would seem to have been counted for years", () => {
    const given = { rows: 2_000_000, perMonth: 2_000_000, since: { created_at: "2025-06-10 12:00:00" } };
    expect(rate(given, 1_000)).toBe(6_113);
  });
});

test("an index of customers alone would make a table of one customer each", () => {
  const unique = [primaryKey("pkey", ["id"]), { ...index("u", ["customer_id"]), unique: true }];
  const over = used({ slowShare: 0.5, named: { customer_id: 1 } });
  expect(shown(verdictOf({ ...BIG, indexes: unique, over }))).toBe("leave alone: not-asked-for");
});
