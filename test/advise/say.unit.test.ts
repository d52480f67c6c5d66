/** What an operator reads and types: the advice must lead to a plan that Partway takes, and say what would be refused. */
import { expect, test } from "vitest";
import { type Advice, byUrgency } from "../../src/advise/advice.js";
import { healthLine } from "../../src/advise/health.js";
import { judge } from "../../src/advise/judge.js";
import { adviceOf, worthALook } from "../../src/advise/say.js";
import type { AdviceReport } from "../../src/advisor.js";
import { adviceMarkdown } from "../../src/commands/advise-markdown.js";
import { adviceText } from "../../src/commands/advise-text.js";
import { column, index, primaryKey } from "../plan/fixture.js";
import { factsOf, type Given, MEASURED, NOW } from "./fixture.js";

function adviceFor(given: Given): Advice {
  const facts = factsOf(given);
  return adviceOf.judged(facts, judge(facts, MEASURED), MEASURED);
}

const GROWS = { rows: 60_000_000, perMonth: 5_000_000, bytesPerRow: 500 };
const report = (...tables: Advice[]): AdviceReport => ({
  ...{ database: "shop", countedDays: 41.7, noStatements: null },
  tables: byUrgency(tables),
});

test("the command to type would not be the one that was judged", () => {
  const advice = adviceFor({ ...GROWS, name: "Conversation Message" });
  expect(advice.next).toBe(`partway plan 'public."Conversation Message"' --by created_at --every week`);
  // 52 weeks and two days from 2024-06-20 on, and twelve ahead.
  expect(advice.cut).toMatchObject({
    leaves: 65,
    scheme: "RANGE (created_at), one leaf a week, bounds in UTC",
  });
  expect(advice.refusals).toEqual([]);
  expect(advice.consequences.map(({ code }) => code)).toContain("key-alone-not-unique");
});

test("what the plan refuses would be found out later", () => {
  const nullable = column("created_at", "timestamp without time zone", { notNull: false });
  const advice = adviceFor({
    ...GROWS,
    columns: [column("id", "bigint"), nullable],
    indexes: [primaryKey("pkey", ["id"]), { ...index("email", ["email"]), unique: true }],
    over: {
      columns: {
        created_at: { nullFraction: 0.001, distinct: -1, correlation: 1, histogram: null, values: null },
      },
      reach: {
        created_at: { min: "2024-06-20", max: "2025-06-20", infinite: true, from: "statistics" },
      },
    },
  });
  expect(advice.refusals.map(({ code }) => code)).toEqual([
    "null-partition-values",
    "infinite-partition-values",
    "unique-without-partition-key",
  ]);
});

test("a value years away from the others would stretch the leaves without a word", () => {
  const since = { created_at: "1970-01-01 00:00:00" };
  const histogram = ["1970-01-01", "2024-07-01", "2024-12-01", "2025-03-01", "2025-06-20"];
  const columns = {
    created_at: { nullFraction: 0, distinct: -1, correlation: 1, histogram, values: null },
  };
  expect(adviceFor({ ...GROWS, since, over: { columns } }).notes).toEqual([
    "created_at = 1970-01-01 00:00:00 lies years from the other rows and stretches the leaves: look at it first.",
  ]);
});

test("a small table would be looked at closely, or a busy one not", () => {
  const { summary } = factsOf({ rows: 40_000, bytesPerRow: 100 });
  expect(worthALook(summary)).toBe(false);
  expect(worthALook({ ...summary, toastBytes: 60e6 })).toBe(true);
  expect(worthALook({ ...summary, activity: { ...summary.activity, inserts: 60_000 } })).toBe(true);
  expect(adviceOf.small({ ...summary, rows: 1 }).why).toMatch(/^1 row, /);
});

test("the most urgent table would not stand first", () => {
  const small = adviceOf.small(factsOf({ name: "admin", rows: 10 }).summary);
  const partitioned = adviceOf.partitioned(factsOf({ name: "events" }).summary, "RANGE (at), healthy.", 5e9);
  const medium = adviceFor({ name: "leads", rows: 2_000_000, perMonth: 200_000 });
  const critical = adviceFor({ name: "gps", rows: 90_000_000, perMonth: 30_000_000 });
  const order = byUrgency([small, medium, partitioned, critical]).map(({ table }) => table);
  expect(order).toEqual(["public.gps", "public.leads", "public.events", "public.admin"]);
});

test("the text would leave out the reason, the leaves, a refusal or the command", () => {
  const refused = adviceFor({ ...GROWS, indexes: [] });
  const small = adviceOf.small(factsOf({ name: "admin", rows: 10 }).summary);
  const text = adviceText(report(small, refused));
  expect(text.split("\n").slice(0, 3)).toEqual([
    "Database shop: 2 tables; 1 worth partitioning, 0 partitioned already, 1 better left alone",
    "Measured: sizes and statistics as of the last ANALYZE; the server has counted for 42 days; statements by pg_stat_statements",
    "",
  ]);
  expect(text).toMatch(
    /^HIGH {2}public\.orders\n {2}60\.0 million rows, .*\n {2}60,000,000 rows; 30 GB .*\n {2}by: RANGE \(created_at\), one leaf a week, bounds in UTC; 65 leaves, a full one about 5\d\d MB\n {2}because: created_at says when a row was made; a leaf of a month would be 2\.5 GB\.\n {2}- refused: .*\(no-key\)\n {4}remedy: .*\n {2}next: partway plan public\.orders --by created_at --every week$/m,
  );
  expect(text).toMatch(
    /^leave alone {2}public\.admin\n {2}10 rows, 4 kB: too small for leaves to help\.\n$/m,
  );
  // A command is not broken at the terminal's width.
  expect(adviceText(report(refused), 40)).toContain(
    "\n  next: partway plan public.orders --by created_at --every week\n",
  );
});

test("the page would be read as markup, or miss a table", () => {
  const odd = adviceFor({ ...GROWS, name: "a|b`c" });
  const small = adviceOf.small(factsOf({ name: "_admin_", rows: 10 }).summary);
  const page = adviceMarkdown(report(odd, small));
  expect(page).toMatch(/^# Partitioning advice for `shop`\n\nDatabase shop: 2 tables/);
  expect(page).toContain("\n## HIGH: `` public.a|b`c ``\n");
  expect(page).toMatch(/- Changes for the application: \("id"\) alone will no longer be unique/);
  expect(page).toContain(
    "| `public._admin_` | 10 | 4 kB | leave alone | 10 rows, 4 kB: too small for leaves to help. |",
  );
});

test.each<[string, { name: string; bounds: string; bytes: number; rows: number | null }[], string]>([
  [
    "healthy",
    [
      {
        name: "e_1",
        bounds: "FOR VALUES FROM ('2025-05-01 00:00:00+00') TO ('2025-06-01 00:00:00+00')",
        bytes: 5e8,
        rows: 1,
      },
      {
        name: "e_2",
        bounds: "FOR VALUES FROM ('2025-06-01 00:00:00+00') TO ('2025-12-01 00:00:00+00')",
        bytes: 7e8,
        rows: 1,
      },
    ],
    "RANGE (at), 2 leaves, 1.2 GB, reaching until 2025-12-01 (163 days ahead): healthy.",
  ],
  [
    "running out",
    [{ name: "e", bounds: "FOR VALUES FROM ('2025-06-01') TO ('2025-06-26')", bytes: 1e6, rows: 1 }],
    "RANGE (at), 1 leaf, 1 MB, reaching until 2025-06-26 (5 days ahead): WARNING: leaves run out, later rows are rejected.",
  ],
  [
    "run out",
    [{ name: "e", bounds: "FOR VALUES FROM ('2025-06-01') TO ('2025-06-19')", bytes: 1e6, rows: 1 }],
    "RANGE (at), 1 leaf, 1 MB, reaching until 2025-06-19 (2 days ago): CRITICAL: leaves run out, later rows are rejected.",
  ],
  [
    "a default with rows, and a large leaf",
    [
      { name: "rest", bounds: "DEFAULT", bytes: 1e6, rows: 12 },
      { name: "h_0", bounds: "FOR VALUES WITH (modulus 2, remainder 0)", bytes: 2e10, rows: 9 },
    ],
    "RANGE (at), 2 leaves, 20 GB: rest, the default, holds about 12 rows and stands in the way of new leaves; h_0 is 20 GB: a finer interval would be better.",
  ],
  [
    "open at its end",
    [
      { name: "e", bounds: "FOR VALUES FROM ('2025-06-01') TO ('2025-06-19')", bytes: 1e6, rows: 1 },
      { name: "late", bounds: "FOR VALUES FROM ('2025-06-19') TO (MAXVALUE)", bytes: 0, rows: 0 },
    ],
    "RANGE (at), 2 leaves, 1 MB: healthy.",
  ],
  [
    "running into its default",
    [
      { name: "e", bounds: "FOR VALUES FROM ('2025-06-01') TO ('2025-06-19')", bytes: 1e6, rows: 1 },
      { name: "rest", bounds: "DEFAULT", bytes: 0, rows: 0 },
    ],
    "RANGE (at), 2 leaves, 1 MB, reaching until 2025-06-19 (2 days ago): CRITICAL: leaves run out, later rows go into the default.",
  ],
  [
    "cut by the hour and three days ahead",
    [
      {
        name: "e",
        bounds: "FOR VALUES FROM ('2025-06-23 23:00:00') TO ('2025-06-24 00:00:00')",
        bytes: 1e6,
        rows: 1,
      },
    ],
    "RANGE (at), 1 leaf, 1 MB, reaching until 2025-06-24 (3 days ahead): healthy.",
  ],
  ["nothing", [], "RANGE (at), 0 leaves, 0 B: no leaf: every INSERT is rejected."],
])("a partitioned table that is %s would not be told so", (_, leaves, line) => {
  expect(healthLine({ key: "RANGE (at)", leaves }, NOW)).toBe(line);
});
