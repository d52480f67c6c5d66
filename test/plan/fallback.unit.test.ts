/** `--null-keys default-leaf`: what the DEFAULT leaf takes, and what is refused beside it. */
import { describe, expect, test } from "vitest";
import { planMarkdown } from "../../src/commands/plan-markdown.js";
import { planText } from "../../src/commands/plan-text.js";
import { parseRequest, type RawOptions } from "../../src/config/request.js";
import { leafFor } from "../../src/plan/bounds.js";
import { instantText, parseHours, startOf } from "../../src/plan/calendar.js";
import { openFallback, takenSql } from "../../src/plan/fallback.js";
import { intervalsOf, timeReach } from "../../src/plan/reach.js";
import { requestOptions } from "../../src/plan/typed.js";
import type { Interval, Plan } from "../../src/plan/types.js";
import { column, type Given, planOf, shownLeaves } from "./fixture.js";

const rest = (options: RawOptions, over: Partial<Given> = {}): Plan =>
  planOf({ ...over, options: { ...options, nullKeys: "default-leaf" } });
const MONTHS = { by: "created_at", every: "month", ahead: "0" };
const SMALL = { columns: [column("id", "bigint"), column("n", "smallint")] };
const codes = (plan: Plan) => plan.refusals.map(({ code }) => code);
const ddl = (plan: Plan) => plan.shadowDdl.map(({ sql }) => sql);

test("rows that no leaf can hold would be refused though a DEFAULT leaf was asked for", () => {
  const infinite = rest(MONTHS, { survey: { infiniteRows: true } });
  expect(codes(infinite)).toEqual([]);
  expect(shownLeaves(infinite).slice(-2)).toEqual([
    "orders_2026_03 [2026-03-01 00:00:00+00, 2026-04-01 00:00:00+00)",
    "orders_default DEFAULT",
  ]);
  expect(ddl(infinite)).toContain(
    'CREATE TABLE "public"."orders_default" PARTITION OF "public"."orders_partitioned" DEFAULT',
  );
  const list = rest({ by: "region", list: "eu" }, { survey: { distinct: ["eu", "us"] } });
  expect(codes(list)).toEqual([]);
  expect(shownLeaves(list)).toEqual(["orders_eu = eu", "orders_default DEFAULT"]);
  const many = Array.from({ length: 1001 }, (_, i) => `r${i}`);
  expect(codes(rest({ by: "region", list: "eu" }, { survey: { distinct: many } }))).toEqual([]);
});

test("without the option everything would be as it was but the way out that is named", () => {
  const infinite = planOf({ survey: { infiniteRows: true } });
  expect(infinite.refusals[0]?.remedy).toContain("--null-keys default-leaf");
  expect(infinite.leaves.map(({ bounds }) => bounds.kind)).not.toContain("default");
  expect(
    codes(planOf({ options: { ...MONTHS, nullKeys: "refuse" }, survey: { infiniteRows: true } })),
  ).toEqual(["infinite-partition-values"]);
  expect(openFallback(infinite)).toEqual([]);
});

test("NULL would be taken beside a DEFAULT leaf, and break the primary key at the end of the copy", () => {
  const plan = rest(MONTHS, { survey: { nullRows: true } });
  expect(codes(plan)).toEqual(["null-partition-values"]);
  expect(plan.refusals[0]).toMatchObject({
    why: expect.stringContaining("a primary key cannot hold NULL"),
    remedy: expect.stringContaining("('infinity' goes into the DEFAULT leaf), then"),
  });
  const list = rest({ by: "region", list: "eu" }, { survey: { nullRows: true } });
  expect(list.refusals[0]?.remedy).not.toContain("infinity");
});

test("a name that is taken would stop the run", () => {
  expect(rest(MONTHS, { table: { namesInSchema: ["orders_default"] } }).leaves.at(-1)?.name).toBe(
    "orders_default_2",
  );
  expect(rest({ by: "region", list: "default" }).leaves.map(({ name }) => name)).toEqual([
    "orders_default",
    "orders_default_2",
  ]);
});

test("a table of infinite values alone would have no leaf for now", () => {
  const plan = rest(MONTHS, { survey: { min: null, max: null, infiniteRows: true } });
  expect(shownLeaves(plan).map((leaf) => leaf.split(" ")[0])).toEqual([
    "orders_2026_02",
    "orders_2026_03",
    "orders_default",
  ]);
});

test("the sample would leave DEFAULT's rows out, or count them elsewhere", () => {
  const values = ["infinity", "-infinity", "2026-03-01 00:00:00+00", "2026-03-02 00:00:00+00"];
  const plan = rest(MONTHS, { survey: { rows: 400, sample: { values, fraction: 1 } } });
  expect(plan.leaves.map(({ estimatedRows }) => estimatedRows)).toEqual([0, 0, 200, 200]);
  const list = rest(
    { by: "region", list: "eu,us" },
    {
      survey: { rows: 400, sample: { values: ["eu", "eu", "us", "mars"], fraction: 1 } },
    },
  );
  expect(list.leaves.map(({ estimatedRows }) => estimatedRows)).toEqual([200, 100, 100]);
});

describe("until cutover DEFAULT would hide a row whose leaf can be made, or refuse one that has none", () => {
  test("by time, by number, by list", () => {
    const plan = rest(MONTHS);
    const leaf = 'ALTER TABLE "public"."orders_default"';
    const taken = `"created_at" < '4714-12-01 00:00:00+00 BC' OR "created_at" >= '294276-12-01 00:00:00+00'`;
    expect(takenSql(plan)).toBe(taken);
    expect(ddl(plan)).toContain(`${leaf} ADD CONSTRAINT "partway_only_orders_3f9a1c" CHECK (${taken})`);
    expect(openFallback(plan).map(({ sql }) => sql)).toEqual([
      `${leaf} DROP CONSTRAINT IF EXISTS "partway_only_orders_3f9a1c"`,
    ]);
    const numbers = rest({ by: "n", step: "1000" }, { table: SMALL, survey: { min: "0", max: "31999" } });
    expect(codes(numbers)).toEqual([]);
    expect(takenSql(numbers)).toBe(`"n" >= '32000'`);
    const list = rest({ by: "region", list: "eu" });
    expect([takenSql(list), openFallback(list)]).toEqual([null, []]);
    expect(ddl(list).some((sql) => sql.includes("CHECK"))).toBe(false);
  });

  test.each(["hour", "day", "week", "month", "quarter", "year"] as Interval[])(
    "a leaf by %s is made exactly where the type has both its ends",
    (every) => {
      for (const type of ["date", "timestamp", "timestamptz"] as const) {
        if (type === "date" && every === "hour") continue;
        const base = type === "timestamptz" ? "timestamp with time zone" : type;
        const plan = planOf({
          table: { columns: [column("id", "bigint"), column("at", base)] },
          options: { by: "at", every },
          survey: { min: "2026-01-01", max: "2026-01-02" },
        });
        const { first, end } = intervalsOf(every, type);
        const at = (index: number) => instantText(startOf(index, every), type);
        for (const index of [first, end - 1])
          expect(leafFor(plan, at(index)).bounds).toEqual({
            kind: "range",
            from: at(index),
            to: at(index + 1),
          });
        for (const index of [first - 1, end]) expect(() => leafFor(plan, at(index))).toThrow(/fits no leaf/);
        expect(timeReach(every, type)).toEqual({ from: at(first), to: at(end) });
        const last = parseHours(type === "date" ? "5874897-12-31" : "294276-12-31") ?? 0;
        expect(startOf(end, every)).toBeLessThanOrEqual(last + 23);
        expect(startOf(first, every)).toBeGreaterThanOrEqual(parseHours("4714-11-24 BC") ?? 0);
      }
    },
  );
});

test("an operator would not be told what DEFAULT means afterwards", () => {
  const plan = rest(MONTHS);
  const told = plan.consequences.map(({ code }) => code);
  expect(told).toContain("default-leaf");
  expect(told).not.toContain("rows-outside-leaves");
  expect(planText(plan, [])).toContain("orders_default  DEFAULT: what no other leaf holds");
  const page = planMarkdown(plan);
  expect(page).toMatch(/\| last \| `orders_2026_03`/);
  expect(page).toMatch(/\| the rest \| `orders_default`/);
  expect(page).toContain("goes into the DEFAULT leaf orders_default; a NULL stops the run");
  expect(page).toContain("--null-keys default-leaf");
  expect(rest({ by: "region", list: "eu" }).consequences.map(({ what }) => what)).toContainEqual(
    expect.stringContaining("not in the list goes into the DEFAULT leaf orders_default"),
  );
});

test("the option would be lost on its way, taken for hash, or mistyped without a word", () => {
  expect(requestOptions(rest(MONTHS).request)).toContain("--null-keys default-leaf");
  expect(requestOptions(planOf().request)).not.toContain("--null-keys");
  const bad = (options: RawOptions) => () => parseRequest("orders", options);
  expect(bad({ ...MONTHS, nullKeys: "default" })).toThrow(/--null-keys: "default" is no choice/);
  expect(bad({ by: "id", hash: "4", nullKeys: "default-leaf" })).toThrow(/hash has no DEFAULT leaf/);
  expect(parseRequest("orders", { by: "id", hash: "4", nullKeys: "refuse" }).nullKeys).toBe("refuse");
});
