import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { readTable } from "../../src/catalog/read.js";
import { survey } from "../../src/catalog/survey.js";
import { PartwayError } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import type { Scheme, Survey } from "../../src/plan/types.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;

beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  await session.query("CREATE SCHEMA s");
});
afterAll(() => db.drop());

/** Makes s.t from `sql`, then surveys it. */
async function surveyed(sql: string, scheme: Scheme): Promise<Survey> {
  await session.query(`DROP TABLE IF EXISTS s."T t"; ${sql}`);
  return survey(session, await readTable(session, 's."T t"'), scheme);
}

const byTime = (column: string): Scheme => ({ kind: "range-time", column, every: "month" });
const byInt = (column: string): Scheme => ({ kind: "range-int", column, step: "100" });
const byList = (column: string): Scheme => ({ kind: "list", column, values: [] });

const TIMES = `('2026-03-31 23:30:00.123456-02'), ('-infinity'), (NULL), ('2024-12-31 23:00:00-05'), ('infinity')`;

test.each(["", 'CREATE INDEX ON s."T t" ("At")', 'CREATE INDEX ON s."T t" ("At", id)'])(
  "leaves would not reach the oldest or newest row, or be named after infinity: %s",
  async (index) => {
    const found = await surveyed(
      `CREATE TABLE s."T t" (id int, "At" timestamptz); INSERT INTO s."T t" ("At") VALUES ${TIMES}; ${index}`,
      byTime("At"),
    );
    expect(found).toMatchObject({
      min: "2025-01-01 04:00:00+00",
      max: "2026-04-01 01:30:00.123456+00",
      nullRows: true,
      infiniteRows: true,
      distinct: [],
    });
    expect([...found.sample.values].sort()).toEqual([
      "2025-01-01 04:00:00+00",
      "2026-04-01 01:30:00.123456+00",
    ]);
    expect(found.sample.fraction).toBe(1);
    expect(found.rows).toBe(5);
  },
);

test.each([
  ["timestamp", "'2026-01-31 12:00'", "2026-01-31 12:00:00"],
  ["date", "'2026-01-31'", "2026-01-31"],
  ["timestamptz", "'0044-03-15 00:00+00 BC'", "0044-03-15 00:00:00+00 BC"],
])("a %s would be read in the session's style or zone", async (type, value, expected) => {
  const found = await surveyed(
    `CREATE TABLE s."T t" (at ${type} NOT NULL); INSERT INTO s."T t" VALUES (${value})`,
    byTime("at"),
  );
  expect(found).toMatchObject({ min: expected, max: expected, nullRows: false, infiniteRows: false });
  expect(found.sample.values).toEqual([expected]);
});

test.each(["smallint", "integer", "bigint", "s.positive"])(
  "the reach of a %s key would be cut",
  async (type) => {
    await session.query("DROP DOMAIN IF EXISTS s.positive CASCADE; CREATE DOMAIN s.positive AS bigint");
    const max = type === "smallint" ? "32767" : type === "integer" ? "2147483647" : "9223372036854775807";
    for (const index of ["", 'CREATE UNIQUE INDEX ON s."T t" (n DESC)']) {
      const found = await surveyed(
        `CREATE TABLE s."T t" (n ${type}); INSERT INTO s."T t" VALUES (-5), (${max}), (10); ${index}`,
        byInt("n"),
      );
      expect(found).toMatchObject({ min: "-5", max, nullRows: false, infiniteRows: false, rows: 3 });
    }
  },
);

test("an empty table would have a smallest value", async () => {
  for (const index of ["", 'CREATE INDEX ON s."T t" (at)']) {
    const found = await surveyed(`CREATE TABLE s."T t" (at timestamptz); ${index}`, byTime("at"));
    expect(found).toMatchObject({ min: null, max: null, nullRows: false, infiniteRows: false, rows: 0 });
    expect(found.sample).toEqual({ values: [], fraction: 1 });
  }
});

test.each(["", 'CREATE INDEX ON s."T t" (kind)', `CREATE INDEX ON s."T t" (kind) WHERE kind <> 'b'`])(
  "a value of a list would be missed, and its rows with it: %s",
  async (index) => {
    const found = await surveyed(
      `CREATE TABLE s."T t" (kind text);
       INSERT INTO s."T t" SELECT (ARRAY['b', 'a', '', NULL, 'it''s'])[i % 5 + 1] FROM generate_series(1, 500) i; ${index}`,
      byList("kind"),
    );
    expect([...found.distinct].sort()).toEqual(["", "a", "b", "it's"]);
    expect(found).toMatchObject({ nullRows: true, infiniteRows: false });
    expect(found.sample.values).toHaveLength(400);
    expect(found.rows).toBe(500);
  },
);

test("a list of thousands of values would be read to its end", async () => {
  for (const index of ["", 'CREATE INDEX ON s."T t" (kind)']) {
    const found = await surveyed(
      `CREATE TABLE s."T t" (kind int NOT NULL); INSERT INTO s."T t" SELECT generate_series(1, 1500); ${index}`,
      byList("kind"),
    );
    expect(found.distinct).toHaveLength(1001);
    expect(found.nullRows).toBe(false);
  }
});

test("a hash migration would read what it does not need, or miss rows without a value", async () => {
  const found = await surveyed(
    `CREATE TABLE s."T t" (u uuid); INSERT INTO s."T t" VALUES (NULL), (gen_random_uuid()); ANALYZE s."T t"`,
    { kind: "hash", column: "u", modulus: 4 },
  );
  expect(found).toMatchObject({ min: null, max: null, nullRows: true, distinct: [], rows: 2 });
  expect(found.sample.values).toEqual([]);
});

test("the estimate per leaf would rest on all rows, or on none", async () => {
  const found = await surveyed(
    `CREATE TABLE s."T t" (n int) WITH (autovacuum_enabled = false); INSERT INTO s."T t" SELECT generate_series(1, 200000)`,
    byInt("n"),
  );
  expect(found.sample.fraction).toBeGreaterThan(0);
  expect(found.sample.fraction).toBeLessThan(1);
  expect(found.sample.values.length).toBeGreaterThan(3_000);
  expect(found.sample.values.length).toBeLessThan(100_000);
  expect(found.rows).toBeGreaterThan(50_000);
  expect(found.rows).toBeLessThan(600_000);
  await session.query('ANALYZE s."T t"');
  const analysed = await survey(session, await readTable(session, 's."T t"'), byInt("n"));
  expect(analysed.rows).toBe(200_000);
  expect(analysed.sample.fraction).toBeCloseTo(0.15, 5);
});

test("the forecast would count from the client's clock", async () => {
  const clock = async () =>
    (
      await session.one(
        z.object({ now: z.string() }),
        "SELECT extract(epoch FROM clock_timestamp())::text AS now",
      )
    ).now;
  const before = Number(await clock());
  const { now } = await surveyed('CREATE TABLE s."T t" (n int)', byInt("n"));
  expect(now).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(Date.parse(now) / 1000).toBeGreaterThanOrEqual(Math.floor(before * 1000) / 1000);
  expect(Date.parse(now) / 1000).toBeLessThanOrEqual(Number(await clock()));
});

test("an operator who mistypes the column would have to look the table up", async () => {
  const error: unknown = await surveyed(
    'CREATE TABLE s."T t" (id int, "createdAt" timestamptz)',
    byTime("createdat"),
  ).catch((e: unknown) => e);
  if (!(error instanceof PartwayError)) throw new Error(`not refused: ${String(error)}`);
  expect(error.kind).toBe("bad-input");
  expect(error.message).toBe('"s"."T t" has no column "createdat"');
  expect(error.next).toBe("Choose one of: id (integer), createdAt (timestamp with time zone).");
});

const UNSUITABLE = [
  "json",
  "point",
  "xml",
  "text",
  "boolean",
  "uuid",
  "numeric",
  "interval",
  "tsrange",
  "int[]",
];

test.each(UNSUITABLE)("a %s column would crash the survey before plan can refuse it", async (type) => {
  for (const scheme of [
    byTime("x"),
    byInt("x"),
    byList("x"),
    { kind: "hash", column: "x", modulus: 2 } as const,
  ]) {
    const found = await surveyed(
      `CREATE TABLE s."T t" (x ${type}); INSERT INTO s."T t" VALUES (NULL)`,
      scheme,
    );
    expect(found).toMatchObject({ min: null, max: null, nullRows: true, infiniteRows: false, distinct: [] });
  }
});

test.each([
  ["a view", "CREATE VIEW s.other AS SELECT 1 AS n", "DROP VIEW s.other"],
  ["a partitioned table", "CREATE TABLE s.other (n int) PARTITION BY RANGE (n)", "DROP TABLE s.other"],
  [
    "a materialized view",
    "CREATE MATERIALIZED VIEW s.other AS SELECT 1 AS n",
    "DROP MATERIALIZED VIEW s.other",
  ],
])("%s would crash the survey before plan can refuse it", async (_, make, drop) => {
  await session.query(make);
  const found = await survey(session, await readTable(session, "s.other"), byInt("n"));
  expect(found.infiniteRows).toBe(false);
  await session.query(drop);
});
