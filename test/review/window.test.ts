/** The retention window: "rollback is safe" must be true whenever it is said. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { catchUpReverse } from "../../src/sync/reverse.js";
import { verdict } from "../../src/sync/verdict.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, startMigration, type TestMigration, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
let session: Session;
let migration: TestMigration;

const stage = stages(async (last: "cutover") => {
  const original = await freshDatabase();
  await createOrders(await original.session(), 300);
  const made = await startMigration(original, { by: "created_at", every: "month", keep: "1h" });
  await made.through(last);
  return made;
});
beforeEach(async () => {
  migration = await stage("cutover");
  ({ db } = migration);
  session = await db.session();
});
afterEach(() => db.drop());

/** One look at the window, as a resume without --hold takes it. */
const window = () => migration.run("retain");

const NEXT_YEAR = `CREATE TABLE public.orders_next (LIKE public.orders INCLUDING ALL);
  ALTER TABLE public.orders_next ALTER COLUMN id DROP IDENTITY IF EXISTS`;
const ATTACH = `ALTER TABLE public.orders ATTACH PARTITION public.orders_next
  FOR VALUES FROM ('2031-01-01 00:00:00+00') TO ('2032-01-01 00:00:00+00')`;

test("rows in a leaf that is attached full would be lost by a rollback called safe", async () => {
  await session.query(NEXT_YEAR);
  await session.query(
    "INSERT INTO public.orders_next (id, created_at, note) VALUES (900001, '2031-05-05', 'brought along')",
  );
  await session.query(ATTACH);
  await window();
  expect(migration.seen("window").at(-1)).toMatchObject({ safe: true });
  await migration.run("rollback");
  expect(await value(session, "SELECT note FROM public.orders WHERE id = 900001")).toBe("brought along");
});

test("a leaf truncated before its TRUNCATE was captured would come back by a rollback called safe", async () => {
  await session.query(NEXT_YEAR);
  await session.query(ATTACH);
  await session.query(
    "INSERT INTO public.orders (id, created_at, note) VALUES (900001, '2031-05-05', 'gone')",
  );
  // A window that is held elsewhere has applied it already.
  const context = migration.context();
  await catchUpReverse(await context.open(), context);
  await context.close();
  await session.query("TRUNCATE public.orders_next");
  await window();
  await migration.run("rollback");
  expect(await value(session, "SELECT count(*)::text FROM public.orders WHERE id = 900001")).toBe("0");
});

test("capture switched off and on again on the new table would lose writes by a rollback called safe", async () => {
  await window();
  await session.query(`ALTER TABLE public.orders DISABLE TRIGGER ${migration.plan.names.reverseTrigger}`);
  await session.query("UPDATE public.orders SET note = 'unseen' WHERE id = 7");
  await session.query(
    `ALTER TABLE public.orders ENABLE ALWAYS TRIGGER ${migration.plan.names.reverseTrigger}`,
  );
  expect(await verdict(session, migration.plan, await migration.stored())).toMatchObject({ safe: false });
});

test("a leaf that was away and came back would lose what was written to it by a rollback called safe", async () => {
  await window();
  const leaf = migration.plan.leaves[3]?.name ?? "";
  const bound = await value(
    session,
    "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = $1",
    [leaf],
  );
  await session.query(`ALTER TABLE public.orders DETACH PARTITION public.${leaf}`);
  await session.query(`UPDATE public.${leaf} SET note = 'unseen'`);
  await session.query(`ALTER TABLE public.orders ATTACH PARTITION public.${leaf} ${bound}`);
  expect(await verdict(session, migration.plan, await migration.stored())).toMatchObject({ safe: false });
});

test("a leaf detached during the window would make finalize fail for ever", async () => {
  const leaf = migration.plan.leaves[0]?.name ?? "";
  await session.query(`ALTER TABLE public.orders DETACH PARTITION public.${leaf}`);
  await migration.run("drop", { forceDrop: true });
  expect(await value(session, "SELECT to_regnamespace('partway')::text")).toBeNull();
  await session.query(`TRUNCATE public.${leaf}`);
});
