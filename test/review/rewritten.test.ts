/** A rewrite of the source changes values, or only moves them, and no trigger sees either. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration } from "../support/migration.js";

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

test("a rewrite that changes values under the same definition would be lost after validation", async () => {
  await migration.through("validate");
  await session.query("ALTER TABLE public.orders ALTER COLUMN note TYPE text USING upper(note)");
  await expect(migration.through("cutover", { repair: true })).rejects.toMatchObject({ kind: "drift" });
  await migration.through("cutover", { repair: true });
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("the resume that the message asks for after such a rewrite would end in a difference", async () => {
  await migration.through("validate");
  await session.query("ALTER TABLE public.orders ALTER COLUMN note TYPE text USING upper(note)");
  await expect(migration.through("cutover")).rejects.toMatchObject({
    kind: "drift",
    next: expect.stringContaining("validates again, then cuts over"),
  });
  await migration.through("cutover");
  expect(migration.seen("copy-restarted")).toMatchObject([
    { reason: expect.stringContaining("its values differ now") },
  ]);
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("a VACUUM FULL after validation would cost more than another validation", async () => {
  await migration.through("validate");
  await session.query("VACUUM FULL public.orders");
  await expect(migration.through("cutover")).rejects.toMatchObject({ kind: "drift" });
  expect(await migration.stored()).toMatchObject({ phase: "validate" });
  await migration.through("cutover");
  expect(await migration.stored()).toMatchObject({ phase: "retain" });
});
