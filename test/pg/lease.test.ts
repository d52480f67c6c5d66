import { afterEach, beforeEach, expect, test } from "vitest";
import { Connections } from "../../src/engine/connections.js";
import { EXIT } from "../../src/errors.js";
import { bumpEpoch, LEASE_SQL, type Lease, takeLease } from "../../src/pg/lease.js";
import type { Session } from "../../src/pg/session.js";
import { copy } from "../../src/phases/copy.js";
import { cutover } from "../../src/phases/cutover.js";
import type { Settings } from "../../src/phases/phase.js";
import { applyOnce } from "../../src/sync/apply.js";
import { makeItems, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase, targetOf } from "../support/database.js";
import { type TestMigration, value } from "../support/migration.js";

const POLL = { timeout: 30_000, interval: 3 };
let db: TestDatabase;
let session: Session;
let zombies: { close(): Promise<void> }[];

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  await makeItems(session);
  zombies = [];
});
afterEach(async () => {
  await Promise.all(zombies.map((zombie) => zombie.close()));
  await db.drop();
});

/** Another orchestrator of the same migration. */
async function another(migration: TestMigration, takeover: boolean): Promise<Lease> {
  return takeLease({
    session: await db.session(),
    helper: await db.session(),
    migration: migration.plan.id,
    takeover,
  });
}

test("two orchestrators would drive one migration", async () => {
  const migration = await startItems(db);
  const second = another(migration, false);
  await expect(second).rejects.toMatchObject({
    kind: "refused",
    exitCode: EXIT.refused,
    message: expect.stringMatching(
      new RegExp(
        `migration ${migration.plan.id} is being run by another Partway process \\(backend \\d+ from .*, since .* UTC\\)`,
      ),
    ),
    next: expect.stringContaining("--takeover"),
  });
  // The refusal changed nothing: the first one still writes.
  await migration.run("shadow");
  expect(await value(migration.session, "SELECT epoch FROM partway.migration")).toBe(migration.lease.epoch);
});

/** A context that keeps the lease of an orchestrator that is about to be taken over. */
async function zombieOf(migration: TestMigration, settings: Partial<Settings> = {}) {
  const context = migration.context(settings);
  zombies.push(context);
  return context;
}

test("an orchestrator that was taken over would go on writing", async () => {
  const migration = await startItems(db);
  await migration.run("shadow");
  const zombie = await zombieOf(migration);
  const before = migration.lease.epoch;
  await migration.takeOver();
  expect(Number(migration.lease.epoch)).toBe(Number(before) + 1);
  await expect(copy.run(zombie)).rejects.toMatchObject({
    kind: "fenced",
    message: `another Partway process has taken over migration ${migration.plan.id}`,
  });
  expect(await value(session, `SELECT count(*) FROM ${tables(migration).shadow}`)).toBe("0");
  expect(
    await value(session, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.items'::regclass"),
  ).toBe("0");
  await migration.run("copy");
  expect(await value(session, `SELECT count(*) FROM ${tables(migration).shadow}`)).toBe("1200");
});

test("a zombie that wakes up in the middle of the copy would write its batch a second time", async () => {
  const migration = await startItems(db);
  await migration.run("shadow");
  const zombie = await zombieOf(migration, { workers: 1, batchBlocks: 1 });
  let asleep = false;
  // Asleep after its first batch; meanwhile another process takes over and copies everything.
  zombie.heavy = async () => {
    if (migration.records.batches.length !== 1 || asleep) return;
    asleep = true;
    await migration.takeOver();
    await migration.run("copy");
  };
  await expect(copy.run(zombie)).rejects.toMatchObject({ kind: "fenced" });
  expect(asleep).toBe(true);
  expect(
    await value(session, `SELECT count(*) || ' ' || count(DISTINCT id) FROM ${tables(migration).shadow}`),
  ).toBe("1200 1200");
});

test("a zombie would apply, repair or cut over under another's hands", async () => {
  const migration = await startItems(db);
  await migration.through("validate");
  await session.query("UPDATE public.items SET note = 'changed' WHERE id = 1");
  const zombie = await zombieOf(migration);
  await migration.takeOver();
  const sides = migration.sides();
  const apply = applyOnce(session, { plan: migration.plan, sides, lease: zombie.lease, limit: 10 });
  await expect(apply).rejects.toMatchObject({ kind: "fenced" });
  await expect(cutover.run(zombie)).rejects.toMatchObject({ kind: "fenced" });
  expect(await migration.log()).toHaveLength(1);
  expect(await value(session, `SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass`)).toBe("r");
});

test("a zombie that sleeps while it waits for the cutover's lock would swap the names", async () => {
  const migration = await startItems(db);
  await migration.through("validate");
  // Taken over after its last drain, before the last of its locks: only the check inside them can stop it.
  const zombie = await zombieOf(migration);
  migration.before(/"items" IN ACCESS EXCLUSIVE MODE/, async () => {
    await migration.takeOver();
  });
  await expect(cutover.run(zombie)).rejects.toMatchObject({ kind: "fenced" });
  expect(await value(session, `SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass`)).toBe("r");
  expect((await migration.stored()).phase).toBe("cutover");
});

test("the new orchestrator would begin while a batch of the dead one can still commit", async () => {
  const migration = await startItems(db);
  await migration.run("shadow");
  // An orphan: it has read the epoch and written, and nobody will ever end its transaction.
  const orphan = await db.session();
  await orphan.begin();
  await migration.lease.check(orphan);
  await orphan.query(`INSERT INTO ${tables(migration).shadow} (id, bucket) VALUES (1, 1)`);
  // Somebody's own session that has nothing to do with it, and one of the application under the same role.
  const bystander = await db.session();
  await bystander.begin();
  await bystander.query("SELECT FROM public.items");
  await another(migration, true);
  await expect(orphan.query("COMMIT")).rejects.toThrow("connection");
  expect(await value(migration.session, `SELECT count(*) FROM ${tables(migration).shadow}`)).toBe("0");
  expect((await bystander.query("SELECT 1")).count).toBe(1);
});

test("a session that is not Partway's would be ended because it stands in the way", async () => {
  const migration = await startItems(db);
  const person = await db.session();
  await person.query("SET application_name = 'psql'");
  await person.begin();
  await person.query("SELECT FROM partway.migration FOR SHARE");
  const taker = await db.session();
  const bumped = bumpEpoch(taker, session, migration.plan.id);
  // The grace is one second; by the third look the blocker would be gone if it were ever to go.
  const waits = `SELECT (coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0) > 2.2)::text
                   FROM pg_locks WHERE NOT granted AND pid = ${taker.pid}`;
  await expect.poll(() => value(person, waits), POLL).toBe("true");
  await person.commit();
  expect(Number(await bumped)).toBe(Number(migration.lease.epoch) + 1);
});

test("a zombie that was refused once would count the other's epoch as its own, and take the migration back", async () => {
  const migration = await startItems(db);
  const zombie = new Connections(targetOf(db.ownerUrl), migration.plan.id);
  await zombie.take(true);
  await zombie.close();
  // Its own connection, not yet given up by the server, or the other one's: the lock is held, nothing is bumped.
  const holder = await db.session();
  await holder.query(LEASE_SQL.lock, [migration.plan.id]);
  await expect(zombie.take(false)).rejects.toMatchObject({ kind: "refused" });
  await session.query("UPDATE partway.migration SET epoch = epoch + 1");
  await holder.query(LEASE_SQL.unlock, [migration.plan.id]);
  await expect(zombie.take(false)).rejects.toMatchObject({ kind: "fenced" });
  await zombie.close();
});

test("a phase of this process itself would be taken for a takeover", async () => {
  const migration = await startItems(db);
  await migration.through("index");
  await session.query("UPDATE public.items SET note = 'changed' WHERE id = 1");
  // The apply's snapshot is older than a change of the migration's row by this same orchestrator.
  const applier = await db.session();
  const mover = await db.session();
  await applier.begin({ isolation: "repeatable read" });
  await applier.query("SELECT 1");
  await applier.rollback();
  let moved = false;
  const begin = applier.begin.bind(applier);
  applier.begin = async (options) => {
    await begin(options);
    if (moved) return;
    moved = true;
    await applier.query("SELECT 1");
    await mover.query("UPDATE partway.migration SET phase = phase");
  };
  const sides = migration.sides();
  const options = { plan: migration.plan, sides, lease: migration.lease, limit: 10 };
  await expect(applyOnce(applier, options)).resolves.toBe(1);
});
