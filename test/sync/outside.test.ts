/** Rows outside every leaf that arrive after preflight (DESIGN 3.4): a leaf is made, or the run stops and says why. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { leafFor } from "../../src/plan/bounds.js";
import { leafDdl } from "../../src/plan/ddl.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import {
  createOrders,
  type MigrationOptions,
  SAME,
  startMigration,
  type TestMigration,
  untilBlocked,
  value,
} from "../support/migration.js";

let db: TestDatabase;
let app: Session;
beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
});
afterEach(() => db.drop());

async function orders(options: Partial<MigrationOptions> = {}): Promise<TestMigration> {
  await createOrders(app, 300);
  return startMigration(db, { by: "created_at", every: "quarter", ahead: "0", ...options });
}

const FUTURE = "INSERT INTO public.orders (id, created_at) VALUES (9001, '2031-08-08 00:00+00')";
const made = (m: TestMigration) => m.seen("leaf-created").map((event) => event.leaf);
const kill = (session: Session) => app.query("SELECT pg_terminate_backend($1)", [session.pid]);

test("a row beyond the last leaf would stop the copy", async () => {
  const m = await orders();
  await app.query(FUTURE);
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (9002, '1999-01-01 00:00+00')");
  await m.through("copy");
  expect(made(m).sort()).toEqual(["orders_1999_q1", "orders_2031_q3"]);
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
});

test("a row beyond the last leaf would stop the catching up", async () => {
  const m = await orders();
  await m.through("index");
  await app.query(FUTURE);
  await app.query("UPDATE public.orders SET created_at = '2032-01-01 00:00+00' WHERE id = 5");
  await m.run("ready");
  expect(made(m).sort()).toEqual(["orders_2031_q3", "orders_2032_q1"]);
  expect(await m.difference()).toEqual(SAME);
  await m.through("cutover");
  // TRUNCATE of the late leaf is captured like that of the others.
  await app.query("TRUNCATE public.orders_2031_q3");
  expect((await m.log("reverse")).map((row) => row.op)).toEqual(["t"]);
  await m.run("rollback");
  expect(await value(app, "SELECT count(*) FROM public.orders WHERE id = 9001")).toBe("0");
});

test("a leaf made while indexes are caught up, then a crash: the resume would stop for ever", async () => {
  await createOrders(app, 300);
  await app.query("CREATE INDEX by_note ON public.orders (note)");
  await app.query("CREATE UNIQUE INDEX odd_unique ON public.orders (created_at, id, amount)");
  const m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await m.through("copy");
  await app.query(FUTURE);
  m.before(/^UPDATE partway.migration SET phase = \$2/, async (session) => void (await kill(session)));
  await expect(m.run("index")).rejects.toThrow(/connection to the server lost/);
  expect(made(m)).toEqual(["orders_2031_q3"]);
  await m.takeOver();
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
  expect(
    await value(app, "SELECT count(*) FROM pg_index WHERE indrelid = 'public.orders_2031_q3'::regclass"),
  ).toBe("3");
});

test("two workers that meet the same late value would end the run for one of them", async () => {
  const m = await orders();
  await app.query(FUTURE);
  m.before(/^LOCK TABLE .* IN ACCESS EXCLUSIVE MODE/, async () => {
    for (const { sql } of leafDdl(m.plan, leafFor(m.plan, "2031-08-08 00:00:00+00"))) await app.query(sql);
  });
  await m.through("index");
  expect(made(m)).toEqual([]);
  expect(await m.difference()).toEqual(SAME);
});

test("a late row that is gone again before its leaf is made would end the run", async () => {
  const m = await orders();
  await m.through("index");
  await app.query(FUTURE);
  m.before(/^LOCK TABLE .* IN ACCESS EXCLUSIVE MODE/, async () => {
    await app.query("DELETE FROM public.orders WHERE id = 9001");
  });
  await m.run("ready");
  expect(await m.difference()).toEqual(SAME);
});

test("a row that the new table refuses for another reason would be tried for ever", async () => {
  const m = await orders();
  await m.through("index");
  await app.query(`ALTER TABLE ${m.sides().lagging} ADD CONSTRAINT odd CHECK (amount > -1)`);
  await app.query("UPDATE public.orders SET amount = -5 WHERE id = 5");
  await expect(m.run("ready")).rejects.toMatchObject({ code: "23514" });
  await app.query("UPDATE public.orders SET amount = 5 WHERE id = 5");
  await m.run("ready");
  expect(await m.difference()).toEqual(SAME);
});

test("a row without a partition value would be left out in silence by the copy, or stop it for good", async () => {
  await createOrders(app, 300);
  await app.query("ALTER TABLE public.orders ALTER COLUMN created_at DROP NOT NULL");
  const m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (9003, NULL)");
  await expect(m.through("copy")).rejects.toMatchObject({
    kind: "refused",
    message: "a row with created_at NULL arrived in public.orders; a partitioned table cannot hold it",
    state: expect.stringContaining("can be resumed"),
    next: expect.stringContaining(`partway resume ${m.plan.id}`),
  });
  await app.query("UPDATE public.orders SET created_at = '2025-03-03 00:00+00' WHERE created_at IS NULL");
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
});

test("a row whose partition value becomes NULL would be lost by the catching up", async () => {
  await createOrders(app, 300);
  await app.query("ALTER TABLE public.orders ALTER COLUMN created_at DROP NOT NULL");
  const m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await m.through("index");
  await app.query("UPDATE public.orders SET created_at = NULL WHERE id = 5");
  await expect(m.run("ready")).rejects.toMatchObject({ kind: "refused", message: /created_at NULL/ });
  await app.query("UPDATE public.orders SET created_at = '2025-03-03 00:00+00' WHERE created_at IS NULL");
  await m.run("ready");
  expect(await m.difference()).toEqual(SAME);
});

test("a new value would stop a table cut by list", async () => {
  await app.query("CREATE TABLE public.orders (id int PRIMARY KEY, region text NOT NULL)");
  await app.query("INSERT INTO public.orders VALUES (1, 'eu'), (2, 'us')");
  const m = await startMigration(db, { by: "region", list: "eu,us" });
  await m.through("index");
  await app.query("INSERT INTO public.orders VALUES (3, 'it''s \"odd\"')");
  await m.run("ready");
  expect(made(m).length).toBe(1);
  expect(await m.difference()).toEqual(SAME);
});

test("an id beyond the last leaf, or below zero, would stop a table cut by number", async () => {
  await app.query("CREATE TABLE public.orders (id bigint PRIMARY KEY, note text)");
  await app.query("INSERT INTO public.orders SELECT n FROM generate_series(1, 100) AS n");
  const m = await startMigration(db, { by: "id", step: "50", ahead: "0" });
  await app.query("INSERT INTO public.orders VALUES (-7), (100000)");
  await m.through("index");
  await app.query("UPDATE public.orders SET id = 777777 WHERE id = 3");
  await m.run("ready");
  expect(made(m).length).toBe(3);
  expect(await m.difference()).toEqual(SAME);
});

test("a partition column with an awkward name would stop the making of leaves", async () => {
  await app.query(
    'CREATE TABLE public.orders (id int PRIMARY KEY, "value" timestamptz NOT NULL, s int, d int)',
  );
  await app.query("INSERT INTO public.orders VALUES (1, '2025-12-01 00:00+00', 1, 1)");
  const m = await startMigration(db, { by: "value", every: "month", ahead: "0" });
  await app.query("INSERT INTO public.orders VALUES (2, '2026-08-01 00:00+00', 2, 2)");
  await m.through("index");
  await app.query("INSERT INTO public.orders VALUES (3, '2027-08-01 00:00+00', 3, 3)");
  await m.run("ready");
  expect(made(m)).toEqual(["orders_2026_08", "orders_2027_08"]);
  expect(await m.difference()).toEqual(SAME);
});

test("making a leaf would not wait for the batch that another worker is writing", async () => {
  const m = await orders();
  await app.query(FUTURE);
  const other = await db.session();
  await m.run("shadow");
  await other.begin();
  await other.query(`LOCK TABLE ${m.sides().lagging} IN ROW EXCLUSIVE MODE`);
  let maker = 0;
  m.before(/^LOCK TABLE .* IN ACCESS EXCLUSIVE MODE/, async (session) => {
    maker = session.pid;
  });
  const running = m.run("copy");
  await expect.poll(() => maker, { timeout: 60_000, interval: 5 }).toBeGreaterThan(0);
  await untilBlocked(app, maker);
  expect(made(m)).toEqual([]);
  await other.commit();
  await running;
  expect(made(m)).toEqual(["orders_2031_q3"]);
});
