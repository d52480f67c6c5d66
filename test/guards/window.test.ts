/** Lease and window: guards whose absence no other test would see (see test/campaign/mutants). */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { copy } from "../../src/phases/copy.js";
import type { PhaseContext } from "../../src/phases/phase.js";
import { rebuildRetired } from "../../src/sync/reverse.js";
import { verdict } from "../../src/sync/verdict.js";
import { makeItems, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type TestMigration, value } from "../support/migration.js";

let db: TestDatabase;
let session: Session;
let migration: TestMigration;
let zombie: PhaseContext & { close(): Promise<void> };

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  await makeItems(session);
  migration = await startItems(db);
  zombie = migration.context();
});
afterEach(async () => {
  vi.useRealTimers();
  await zombie.close();
  await db.drop();
});

const kind = () => value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass");

test("a zombie that sleeps while it waits for a capture lock would put triggers on the table", async () => {
  await migration.run("shadow");
  const writer = await db.session();
  await writer.begin();
  await writer.query("UPDATE public.items SET note = 'in flight' WHERE id = 1");
  migration.before(/^ROLLBACK TO SAVEPOINT locks/, async () => {
    await migration.takeOver();
    await writer.commit();
  });
  await expect(copy.run(zombie)).rejects.toMatchObject({ kind: "fenced" });
  expect(
    await value(session, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.items'::regclass"),
  ).toBe("0");
});

test("a zombie would rebuild the retired table under its successor's hands", async () => {
  await migration.through("cutover");
  await session.query("TRUNCATE public.items");
  await migration.takeOver();
  await expect(rebuildRetired(await zombie.open(), zombie)).rejects.toMatchObject({ kind: "fenced" });
  expect(await value(session, `SELECT count(*) FROM ${tables(migration).retired}`)).toBe("1200");
});

test("one leaf's capture switched off and on again would lose writes by a rollback called safe", async () => {
  await migration.through("cutover");
  const { rows } = await session.query(
    `SELECT t.tgname AS name, c.relname AS leaf FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      WHERE c.relispartition AND t.tgparentid <> 0 ORDER BY c.oid LIMIT 1`,
  );
  const [leaf, name] = [rows[0]?.["leaf"], rows[0]?.["name"]];
  await session.query(`ALTER TABLE public."${leaf}" DISABLE TRIGGER "${name}"`);
  await session.query("UPDATE public.items SET note = 'not recorded' WHERE id = 1");
  await session.query(`ALTER TABLE public."${leaf}" ENABLE ALWAYS TRIGGER "${name}"`);
  expect(await verdict(session, migration.plan, await migration.stored())).toMatchObject({
    safe: false,
    sentence: expect.stringContaining("reverse capture was switched off"),
  });
});

test("a leaf attached in the window would be called safe before its TRUNCATE is captured", async () => {
  await migration.through("cutover");
  await session.query("CREATE TABLE public.ahead (LIKE public.items INCLUDING ALL EXCLUDING IDENTITY)");
  await session.query(
    "ALTER TABLE public.items ATTACH PARTITION public.ahead FOR VALUES FROM (50000) TO (50200)",
  );
  expect(await verdict(session, migration.plan, await migration.stored())).toMatchObject({
    safe: false,
    sentence: expect.stringContaining("reverse capture is missing or disabled on leaf ahead"),
  });
});

test("a rollback that cannot be would lock the table to find that out", async () => {
  await migration.through("cutover");
  await session.query("INSERT INTO public.items (id, bucket, note) VALUES (5, 700, 'twin')");
  await expect(migration.run("rollback")).rejects.toMatchObject({
    kind: "not-safe",
    message: expect.stringContaining("key 5 stands 2 times"),
  });
  expect(migration.seen("lock-try").filter((attempt) => attempt.purpose === "rollback")).toEqual([]);
});

test("a column added between the last look and the rollback's lock would be lost", async () => {
  await migration.through("cutover");
  migration.before(/^LOCK TABLE .* IN SHARE UPDATE EXCLUSIVE/, async () => {
    await session.query("ALTER TABLE public.items ADD COLUMN extra int DEFAULT 7");
  });
  await expect(migration.run("rollback")).rejects.toMatchObject({
    kind: "not-safe",
    message: expect.stringContaining("extra"),
  });
  expect(await kind()).toBe("p");
});

test("a machine whose clock is days ahead would end the window, and drop the retired table", async () => {
  await migration.through("cutover");
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3 * 86_400_000 });
  await migration.run("retain");
  expect(migration.seen("window").at(-1)?.secondsLeft).toBeGreaterThan(3600);
  await expect(migration.run("drop")).rejects.toMatchObject({ kind: "refused" });
  expect(await value(session, `SELECT count(*) FROM ${tables(migration).retired}`)).toBe("1200");
});
