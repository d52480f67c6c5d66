/** The moment of the lock: nobody may wait for work that can be done without it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { makeStored, removeStored } from "../../src/sync/store.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, planFor, SAME, startMigration, untilBlocked, value } from "../support/migration.js";

let db: TestDatabase;
let session: Session;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  await createOrders(session, 300);
});
afterEach(() => db.drop());

test("a bulk load committed right before the lock would be applied while every writer waits", async () => {
  const migration = await startMigration(db, { by: "created_at", every: "month" });
  await migration.through("validate");
  // The last drain is over, and the table that is live is not locked yet.
  migration.before(/IN ACCESS EXCLUSIVE MODE/, async () => {
    await session.query(
      "INSERT INTO public.orders (created_at) SELECT timestamptz '2025-05-05' FROM generate_series(1, 6000)",
    );
  });
  await migration.through("cutover");
  expect(migration.seen("cutover")).toMatchObject([{ drainedKeys: 0 }]);
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("the end of one migration would take the row of another that begins at that moment", async () => {
  const first = await startMigration(db, { by: "created_at", every: "month" });
  await session.query("CREATE TABLE public.visits (id bigint PRIMARY KEY, created_at timestamptz NOT NULL)");
  const second = await planFor(session, { table: "public.visits", by: "created_at", every: "month" });
  const [beginning, ending] = [await db.session(), await db.session()];
  let ended: Promise<unknown> = Promise.resolve();
  const send = beginning.query.bind(beginning);
  beginning.query = async (sql, params, name) => {
    if (sql === "COMMIT") {
      ended = ending.tx(() => removeStored(ending, first.plan.id));
      await untilBlocked(session, ending.pid);
    }
    return send(sql, params, name);
  };
  await makeStored(beginning, second);
  await ended;
  expect(await value(session, "SELECT id FROM partway.migration")).toBe(second.id);
});

test("two migrations that begin at the same moment would both make schema partway, and one would fail", async () => {
  await session.query("CREATE TABLE public.visits (id bigint PRIMARY KEY, created_at timestamptz NOT NULL)");
  await session.query("CREATE TABLE public.calls (id bigint PRIMARY KEY, created_at timestamptz NOT NULL)");
  const planned = (table: string) => planFor(session, { table, by: "created_at", every: "month" });
  const [visits, calls] = [await planned("public.visits"), await planned("public.calls")];
  const [first, second] = [await db.session(), await db.session()];
  let other: Promise<unknown> = Promise.resolve();
  const send = first.query.bind(first);
  first.query = async (sql, params, name) => {
    if (sql === "COMMIT") {
      other = makeStored(second, calls);
      await untilBlocked(session, second.pid);
    }
    return send(sql, params, name);
  };
  await makeStored(first, visits);
  await other;
  expect(await value(session, "SELECT count(*)::text FROM partway.migration")).toBe("2");
});
