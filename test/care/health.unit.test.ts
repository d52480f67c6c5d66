/** What an operator would lose: a night's sleep over nothing, or the alarm that was needed. */
import { describe, expect, test } from "vitest";
import { recogniseTable } from "../../src/care/decide.js";
import { type HealthFacts, healthOf } from "../../src/care/health.js";
import { policyOf } from "../../src/care/policy.js";
import { type CareTable, shellName } from "../../src/care/table.js";
import type { PartitionPolicy } from "../../src/config/schema.js";
import { at, careTable } from "./support.js";

function facts(table: CareTable, now: bigint, given: PartitionPolicy = {}, more: Partial<HealthFacts> = {}) {
  const policy = policyOf("t", given, table.axis, recogniseTable(table).grid);
  return {
    ...{
      table,
      policy,
      adopted: { lastMaintenance: null },
      wrong: null,
      now,
      bytes: new Map<string, number>(),
    },
    ...{ defaultHasRows: false, indexes: [], leaving: [], restored: new Set<string>(), ...more },
  };
}

const codes = (found: HealthFacts) => {
  const { status, findings } = healthOf(found);
  return [status, ...findings.map(({ code }) => code)];
};

const DAYS = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05", "2026-01-06"];

describe("the end of the leaves", () => {
  // The last of them ends on 6 January.
  test.each([
    ["2025-12-29 00:00", ["CRITICAL", "current-leaf-missing"]],
    ["2026-01-06 00:00", ["CRITICAL", "current-leaf-missing"]],
    ["2026-01-03 00:00", ["CRITICAL", "next-leaf-missing"]],
    ["2026-01-02 23:00", ["WARNING", "next-leaf-missing"]],
  ])("at %s would be told wrong", (now, said) => {
    expect(codes(facts(careTable(DAYS), at(now)))).toEqual(said);
  });

  test("beyond seven days would raise an alarm", () => {
    const table = careTable(["2026-01-01", "2026-02-01", "2026-03-01"]);
    expect(codes(facts(table, at("2026-02-21 23:00")))).toEqual(["HEALTHY"]);
    expect(codes(facts(table, at("2026-02-22 00:00")))).toEqual(["WARNING", "next-leaf-missing"]);
  });

  test("would be measured in days where leaves are hours, or years", () => {
    const hours = careTable(["2026-01-01 00:00", "2026-01-01 01:00", "2026-01-01 02:00", "2026-01-01 09:00"]);
    expect(codes(facts(hours, at("2026-01-01 01:00")))).toEqual(["HEALTHY"]);
    expect(codes(facts(hours, at("2026-01-01 02:00")))[0]).toBe("WARNING");
    const years = careTable(["2024-01-01", "2025-01-01", "2026-01-01"]);
    expect(codes(facts(years, at("2025-12-10")))[0]).toBe("WARNING");
    expect(codes(facts(years, at("2025-12-26")))[0]).toBe("CRITICAL");
  });

  test("would not be seen for numbers until it is there", () => {
    const table = careTable(["0", "1000", "2000"], { kind: "number", largest: 10_000n });
    expect(codes(facts(table, 900n))).toEqual(["HEALTHY"]);
    expect(codes(facts(table, 1001n))).toEqual(["WARNING", "next-leaf-missing"]);
    expect(codes(facts(table, 1901n))).toEqual(["CRITICAL", "next-leaf-missing"]);
  });

  test("would be asked of a table whose last leaf has none", () => {
    expect(codes(facts(careTable(["2026-01-01", "2026-02-01", "MAXVALUE"]), at("2026-01-31")))).toEqual([
      "HEALTHY",
    ]);
  });
});

const MONTHS = ["2025-11-01", "2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"];
const JANUARY = at("2026-01-15");

describe("a table", () => {
  test("without leaves would pass for healthy", () => {
    expect(codes(facts(careTable([]), JANUARY))).toEqual(["NO_PARTITIONS"]);
  });

  test("with work for maintain --apply would pass for healthy, or for broken", () => {
    const table = careTable(MONTHS);
    expect(codes(facts(table, JANUARY, { retention: "1mo" }))).toEqual(["CLEANUP_NEEDED", "expired"]);
    expect(codes(facts(table, JANUARY, {}, { leaving: ["l9"] }))).toEqual(["CLEANUP_NEEDED", "drop-pending"]);
    const [first] = table.leaves;
    if (first !== undefined) first.pending = true;
    expect(codes(facts(table, JANUARY))).toEqual(["CLEANUP_NEEDED", "detach-pending"]);
  });

  test.each([
    ["gap", careTable(["2025-11-01", "2025-12-01", "-", "2026-01-01", "2026-02-01", "2026-03-01"]), {}, {}],
    ["default-not-empty", careTable(MONTHS), {}, { defaultHasRows: true }],
    ["index-missing", careTable(MONTHS), {}, { indexes: ["l0: t_pkey"] }],
    ["leaf-too-large", careTable(MONTHS), {}, { bytes: new Map([["0", 1.01e10]]) }],
    ["too-few-leaves", careTable(MONTHS), { thresholds: { minLeaves: 6 } }, {}],
    ["too-many-leaves", careTable(MONTHS), { thresholds: { maxLeaves: 4 } }, {}],
  ] satisfies [string, CareTable, PartitionPolicy, Partial<HealthFacts>][])(
    "with %s would pass for healthy",
    (code, table, policy, more) => {
      expect(codes(facts(table, JANUARY, policy, more))).toEqual(["WARNING", code]);
    },
  );

  test("whose statistics are old would pass for healthy", () => {
    const table = careTable(MONTHS);
    const [first] = table.leaves;
    if (first !== undefined)
      Object.assign(first, { rows: 1000, changed: 151, lastAnalyze: "2026-01-01 00:00:00" });
    expect(codes(facts(table, JANUARY))).toEqual(["WARNING", "statistics-stale"]);
    if (first !== undefined) first.changed = 150;
    expect(codes(facts(table, JANUARY))).toEqual(["HEALTHY"]);
  });

  test("whose bounds stand on no interval would be left without leaves in silence", () => {
    const sundays = ["2026-01-04", "2026-01-11", "2026-01-18", "2026-02-08"];
    const table = careTable(sundays);
    expect(codes(facts(table, JANUARY))).toEqual(["WARNING", "interval-unknown"]);
    // Their end is no less near for that.
    expect(codes(facts(table, at("2026-02-02")))).toEqual([
      "WARNING",
      "next-leaf-missing",
      "interval-unknown",
    ]);
    expect(codes(facts(table, at("2026-02-06")))).toEqual([
      "CRITICAL",
      "next-leaf-missing",
      "interval-unknown",
    ]);
    expect(codes(facts(table, at("2026-02-09")))[0]).toBe("CRITICAL");
  });

  test("cut by two columns, a text or an expression would pass for healthy: nobody looks at its end", () => {
    const table: CareTable = { ...careTable(MONTHS), axis: null, column: null };
    const leaves = table.leaves.map((leaf) => ({ ...leaf, range: null }));
    const found: HealthFacts = { ...facts({ ...table, leaves }, JANUARY), now: null };
    expect(codes(found)).toEqual(["WARNING", "interval-unknown"]);
  });

  test("whose leaves are partitioned themselves would pass for one that is maintained", () => {
    const table = careTable(MONTHS);
    const [first] = table.leaves;
    if (first !== undefined) first.kind = "partitioned";
    expect(codes(facts(table, JANUARY))).toEqual(["WARNING", "leaves-partitioned"]);
  });

  test("whose leaf for now is on its way out would pass for covered", () => {
    const table = careTable(MONTHS);
    const now = table.leaves[2];
    if (now !== undefined) now.pending = true;
    expect(codes(facts(table, JANUARY))).toEqual([
      "CRITICAL",
      "current-leaf-missing",
      "gap",
      "detach-pending",
    ]);
  });

  test("whose policy cannot be read would pass for healthy", () => {
    const wrong = { what: "row t: thresholds: no such key", next: "UPDATE" };
    expect(codes(facts(careTable(MONTHS), JANUARY, {}, { wrong }))).toEqual(["WARNING", "policy-unreadable"]);
  });

  test("of 180 daily leaves would be called too many (FEATURES N30)", () => {
    const days = Array.from({ length: 181 }, (_, day) =>
      new Date(Date.UTC(2026, 0, 1 + day)).toISOString().slice(0, 10),
    );
    expect(codes(facts(careTable(days), JANUARY))).toEqual(["HEALTHY"]);
  });

  test("with capitals or quotes in its name would be taken apart by the shell", () => {
    expect(shellName({ schema: "public", name: "orders" })).toBe("public.orders");
    expect(shellName({ schema: "public", name: "it's" })).toBe(`'"public"."it'\\''s"'`);
  });
});
