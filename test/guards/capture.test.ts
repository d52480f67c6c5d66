/** What capture's guards spare the operator, where a later look would find it only after hours (see test/campaign/mutants). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration } from "../support/migration.js";

let db: TestDatabase;
let app: Session;
let m: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
  await createOrders(app, 200);
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
});
afterEach(() => db.drop());

test("capture that was off would be noticed only after every index was built for nothing", async () => {
  await m.through("copy");
  await app.query(`ALTER TABLE public.orders DISABLE TRIGGER ${ident(m.plan.names.forwardTrigger)}`);
  await expect(m.run("index")).rejects.toMatchObject({ kind: "drift" });
  expect(m.records.indexes).toEqual([]);
});

test("a TRUNCATE during the copy would be noticed only after every index was built for nothing", async () => {
  await m.run("shadow");
  m.before(/partway_op = 't'\)::text AS yes/, async () => {
    await app.query("TRUNCATE public.orders");
  });
  await expect(m.run("copy")).rejects.toMatchObject({ kind: "copy-restart" });
  expect((await m.stored()).phase).toBe("shadow");
  await m.through("validate");
  expect(await m.difference()).toEqual(SAME);
});
