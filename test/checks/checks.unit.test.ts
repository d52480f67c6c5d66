import { expect, test } from "vitest";
import { expectedText, type Found, foundText, isMet, rowsNeeded } from "../../src/checks/expect.js";
import { executionTime, scanned } from "../../src/checks/queries.js";
import { type Expectation, statementOf } from "../../src/checks/types.js";
import { configFor } from "../../src/config/load.js";
import { parseSettings } from "../../src/config/request.js";
import { configSchema } from "../../src/config/schema.js";
import { planOf } from "../plan/fixture.js";

const found = (over: Partial<Found> = {}): Found => ({ rows: 1, more: false, value: "1", ...over });

const CASES: [name: string, Expectation, Found, passes: boolean, says: string][] = [
  ["no error, any rows", "no error", found({ rows: 7 }), true, "7 rows"],
  ["exactly as many rows", { rows: 1 }, found(), true, "1 row"],
  ["too few rows", { rows: 2 }, found(), false, "1 row"],
  ["more rows than were read", { rows: 1 }, found({ rows: 2, more: true }), false, "more than 1 row"],
  ["no row where none may be", { rows: 0 }, found({ rows: 0, value: undefined }), true, "0 rows"],
  ["at least", { atLeast: 3 }, found({ rows: 3 }), true, "at least 3 rows"],
  ["less than at least", { atLeast: 3 }, found({ rows: 2 }), false, "2 rows"],
  ["a text", { equals: "new" }, found({ value: "new" }), true, "new"],
  ["a number as PostgreSQL prints it", { equals: 3 }, found({ value: "3.00" }), true, "3.00"],
  ["an empty text is not zero", { equals: 0 }, found({ value: "" }), false, ""],
  ["true", { equals: true }, found({ value: "t" }), true, "true"],
  ["false where true was wanted", { equals: true }, found({ value: "f" }), false, "false"],
  ["NULL", { equals: null }, found({ value: null }), true, "NULL"],
  ["NULL where a text was wanted", { equals: "NULL" }, found({ value: null }), false, "NULL"],
  ["a value in more than one row", { equals: "1" }, found({ rows: 2, more: true }), false, "more than 1 row"],
  ["no row where a value was wanted", { equals: "1" }, found({ rows: 0, value: undefined }), false, "0 rows"],
];

test.each(CASES)("a check would be judged wrongly: %s", (_, expectation, result, passes, says) => {
  expect(isMet(expectation, result)).toBe(passes);
  expect(foundText(expectation, result)).toBe(says);
});

test("a check would read a whole table to say that it has rows", () => {
  expect([{ rows: 1 }, { atLeast: 5 }, { equals: 1 }].map((e) => rowsNeeded(e as Expectation))).toEqual([
    2, 5, 2,
  ]);
  expect(expectedText({ atLeast: 1 })).toBe("at least 1 row");
});

test("{table} would not be the quoted name, or a dollar in it would be lost", () => {
  const names = { schema: "public", source: 'Odd$&"Name' };
  expect(statementOf("SELECT 1 FROM {table} ; ", names)).toBe('SELECT 1 FROM "public"."Odd$&""Name"');
});

test("checks for every table would hide those of one", () => {
  const check = (name: string) => ({ name, sql: "SELECT 1" });
  const config = configSchema.parse({
    smoke: [check("all")],
    tables: { orders: { smoke: [check("own")] }, items: {} },
  });
  const names = (table: string) => parseSettings(configFor(config, table)).smoke.map(({ name }) => name);
  expect(names("orders")).toEqual(["all", "own"]);
  expect(names("items")).toEqual(["all"]);
});

test("two checks of one name could not be told apart", () => {
  const twin = { name: "a", sql: "SELECT 1", expect: "no error" as const };
  expect(() => parseSettings({ smoke: [twin, twin] })).toThrow(/two checks are called "a"/);
});

test("an expectation with a mistake in it would be taken for none", () => {
  const tables = { orders: { smoke: [{ name: "a", sql: "SELECT 1", expect: { row: 1 } }] } };
  expect(configSchema.safeParse({ tables }).success).toBe(false);
});

test("leaves that were pruned or never reached would count as read", () => {
  const plan = planOf();
  const [a, b, c] = plan.leaves.map(({ name }) => name);
  const text = [
    "Append  (cost=0.00..1.00 rows=1 width=8) (actual time=0.1..0.2 rows=1 loops=1)",
    `  ->  Seq Scan on ${a} orders_1  (cost=0.00..1.00 rows=1 width=8) (actual time=0.1..0.2 rows=1 loops=1)`,
    `  ->  Index Scan Backward using x on ${b} orders_2  (cost=0.00..1.00 rows=1 width=8) (actual time=0.1..0.2 rows=1 loops=1)`,
    `  ->  Index Only Scan using x on ${c} orders_3  (cost=0.00..1.00 rows=1 width=8) (never executed)`,
    "  ->  Seq Scan on customers  (cost=0.00..1.00 rows=1 width=8) (actual time=0.1..0.2 rows=1 loops=1)",
    "Planning Time: 0.5 ms",
    "Execution Time: 12.345 ms",
  ].join("\n");
  expect(scanned(text, plan)).toBe(2);
  expect(executionTime(text)).toBe(12.345);
  expect(executionTime("")).toBeNull();
});
