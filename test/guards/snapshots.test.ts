/** Which moment is read: guards whose absence no other test would see (see test/campaign/mutants). */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { SQLSTATE, sqlState } from "../../src/pg/sqlstate.js";
import { onSharedSnapshot } from "../../src/sync/compare.js";
import { rebuildRetired } from "../../src/sync/reverse.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";

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

test("two workers that see different moments would report a difference that is none", async () => {
  await m.through("index");
  const context = m.context();
  // The first worker has its snapshot, the second one begins.
  let begun = 0;
  m.before(
    /^BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY/,
    async () => {
      begun += 1;
      if (begun === 2) await app.query("UPDATE public.orders SET note = 'between'");
    },
    2,
  );
  const counts = await onSharedSnapshot(context.open, 2, m.sides(), (sessions) =>
    Promise.all(
      sessions.map((session) =>
        value(session, "SELECT count(*) FROM public.orders WHERE note IS DISTINCT FROM 'between'"),
      ),
    ),
  );
  await context.close();
  expect(counts).toEqual(["200", "200"]);
});

test("a rewrite right after the comparison would pass for validated, and its values never reach the new table", async () => {
  await m.through("index");
  let rewritten = false;
  m.before(
    /^BEGIN ISOLATION LEVEL READ COMMITTED/,
    async () => {
      if (rewritten || m.seen("validation").length === 0) return;
      rewritten = true;
      await app.query("ALTER TABLE public.orders ALTER COLUMN note TYPE text USING upper(note)");
    },
    1000,
  );
  await m.run("validate");
  expect(rewritten).toBe(true);
  await expect(m.run("cutover")).rejects.toMatchObject({ kind: "drift" });
  expect((await m.stored()).phase).toBe("validate");
});

test("a rewrite of the new table while the retired one is rebuilt would leave it empty", async () => {
  await m.through("cutover");
  await app.query("TRUNCATE public.orders_2025_q3");
  await app.query("SET lock_timeout = '300ms'");
  // Between the rebuilding's snapshot and its read. With the lock held the rewrite has to wait, and gives up.
  let outcome = "none";
  m.before(/^TRUNCATE .*_retired/, async () => {
    outcome = await app.query("ALTER TABLE public.orders ALTER COLUMN note TYPE text USING note || ''").then(
      () => "rewritten",
      (error: unknown) => (sqlState(error) === SQLSTATE.lockNotAvailable ? "gave up" : String(error)),
    );
  });
  const context = m.context();
  await rebuildRetired(await context.open(), context);
  await context.close();
  expect(await m.difference("reverse")).toEqual(SAME);
  expect(outcome).toBe("gave up");
});
