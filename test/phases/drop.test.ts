import { afterEach, expect, test } from "vitest";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { STORE_SQL } from "../../src/sync/store.js";
import { lines, makeItems, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type TestMigration, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
let session: Session;

async function empty(): Promise<void> {
  db = await freshDatabase();
  session = await db.session();
}
afterEach(() => db.drop());

const stage = stages(async (last: "cutover") => {
  await empty();
  await makeItems(session);
  const migration = await startItems(db);
  await migration.through(last);
  return migration;
});

async function cutOver(): Promise<TestMigration> {
  const migration = await stage("cutover");
  ({ db } = migration);
  session = await db.session();
  return migration;
}

/** Everything in the database whose name or owner is Partway's, and every relation that is not the application's. */
const traces = () =>
  lines(
    session,
    `SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'partway'
     UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE tgname ~ 'partway'
     UNION ALL SELECT 'function', proname FROM pg_proc WHERE proname ~ '_capture_'
     UNION ALL SELECT 'relation', relname FROM pg_class WHERE relname ~ '(retired|partitioned$|_log_)'`,
  );

test("the retired table would be gone while rollback is still promised", async () => {
  const migration = await cutOver();
  await expect(migration.run("drop")).rejects.toMatchObject({
    kind: "refused",
    exitCode: EXIT.refused,
    message: expect.stringMatching(
      /window of .* is open until \d{4}-.*Z \(\d+ s left by the database's clock\)/,
    ),
    next: expect.stringContaining(`partway finalize ${migration.plan.id} --force items`),
  });
  expect(await value(session, `SELECT count(*) FROM ${tables(migration).retired}`)).toBe("1200");
  expect((await migration.stored()).phase).toBe("retain");
});

test("a window that was extended at the last moment would end all the same", async () => {
  const migration = await cutOver();
  await session.query("UPDATE partway.migration SET deadline = clock_timestamp() - interval '1 second'");
  migration.before(/FOR SHARE/, async () => {
    await session.query(STORE_SQL.extend, [migration.plan.id, "3600"]);
  });
  await expect(migration.run("drop")).rejects.toMatchObject({
    kind: "refused",
    message: expect.stringMatching(/is open until .* \((3599|3600) s left/),
  });
  expect(await value(session, `SELECT count(*) FROM ${tables(migration).retired}`)).toBe("1200");
  expect((await migration.stored()).phase).toBe("retain");
});

test("something of Partway would be left behind when all is done", async () => {
  const migration = await cutOver();
  await session.query("UPDATE partway.migration SET deadline = clock_timestamp() - interval '1 second'");
  await migration.run("drop");
  expect(await traces()).toEqual([]);
  // And the application writes on, with its numbers.
  expect(await value(session, "INSERT INTO public.items (bucket) VALUES (5) RETURNING id")).toBe("1201");
  expect(await value(session, "SELECT count(*) FROM public.items")).toBe("1201");
});

test("a serial column would lose its sequence with the retired table", async () => {
  await empty();
  await session.query("CREATE TABLE public.items (id serial PRIMARY KEY, bucket int NOT NULL, note text)");
  await session.query("INSERT INTO public.items (bucket) SELECT n FROM generate_series(1, 300) AS n");
  const migration = await startItems(db);
  await migration.through("cutover");
  await migration.run("drop", { forceDrop: true });
  expect(await value(session, "INSERT INTO public.items (bucket) VALUES (5) RETURNING id")).toBe("301");
});

test.each([/^DROP TRIGGER/, /^DROP TABLE "public"/, /^DROP FUNCTION/, /^DELETE FROM partway.migration/])(
  "an interruption of finalize before %s could not be resumed",
  async (statement) => {
    const migration = await cutOver();
    await session.query("UPDATE partway.migration SET deadline = clock_timestamp() - interval '1 second'");
    migration.before(statement, async () => {
      throw new Error("killed");
    });
    await expect(migration.run("drop")).rejects.toThrow("killed");
    await migration.run("drop");
    expect(await traces()).toEqual([]);
  },
);

test("a view on the retired table would be dropped with it, unasked", async () => {
  const migration = await cutOver();
  await session.query(`CREATE VIEW public.looks_at_it AS SELECT id FROM ${tables(migration).retired}`);
  await expect(migration.run("drop", { forceDrop: true })).rejects.toThrow("other objects depend on it");
  expect(await value(session, "SELECT count(*) FROM public.looks_at_it")).toBe("1200");
  await session.query("DROP VIEW public.looks_at_it");
  await migration.run("drop");
  expect(await traces()).toEqual([]);
});

test("finalize would drop the only table when there was no cutover", async () => {
  await empty();
  await makeItems(session);
  const migration = await startItems(db);
  await migration.through("validate");
  await expect(migration.run("drop", { forceDrop: true })).rejects.toMatchObject({ kind: "bad-input" });
  expect(await value(session, "SELECT count(*) FROM public.items")).toBe("1200");
});
