/** Apply on one snapshot: what a rewrite in between, or a log that grew for a day, must not break. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { applyStep } from "../../src/sync/apply.js";
import { catchUpReverse } from "../../src/sync/reverse.js";
import { verdict } from "../../src/sync/verdict.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import {
  createOrders,
  SAME,
  startMigration,
  type TestMigration,
  untilBlocked,
} from "../support/migration.js";

let db: TestDatabase;
let session: Session;
let migration: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  await createOrders(session, 300);
  migration = await startMigration(db, { by: "created_at", every: "month" });
  await migration.through("cutover");
});
afterEach(() => db.drop());

test("rows would vanish from the retired table when the new one is rewritten between snapshot and read", async () => {
  await session.query("UPDATE public.orders SET note = 'late' WHERE id <= 20");
  const application = await db.session();
  let rewriting: Promise<unknown> = Promise.resolve();
  migration.before(/^DELETE FROM "public"\."orders_retired"/, async () => {
    rewriting = application.query("ALTER TABLE public.orders ALTER COLUMN note TYPE text USING note || ''");
    await Promise.race([rewriting, untilBlocked(session, application.pid)]);
  });
  const context = migration.context();
  await catchUpReverse(await context.open(), context);
  await rewriting;
  await context.close();
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("a conflict in a log that grew for a day would bring every id of it into memory and into one parameter", async () => {
  await session.query(`INSERT INTO public.orders (created_at, note)
    SELECT timestamptz '2025-03-01 00:00:00+00', 'new' FROM generate_series(1, 3000)`);
  // A row moves to another leaf; the log is put in an order in which the first batch holds the new pair alone.
  const { log } = migration.sides("reverse");
  await session.query("UPDATE public.orders SET created_at = created_at + interval '90 days' WHERE id = 1");
  await session.query(
    `WITH moved AS (DELETE FROM ${log} WHERE id = 1 RETURNING id, created_at, partway_seq)
     INSERT INTO ${log} (partway_seq, id, created_at)
     SELECT repeat(CASE WHEN m.partway_seq = first.partway_seq THEN 'f' ELSE '0' END, 32)::uuid, m.id, m.created_at
       FROM moved AS m, (SELECT partway_seq FROM moved ORDER BY 1 LIMIT 1) AS first`,
  );
  const context = migration.context();
  const applier = await context.open();
  let longest = 0;
  const send = applier.query.bind(applier);
  applier.query = async (sql, params, name) => {
    const result = await send(sql, params, name);
    longest = Math.max(longest, result.rows.length, ...(params ?? []).map((p) => String(p).length));
    return result;
  };
  const sides = migration.sides("reverse");
  const applied = await applyStep(applier, {
    plan: migration.plan,
    sides,
    lease: migration.lease,
    limit: 10,
  });
  await context.close();
  expect(applied).toBe(3002);
  expect(longest).toBeLessThan(1000);
  expect(await migration.difference("reverse")).toEqual(SAME);
  expect(await verdict(session, migration.plan, await migration.stored())).toMatchObject({ safe: true });
});
