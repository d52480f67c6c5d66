import { afterEach, expect, test } from "vitest";
import { fingerprint } from "../../src/catalog/fingerprint.js";
import { compareWithLedger, createOrders, startWriter, type Writer } from "../../src/demo/writer.js";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { lines, makeItems, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { startMigration, type TestMigration, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
let session: Session;
let writer: Writer | null = null;

async function empty(): Promise<void> {
  db = await freshDatabase();
  session = await db.session();
}
afterEach(async () => {
  await writer?.stop();
  writer = null;
  await db.drop();
});

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

const kind = () => value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass");
const TRY_FAILED = /^ROLLBACK TO SAVEPOINT locks/;

test("writes of any kind, made since cutover and during the rollback, would be lost", async () => {
  const table = { schema: "shop", name: "orders" };
  await empty();
  await createOrders(session, { ...table, rows: 3000, months: 4 });
  const options = { table: "shop.orders", by: "created_at", every: "month", ahead: "1" };
  const now = new Date().toISOString();
  const migration = await startMigration(db, { ...options, now, settings: { workers: 2, lockTries: 300 } });
  writer = await startWriter({ url: db.ownerUrl, table, clients: 3, statementsPerSecond: 300, seed: 11 });
  await migration.through("cutover");
  const atCutover = writer.stats().commits;
  await expect
    .poll(() => writer?.stats().commits, { timeout: 60_000, interval: 5 })
    .toBeGreaterThan(atCutover + 100);
  await migration.run("rollback");
  const atRollback = writer.stats().commits;
  await expect
    .poll(() => writer?.stats().commits, { timeout: 60_000, interval: 5 })
    .toBeGreaterThan(atRollback + 50);
  const report = await writer.stop();
  expect(report.errors).toEqual([]);
  expect(await compareWithLedger(session, table, report)).toMatchObject({ equal: true, examples: [] });
  expect(await value(session, "SELECT relkind FROM pg_class WHERE oid = 'shop.orders'::regclass")).toBe("r");
});

test("rows committed while the rollback waited for its lock would stay behind in the failed table", async () => {
  const migration = await cutOver();
  const other = await db.session();
  await other.begin();
  await other.query("UPDATE public.items SET note = 'in flight' WHERE id = 10");
  await other.query("DELETE FROM public.items WHERE id = 11");
  await other.query("UPDATE public.items SET bucket = 900 WHERE id = 12");
  await other.query("INSERT INTO public.items (id, bucket, note) VALUES (7000, 1100, 'in flight')");
  // Not between the tries, where the log is drained, but when the lock is asked for.
  migration.before(TRY_FAILED, async () => {
    migration.before(/^LOCK TABLE .* IN ACCESS EXCLUSIVE MODE/, async () => other.commit());
  });
  await migration.run("rollback");
  expect(await kind()).toBe("r");
  expect(
    await lines(session, "SELECT id, bucket, note FROM public.items WHERE id IN (10, 11, 12, 7000)"),
  ).toEqual(["10|10|in flight", "12|900|", "7000|1100|in flight"]);
  expect(migration.seen("cutover").at(-1)).toMatchObject({ direction: "reverse", drainedKeys: 5 });
});

test("the application would wait while the look at both tables inside the lock is planned", async () => {
  const migration = await cutOver();
  let plans: string | null = null;
  migration.before(/^ALTER TABLE .* RENAME TO/, async (inside) => {
    plans = await value(
      inside,
      "SELECT format('generic %s, custom %s', generic_plans, custom_plans) FROM pg_prepared_statements WHERE name = 'fingerprint'",
    );
  });
  await migration.run("rollback");
  // Twice before the lock and once inside it, for each table.
  expect(plans).toBe("generic 6, custom 0");
});

test("a TRUNCATE in the last moment would be undone by the rollback", async () => {
  const migration = await cutOver();
  const reader = await db.session();
  await reader.begin();
  await reader.query("SELECT FROM public.items LIMIT 1");
  let truncated: Promise<unknown> | null = null;
  const other = await db.session();
  migration.before(/^LOCK TABLE .*retired.* SHARE UPDATE EXCLUSIVE/, async () => {
    truncated = other.query("TRUNCATE public.items");
    const waits = `SELECT cardinality(pg_blocking_pids(${other.pid}))`;
    await expect.poll(() => value(session, waits), { timeout: 30_000, interval: 5 }).not.toBe("0");
  });
  migration.before(TRY_FAILED, async () => reader.commit());
  await migration.run("rollback");
  await truncated;
  expect(await kind()).toBe("r");
  expect(await value(session, "SELECT count(*) FROM public.items")).toBe("0");
});

test("the table would not be what it was: names, definition, grants", async () => {
  await empty();
  await makeItems(session);
  await session.query("ALTER TABLE public.items ADD CONSTRAINT items_bucket_check CHECK (bucket >= 0)");
  await session.query("GRANT SELECT ON public.items TO PUBLIC");
  const migration = await startItems(db);
  await migration.through("cutover");
  await migration.run("rollback");
  const oid = (await value(session, "SELECT 'public.items'::regclass::oid")) ?? "";
  expect(oid).toBe(migration.plan.source.oid);
  expect(await fingerprint(session, oid)).toEqual(migration.plan.fingerprint);
  expect(await value(session, "SELECT pg_get_serial_sequence('public.items', 'id')")).toBe(
    "public.items_id_seq",
  );
});

test("something of Partway would be left on the table or in the database", async () => {
  const migration = await cutOver();
  await migration.run("rollback");
  expect(
    await lines(
      session,
      `SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'partway'
       UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal
       UNION ALL SELECT 'function', proname FROM pg_proc WHERE proname ~ '_capture_'
       UNION ALL SELECT 'relation', relname FROM pg_class WHERE relname ~ '(retired|_log_)'`,
    ),
  ).toEqual([]);
});

test("the failed table would be gone before anybody could look at it, or in the way of the next attempt", async () => {
  const migration = await cutOver();
  await session.query("INSERT INTO public.items (bucket, note) VALUES (9, 'since cutover')");
  await migration.run("rollback");
  const { failed } = tables(migration);
  expect(failed).toBe('"public"."items_partitioned_failed"');
  expect(await value(session, `SELECT count(*) FROM ${failed}`)).toBe("1201");
  for (let attempt = 2; attempt <= 3; attempt++) {
    const again = await startItems(db);
    expect(again.plan.leaves.map((leaf) => leaf.name)).toEqual(
      migration.plan.leaves.map((leaf) => leaf.name),
    );
    await again.through("cutover");
    expect(await kind()).toBe("p");
    await session.query(`INSERT INTO public.items (bucket, note) VALUES (9, 'attempt ${attempt}')`);
    await again.run("rollback");
    expect(tables(again).failed).toBe(`"public"."items_partitioned_failed_${attempt}"`);
  }
  expect(await value(session, "SELECT count(*) FROM public.items")).toBe("1203");
  await session.query("DROP TABLE public.items_partitioned_failed");
});

test.each(["GENERATED BY DEFAULT AS IDENTITY", "GENERATED ALWAYS AS IDENTITY", "serial"])(
  "ids would be handed out a second time after a rollback, with %s",
  async (how) => {
    const type = how === "serial" ? "bigserial" : `bigint ${how}`;
    await empty();
    await session.query(`CREATE TABLE public.items (id ${type} PRIMARY KEY, bucket int NOT NULL, note text)`);
    await session.query("INSERT INTO public.items (bucket) SELECT n FROM generate_series(1, 300) AS n");
    const migration = await startItems(db);
    await migration.through("cutover");
    const insert = "INSERT INTO public.items (bucket) VALUES (1) RETURNING id";
    expect(await value(session, insert)).toBe("301");
    await migration.run("rollback");
    expect(await value(session, insert)).toBe("302");
    expect(await value(session, "SELECT pg_get_serial_sequence('public.items', 'id')")).toBe(
      "public.items_id_seq",
    );
    // The failed table and its sequence can go without taking the application's along.
    await session.query(`DROP TABLE ${tables(migration).failed}`);
    expect(await value(session, insert)).toBe("303");
  },
);

test("prepared statements of the application would fail after a rollback", async () => {
  const migration = await cutOver();
  const insert = "INSERT INTO public.items (bucket, note) VALUES ($1, $2) RETURNING *";
  for (let n = 0; n < 6; n++) await session.query(insert, ["5", "before"], "insert");
  await migration.run("rollback");
  expect((await session.query(insert, ["5", "after"], "insert")).rows).toMatchObject([
    { bucket: "5", note: "after" },
  ]);
  expect(await value(session, "SELECT count(*) FROM ONLY public.items WHERE note = 'after'")).toBe("1");
});

test("a long reader would have the rollback give up for good", async () => {
  const migration = await cutOver();
  const reader = await db.session();
  await reader.begin();
  await reader.query("SELECT FROM public.items LIMIT 1");
  await expect(migration.run("rollback", { lockTries: 2 })).rejects.toMatchObject({
    kind: "lock-busy",
    exitCode: EXIT.lockBusy,
    message: expect.stringContaining(`pid ${reader.pid}`),
  });
  expect(await kind()).toBe("p");
  await reader.commit();
  await migration.run("rollback");
  expect(await kind()).toBe("r");
});

test.each([
  ["the swap", /^ALTER TABLE .* RENAME TO/, "p"],
  ["the triggers go", /^DROP TRIGGER/, "r"],
  ["the leaves' names are freed", /^ALTER INDEX .*_failed/, "r"],
  ["the row goes", /^DELETE FROM partway.migration/, "r"],
] as const)(
  "an interruption of the rollback before %s could not be resumed",
  async (_what, statement, stands) => {
    const migration = await cutOver();
    await session.query("UPDATE public.items SET note = 'kept' WHERE id = 1");
    migration.before(statement, async () => {
      throw new Error("killed");
    });
    await expect(migration.run("rollback")).rejects.toThrow("killed");
    expect(await kind()).toBe(stands);
    await session.query("UPDATE public.items SET note = 'kept too' WHERE id = 2");
    await migration.run("rollback");
    expect(await kind()).toBe("r");
    expect(await lines(session, "SELECT note FROM public.items WHERE id < 3")).toEqual(["kept", "kept too"]);
    expect(await value(session, "SELECT to_regnamespace('partway')")).toBeNull();
  },
);

test("a rollback of something that was never cut over would touch the table", async () => {
  await empty();
  await makeItems(session);
  const migration = await startItems(db);
  await migration.through("validate");
  await expect(migration.run("rollback")).rejects.toMatchObject({
    kind: "bad-input",
    message: expect.stringContaining("has not been cut over (it is at cutover)"),
  });
  expect((await migration.stored()).phase).toBe("cutover");
});
