/** After the cutover has committed and the process has died before its journal knew. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { beginWindow } from "../../src/phases/retain.js";
import { verdict } from "../../src/sync/verdict.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, startMigration, type TestMigration } from "../support/migration.js";

let db: TestDatabase;
let session: Session;
let migration: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  await createOrders(session, 300);
  migration = await startMigration(db, { by: "created_at", every: "month" });
  await migration.through("validate");
});
afterEach(() => db.drop());

class Killed extends Error {}

/** The swap is committed, nothing after it has happened. */
async function cutOverAndDie(): Promise<void> {
  migration.before(
    /count\(\*\)::text AS n FROM \(SELECT FROM "partway"."fwd_log/,
    async () => {
      if ((await migration.stored()).phase === "retain") throw new Killed();
    },
    1000,
  );
  await expect(migration.run("cutover")).rejects.toBeInstanceOf(Killed);
}

test("an abort after a cutover that was committed would take the way back and say that nothing happened", async () => {
  await cutOverAndDie();
  await expect(migration.run("abort")).rejects.toMatchObject({ kind: "bad-input" });
  const now = await verdict(session, migration.plan, await migration.stored());
  expect(now).toMatchObject({ safe: true });
});

test("a column added before the window was first looked at would be lost by a rollback called safe", async () => {
  await cutOverAndDie();
  await session.query("ALTER TABLE public.orders ADD COLUMN coupon text");
  await session.query("UPDATE public.orders SET coupon = 'paid for'");
  await migration.takeOver();
  const context = migration.context();
  await beginWindow(context);
  await context.close();
  expect(await verdict(session, migration.plan, await migration.stored())).toMatchObject({ safe: false });
});
