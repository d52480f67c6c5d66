/**
 * Three years of daily ticks on a monthly, a weekly and a daily table, with a row arriving at each tick before the
 * maintenance of that day. What an operator would lose: an insert on the first of the month, or a leaf a day too early.
 */
import { expect, test } from "vitest";
import { z } from "zod";
import { maintainTable } from "../../src/care/maintain.js";
import { makeCareStore, writePolicy } from "../../src/care/store.js";
import type { CareWork } from "../../src/care/work.js";
import type { PartitionPolicy } from "../../src/config/schema.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase } from "../support/database.js";

const DAYS = 1096;
/** A leaf made and one dropped at each tick take most of the time: 29 February and three months, or all three years. */
const DAILY = process.env["PARTWAY_TEST_FULL"] === "1" ? DAYS : 100;
const START = Date.UTC(2024, 0, 10, 2);

/** `interval` is the retention as PostgreSQL writes it: the server's own arithmetic judges ours. */
const TABLES = [
  { name: "monthly", every: "month", retention: "12mo", interval: "12 months", ahead: 3 },
  { name: "weekly", every: "week", retention: "8w", interval: "8 weeks", ahead: 4 },
  { name: "daily", every: "day", retention: "10d", interval: "10 days", ahead: 3 },
] as const;

async function prepare(session: Session) {
  await makeCareStore(session);
  const tables = [];
  for (const { name, every, retention, ahead } of TABLES) {
    await session.query(
      `CREATE TABLE public.${ident(name)} (at timestamptz NOT NULL) PARTITION BY RANGE (at)`,
    );
    const Oid = z.object({ oid: z.string() });
    const { oid } = await session.one(Oid, "SELECT $1::regclass::oid::text AS oid", [`public.${name}`]);
    const policy: PartitionPolicy = { every, retention, ahead, expired: "drop" };
    await writePolicy(session, oid, policy);
    tables.push({ name, oid, policy });
  }
  return tables;
}

test("three years: no insert fails, and every leaf goes on its day", async () => {
  const db = await freshDatabase();
  const [session, observer] = [await db.session(), await db.session()];
  const tables = await prepare(session);
  const settings = { lockTimeoutMs: 100, lockTimeoutMaxMs: 1000, lockTries: 30, holdBudgetMs: 1000 };
  const signal = new AbortController().signal;
  const deadlockMs = 1000;
  const work: CareWork = { deadlockMs, session, observer, settings, signal, onTry: () => undefined };
  const made = new Map<string, number>();
  const gone: { table: string; bound: string; tick: string }[] = [];
  for (let day = 0; day < DAYS; day++) {
    const now = new Date(START + day * 86_400_000).toISOString();
    const played = tables.filter(({ name }) => name !== "daily" || day < DAILY);
    if (day > 0)
      for (const { name } of played)
        await session.query(`INSERT INTO public.${ident(name)} VALUES ($1)`, [now]);
    for (const { name, oid, policy } of played) {
      const report = await maintainTable(work, { oid, policy, mode: "apply", now });
      made.set(name, (made.get(name) ?? 0) + report.created.length);
      gone.push(...report.retired.map(({ bound }) => ({ table: name, bound, tick: now })));
      expect(report.retired.every(({ fate }) => fate === "dropped")).toBe(true);
    }
  }
  // From January 2024 to April 2027: 37 months, and 3 ahead.
  expect(made.get("monthly")).toBe(40);
  expect(made.get("daily")).toBe(DAILY + 3);
  for (const { name, interval } of TABLES) {
    const left = gone.filter(({ table }) => table === name);
    expect(left.length).toBeGreaterThan(20);
    // Expired on the day it went, and not yet the day before.
    const wrong = await session.rows(
      z.object({ bound: z.string() }),
      `SELECT bound FROM unnest($1::text[], $2::timestamptz[]) AS x(bound, tick),
              LATERAL (SELECT substring(bound FROM 'TO \\(''(.*)''\\)')::timestamptz AS upper) AS u
        WHERE upper > tick - $3::interval OR upper <= tick - interval '1 day' - $3::interval`,
      [left.map(({ bound }) => bound), left.map(({ tick }) => tick), interval],
    );
    expect(wrong).toEqual([]);
  }
  const rows = await session.rows(
    z.object({ late: z.string() }),
    `SELECT count(*)::text AS late FROM public.monthly WHERE at < $1::timestamptz - interval '13 months'`,
    [new Date(START + (DAYS - 1) * 86_400_000).toISOString()],
  );
  expect(rows).toEqual([{ late: "0" }]);
  await db.drop();
}, 600_000);
