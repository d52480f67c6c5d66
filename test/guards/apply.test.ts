/** What apply is protected from, where no other test would go red without the guard (see test/campaign/mutants). */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { applyStep, TruncateSeen } from "../../src/sync/apply.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration } from "../support/migration.js";

let db: TestDatabase;
let app: Session;
let m: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
  await createOrders(app, 200);
  await app.query("UPDATE public.orders SET created_at = '2025-03-03 00:00+00' WHERE id IN (5, 6)");
  await app.query("CREATE UNIQUE INDEX code ON public.orders (amount, created_at)");
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await m.through("index");
});
afterEach(() => db.drop());

test("a TRUNCATE behind a unique conflict would be forgotten, and the truncated rows go live", async () => {
  await app.query("UPDATE public.orders SET note = 'x' WHERE id = 5");
  await app.query("UPDATE public.orders SET note = 'x' WHERE id = 6");
  await app.query("TRUNCATE public.orders");
  // Row 5 has row 6's code now: the first batch of one meets row 6 in the new table, and the whole log is taken.
  await app.query("INSERT INTO public.orders (id, created_at, amount) VALUES (5, '2025-03-03 00:00+00', 6)");
  const options = { plan: m.plan, sides: m.sides(), lease: m.lease, limit: 1 };
  await expect(applyStep(await db.session(), options)).rejects.toThrow(TruncateSeen);
  await m.run("ready").catch((error: unknown) => expect(error).toMatchObject({ kind: "copy-restart" }));
  await m.through("validate");
  expect(await m.difference()).toEqual(SAME);
});
