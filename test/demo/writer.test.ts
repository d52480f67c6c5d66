import { afterEach, beforeEach, expect, test } from "vitest";
import {
  compareWithLedger,
  createOrders,
  startWriter,
  type Writer,
  type WriterReport,
} from "../../src/demo/writer.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { startProxy } from "../support/proxy.js";
import { type RunningServer, startOwnServer } from "../support/server.js";

const table = { schema: "shop", name: "Odd orders" };
const EXACT = { equal: true, lost: 0, extra: 0, changed: 0, examples: [] };
let db: TestDatabase;
let session: Session;
let writer: Writer | null = null;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});

afterEach(async () => {
  await writer?.stop();
  writer = null;
  await db.drop();
});

/** Lets the writer run until it has sent `statements`. */
async function until(statements: number): Promise<void> {
  await expect
    .poll(() => writer?.stats().statements, { timeout: 60_000, interval: 5 })
    .toBeGreaterThan(statements);
}

async function writeFor(statements: number, rows = 20_000, seed = 7): Promise<WriterReport> {
  await createOrders(session, { ...table, rows, months: 12 });
  writer = await startWriter({ url: db.ownerUrl, table, clients: 3, statementsPerSecond: 0, seed });
  await until(statements);
  return writer.stop();
}

test("a run without any migration would be reported as loss", async () => {
  const report = await writeFor(4_000);
  expect(report.errors).toEqual([]);
  expect(report.retries).toEqual({});
  expect(report.commits).toBeGreaterThan(500);
  expect(report.rollbacks).toBeGreaterThan(50);
  expect(report.ledger.touched.size).toBeGreaterThan(500);
  expect(await compareWithLedger(session, table, report)).toEqual(EXACT);
});

test("an empty table could not be written to", async () => {
  const report = await writeFor(2_000, 0);
  expect(report.errors).toEqual([]);
  expect(await compareWithLedger(session, table, report)).toEqual(EXACT);
});

test("a pause in the middle would give a ledger that is still moving", async () => {
  await createOrders(session, { ...table, rows: 1_000, months: 3 });
  writer = await startWriter({
    url: db.ownerUrl,
    table,
    clients: 4,
    statementsPerSecond: 0,
    seed: 3,
    thinkMs: 1,
  });
  for (const statements of [500, 1_000]) {
    await until(statements);
    const report = await writer.pause();
    expect(await compareWithLedger(session, table, report)).toEqual(EXACT);
    expect(writer.stats().statements).toBe(report.statements);
    writer.resume();
  }
});

/** Damage done behind the writer's back, to a row it touched (`touched`) or not. */
const T = `shop."Odd orders"`;
const damages: [string, (ids: { touched: number; untouched: number }) => string, object][] = [
  [
    "a deleted row it had written",
    ({ touched }) => `DELETE FROM ${T} WHERE id = ${touched}`,
    { lost: 1, extra: 0, changed: 0 },
  ],
  [
    "a deleted row it never touched",
    ({ untouched }) => `DELETE FROM ${T} WHERE id = ${untouched}`,
    { lost: 1, extra: 0, changed: 0 },
  ],
  [
    "a changed row it had written",
    ({ touched }) => `UPDATE ${T} SET note = 'x' WHERE id = ${touched}`,
    { lost: 0, extra: 0, changed: 1 },
  ],
  [
    "a changed row it never touched",
    ({ untouched }) => `UPDATE ${T} SET status = '' WHERE id = ${untouched}`,
    { lost: 0, extra: 0, changed: 1 },
  ],
  [
    "a row from nowhere",
    () => `INSERT INTO ${T} (customer_id, status) VALUES (1, 'new')`,
    { lost: 0, extra: 1, changed: 0 },
  ],
  [
    "the same row a second time, as in a copy without its unique index",
    ({ touched }) =>
      `ALTER TABLE ${T} DROP CONSTRAINT "Odd orders_pkey"; INSERT INTO ${T} SELECT * FROM ${T} WHERE id = ${touched}`,
    { lost: 0, extra: 1, changed: 0 },
  ],
  [
    "microseconds cut from a timestamp it never touched",
    ({ untouched }) =>
      `UPDATE ${T} SET created_at = created_at + interval '1 microsecond' WHERE id = ${untouched}`,
    { lost: 0, extra: 0, changed: 1 },
  ],
];

test.each(damages)("nobody would notice %s", async (_, sql, found) => {
  const report = await writeFor(500, 2_000);
  const touched = [...report.ledger.touched].find(([, image]) => image !== null)?.[0] ?? 0;
  const untouched =
    Array.from({ length: 2_000 }, (_, i) => i + 1).find((id) => !report.ledger.touched.has(id)) ?? 0;
  await session.query(sql({ touched, untouched }));
  const comparison = await compareWithLedger(session, table, report);
  expect(comparison).toMatchObject({ ...found, equal: false });
  expect(comparison.examples).toHaveLength(1);
});

test("a stale row would go unnoticed because the writer writes to it again", async () => {
  await createOrders(session, { ...table, rows: 50, months: 3 });
  writer = await startWriter({ url: db.ownerUrl, table, clients: 2, statementsPerSecond: 0, seed: 5 });
  await until(300);
  await writer.pause();
  await session.query(`UPDATE shop."Odd orders" SET customer_id = -customer_id`);
  writer.resume();
  await expect.poll(() => writer?.stats().errorCount, { timeout: 60_000 }).toBeGreaterThan(0);
  const report = await writer.stop();
  expect(report.errors.map((error) => error.code)).toContain("LEDGER");
});

test("an error the application sees would not be counted", async () => {
  await createOrders(session, { ...table, rows: 100, months: 3 });
  await session.query(`ALTER TABLE shop."Odd orders" ADD CHECK (status <> 'back') NOT VALID`);
  writer = await startWriter({ url: db.ownerUrl, table, clients: 2, statementsPerSecond: 0, seed: 5 });
  await until(500);
  const report = await writer.stop();
  expect(new Set(report.errors.map((error) => error.code))).toEqual(new Set(["23514"]));
  expect(await compareWithLedger(session, table, report)).toEqual(EXACT);
});

test("connections cut in the middle of a commit would make the ledger guess", async () => {
  await createOrders(session, { ...table, rows: 2_000, months: 3 });
  writer = await startWriter({ url: db.ownerUrl, table, clients: 4, statementsPerSecond: 0, seed: 11 });
  const admin = await db.session(db.superuserUrl);
  for (let round = 1; round <= 25; round++) {
    await until(round * 60);
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = $1 AND application_name = 'partway demo writer'`,
      [db.name],
    );
  }
  const report = await writer.stop();
  expect(report.errors).toEqual([]);
  expect(Object.values(report.retries).reduce((a, b) => a + b, 0)).toBeGreaterThan(10);
  expect(await compareWithLedger(session, table, report)).toEqual(EXACT);
});

test.each(["answer-lost", "statement-lost"] as const)(
  "a COMMIT with its %s would make the ledger guess",
  async (fault) => {
    await createOrders(session, { ...table, rows: 2_000, months: 3 });
    const proxy = await startProxy(db.ownerUrl);
    try {
      writer = await startWriter({
        url: proxy.url(db.ownerUrl),
        table,
        clients: 3,
        statementsPerSecond: 0,
        seed: 17,
      });
      // COMMIT of transactions, then single statements that are their own transaction.
      for (const text of [
        "COMMIT",
        "INSERT INTO",
        "DELETE FROM",
        "SET status = $3",
        "generate_series",
        "SET id = ",
      ]) {
        const before = proxy.happened();
        proxy.fail(fault, text, 4);
        await expect.poll(() => proxy.happened(), { timeout: 60_000, interval: 5 }).toBe(before + 4);
      }
      await until(writer.stats().statements + 200);
      const report = await writer.stop();
      expect(report.errors).toEqual([]);
      expect(report.retries).toMatchObject({ CONNECTION: expect.any(Number) });
      expect(await compareWithLedger(session, table, report)).toEqual(EXACT);
    } finally {
      await writer?.stop();
      await proxy.stop();
    }
  },
);

test("a crashed server would make the ledger guess", async () => {
  const server: RunningServer = await startOwnServer(db.version);
  try {
    const crashing = await freshDatabase(server);
    const before = await crashing.session();
    await createOrders(before, { ...table, rows: 2_000, months: 3 });
    writer = await startWriter({
      url: crashing.ownerUrl,
      table,
      clients: 4,
      statementsPerSecond: 0,
      seed: 13,
    });
    for (let round = 1; round <= 3; round++) {
      await until(round * 400);
      await server.kill();
      await server.restart();
    }
    await until(2_000);
    const report = await writer.stop();
    expect(report.errors).toEqual([]);
    expect(Object.keys(report.retries).length).toBeGreaterThan(0);
    expect(await compareWithLedger(await crashing.session(), table, report)).toEqual(EXACT);
    await crashing.drop();
  } finally {
    await server.stop();
  }
});
