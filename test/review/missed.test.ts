/** Changes that no trigger saw: the run must notice before it switches, and at the latest inside the lock. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
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
});
afterEach(() => db.drop());

async function unseen(how: "left off" | "put back"): Promise<void> {
  await session.query("ALTER TABLE public.orders DISABLE TRIGGER USER");
  await session.query("UPDATE public.orders SET note = 'unseen' WHERE id <= 20");
  if (how === "left off") return;
  for (const name of [migration.plan.names.forwardTrigger, migration.plan.names.forwardTruncateTrigger])
    await session.query(`ALTER TABLE public.orders ENABLE ALWAYS TRIGGER ${name}`);
}

for (const how of ["left off", "put back"] as const)
  for (const last of ["copy", "index", "validate"] as const)
    test(`capture switched off after ${last} and ${how} would lose what was written meanwhile`, async () => {
      await migration.through(last);
      await unseen(how);
      await expect(migration.through("cutover")).rejects.toMatchObject({ kind: "drift" });
      expect(await migration.stored()).not.toMatchObject({ phase: "retain" });
    });

test("capture switched off between the last drain and the lock would lose what was written meanwhile", async () => {
  await migration.through("validate");
  migration.before(/IN SHARE UPDATE EXCLUSIVE MODE/, async () => unseen("put back"));
  await expect(migration.through("cutover")).rejects.toMatchObject({ kind: "drift" });
  expect(await migration.stored()).not.toMatchObject({ phase: "retain" });
});

test("capture that was dropped would be missed only after cutover", async () => {
  await migration.through("validate");
  await session.query(`DROP TRIGGER ${migration.plan.names.forwardTrigger} ON public.orders`);
  await session.query("DELETE FROM public.orders WHERE id <= 20");
  await expect(migration.through("cutover")).rejects.toMatchObject({ kind: "drift" });
  expect(await migration.stored()).not.toMatchObject({ phase: "retain" });
});
