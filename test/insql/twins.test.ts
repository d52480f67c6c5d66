/**
 * The same policy, the same clock: the functions make and drop the leaves that `partway maintain` makes and drops, name
 * by name and bound by bound. What an operator would lose: two tools that tend one table, each in its own way.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PartitionPolicy } from "../../src/config/schema.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { adoptAs, installOn, leavesOf, maintainAs, rowsOf, setClock } from "./scene.js";

let db: TestDatabase;
let session: Session;
let observer: Session;

beforeAll(async () => {
  db = await freshDatabase();
  [session, observer] = [await db.session(), await db.session()];
  await session.query("CREATE SCHEMA a");
  await session.query("CREATE SCHEMA b");
  await installOn(session);
});
afterAll(() => db.drop());

const HOUR = 3_600_000;
/** Three years of monthly ticks, or what of them holds 29 February and a year's retention. */
const MONTHS = process.env["PARTWAY_TEST_FULL"] === "1" ? 37 : 16;
const stamp = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

interface Case {
  name: string;
  type: string;
  policy: PartitionPolicy;
  /** Leaves that are there before: [name, from, to]. */
  before?: [string, string, string][];
  /** Ticks of the clock, UTC. */
  ticks: string[];
}

const every = (from: string, stepMs: number, count: number) =>
  Array.from({ length: count }, (_, at) => stamp(Date.parse(`${from}Z`) + at * stepMs));
/** The first, an odd day and the last hour of each month. */
const months = (count: number) =>
  Array.from({ length: count }, (_, at) =>
    stamp(Date.UTC(2024, at, at % 3 === 0 ? 1 : at % 3 === 1 ? 17 : 28, at % 2 === 0 ? 2 : 23, 30)),
  );

const TIMES: Case[] = [
  {
    name: "monthly",
    type: "timestamptz",
    policy: { every: "month", ahead: 3, retention: "12mo" },
    ticks: months(MONTHS),
  },
  {
    name: "jobs",
    type: "timestamp",
    policy: { every: "month", ahead: 2, retention: "90d", leaf: "jobs_y{YYYY}m{MM}" },
    ticks: months(8),
  },
  {
    name: "wa_messages",
    type: "timestamptz",
    policy: { every: "week", retention: "6 weeks", leaf: "wa_msgs_{YYYY}w{WW}" },
    ticks: every("2025-12-01T02:00:00", 7 * 24 * HOUR, 9),
  },
  {
    name: "tech_loc",
    type: "date",
    policy: { every: "day", ahead: 5, retention: "10d", leaf: "tech_loc_{YYYYMMDD}" },
    ticks: every("2024-02-20T23:00:00", 25 * HOUR, 14),
  },
  {
    name: "hourly",
    type: "timestamptz",
    policy: { every: "hour", ahead: 4, retention: "8h" },
    ticks: every("2026-03-29T00:30:00", 3 * HOUR, 6),
  },
  {
    name: "conversation",
    type: "timestamptz",
    policy: { every: "quarter", ahead: 2, retention: "2q" },
    ticks: every("2024-11-30T23:59:00", 40 * 24 * HOUR, 10),
  },
  {
    name: "yearly",
    type: "date",
    policy: { every: "year", retention: "2y" },
    ticks: every("2023-12-31T23:00:00", 365 * 24 * HOUR, 5),
  },
  {
    // Nothing is said: the interval is recognised, the rest is what it is without a word. One leaf is of half a month.
    name: "recognised",
    type: "timestamptz",
    policy: {},
    before: [
      ["recognised_old", "2025-11-01", "2025-12-01"],
      ["recognised_odd", "2026-01-10", "2026-01-20 12:30"],
      ["recognised_low", "MINVALUE", "2025-10-01"],
    ],
    ticks: ["2025-12-05 00:00:00", "2026-01-01 00:00:00"],
  },
  {
    name: `a_table_whose_name_is_so_long_that_its_leaves_have_to_be_cut`,
    type: "timestamptz",
    policy: { every: "month", ahead: 1 },
    before: [],
    ticks: ["2026-01-31 23:59:59", "2026-02-28 00:00:00"],
  },
];

async function makeTwins({ name, type, before = [] }: Case): Promise<void> {
  for (const schema of ["a", "b"]) {
    await session.query(`CREATE TABLE ${schema}.${name} (at ${type}, n int) PARTITION BY RANGE (at)`);
    for (const [leaf, from, to] of before) {
      const end = (value: string) => (value === "MINVALUE" ? value : `'${value}'`);
      await session.query(
        `CREATE TABLE ${schema}.${leaf} PARTITION OF ${schema}.${name} FOR VALUES FROM (${end(from)}) TO (${end(to)})`,
      );
    }
  }
}

test.each(TIMES)("$name", async (one) => {
  await makeTwins(one);
  const policy: PartitionPolicy = { ...one.policy, expired: "drop" };
  const a = await adoptAs(session, "a", one.name, policy);
  const b = await adoptAs(session, "b", one.name, policy);
  let gone = 0;
  for (const [at, now] of one.ticks.entries()) {
    const report = await maintainAs(session, observer, a, "apply", now);
    await setClock(session, now);
    const dry = `SELECT * FROM partway.run_partition_maintenance('b.${one.name}')`;
    const planned = at % 4 === 3 ? await rowsOf(session, dry) : null;
    const rows = await rowsOf(
      session,
      `SELECT * FROM partway.run_partition_maintenance('b.${one.name}', false)`,
    );
    const says = (word: string, from = rows) =>
      from.filter(({ result }) => result.startsWith(`${word} partition: `)).map((row) => row.partition_name);
    expect(says("Created"), now).toEqual(report.created.map(({ name }) => name));
    expect(says("Dropped"), now).toEqual(report.retired.map(({ name }) => name));
    // What the dry run said is what was done.
    if (planned !== null) {
      expect(says("Would create", planned)).toEqual(says("Created"));
      expect(says("Would drop", planned)).toEqual(says("Dropped"));
    }
    expect(rows.filter(({ ok }) => ok === "f")).toEqual([]);
    expect(await leavesOf(session, b), now).toEqual(await leavesOf(session, a));
    gone += report.retired.length;
  }
  if (policy.retention !== undefined) expect(gone).toBeGreaterThan(0);
  expect((await leavesOf(session, b)).length).toBeGreaterThan(1);
  const again = await rowsOf(session, `SELECT * FROM partway.create_future_partitions('b.${one.name}')`);
  expect(again).toEqual([]);
});

test("by numbers, below zero and up to the largest integer", async () => {
  for (const schema of ["a", "b"])
    await session.query(
      `CREATE TABLE ${schema}.counted (id int, n int) PARTITION BY RANGE (id);
       CREATE TABLE ${schema}.counted_m1000 PARTITION OF ${schema}.counted FOR VALUES FROM (-1000) TO (0);
       CREATE TABLE ${schema}.counted_0 PARTITION OF ${schema}.counted FOR VALUES FROM (0) TO (1000);
       CREATE TABLE ${schema}.counted_wide PARTITION OF ${schema}.counted FOR VALUES FROM (2147482000) TO (MAXVALUE)`,
    );
  const policy: PartitionPolicy = {
    step: "1000",
    ahead: 3,
    retention: "1500",
    expired: "drop",
    leaf: "c_{from}",
  };
  const a = await adoptAs(session, "a", "counted", policy);
  const b = await adoptAs(session, "b", "counted", policy);
  for (const value of [-5, 999, 3999, 4000]) {
    for (const schema of ["a", "b"])
      await session.query(`INSERT INTO ${schema}.counted VALUES (${value}, 1)`);
    const report = await maintainAs(session, observer, a, "apply", "2026-01-01 00:00:00");
    const rows = await rowsOf(session, "SELECT * FROM partway.run_partition_maintenance('b.counted', false)");
    expect(rows.filter(({ ok }) => ok === "f")).toEqual([]);
    expect(rows.filter(({ result }) => result.startsWith("Created"))).toHaveLength(report.created.length);
    expect(await leavesOf(session, b)).toEqual(await leavesOf(session, a));
  }
  expect((await leavesOf(session, b)).some((leaf) => leaf.startsWith("counted_m1000"))).toBe(false);
  expect((await leavesOf(session, b)).some((leaf) => leaf.startsWith("c_7000"))).toBe(true);
});
