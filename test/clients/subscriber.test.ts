/**
 * A logical replication subscriber with a plain table, which nobody tells of the migration: every write made before,
 * during and after cutover and rollback arrives there.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { literal } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { lines, rowText } from "../migrations/shape.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { Crowd, Worker } from "./crowd.js";
import { openNodePostgres } from "./drivers/node-postgres.js";
import { type Clientele, openClientele } from "./scene.js";

const ROUNDS = 6;
const POLL = { timeout: 60_000, interval: 50 };

let scene: Clientele;
let copy: TestDatabase;
let admin: Session;
let subscriber: Session;
let crowd: Crowd;
let worker: Worker;

beforeAll(async () => {
  scene = await openClientele(2_000);
  copy = await freshDatabase();
  admin = await scene.db.session(scene.db.superuserUrl);
  subscriber = await copy.session(copy.superuserUrl);
  await scene.session.query(
    "CREATE PUBLICATION orders_out FOR TABLE public.orders WITH (publish_via_partition_root = true)",
  );
  await subscriber.query(
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, note text NOT NULL, amount numeric NOT NULL, created_at timestamptz NOT NULL)",
  );
  // Both are on one server: the subscription would wait for ever for its own transaction to make the slot.
  await admin.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [copy.name]);
  await subscriber.query(
    `CREATE SUBSCRIPTION ${copy.name} CONNECTION ${literal(scene.db.superuserUrl)} PUBLICATION orders_out
       WITH (create_slot = false, slot_name = ${copy.name})`,
  );
  worker = new Worker("node-postgres", await openNodePostgres(scene.db.ownerUrl));
  crowd = new Crowd([worker]);
});
afterAll(async () => {
  await crowd.stop();
  await worker.driver.close();
  await subscriber.query(`ALTER SUBSCRIPTION ${copy.name} DISABLE`);
  await subscriber.query(`ALTER SUBSCRIPTION ${copy.name} SET (slot_name = NONE)`);
  await subscriber.query(`DROP SUBSCRIPTION ${copy.name}`);
  // The walsender lets its slot go a moment after the subscriber has hung up.
  const active = "SELECT 'active' AS line FROM pg_replication_slots WHERE slot_name = $1 AND active";
  await vi.waitUntil(async () => (await lines(admin, active, [copy.name])).length === 0, POLL);
  await admin.query("SELECT pg_drop_replication_slot($1)", [copy.name]);
  await copy.drop();
  await scene.close();
});

/** The application rests; the subscriber holds what the publisher holds, as soon as it has caught up. */
async function arrived(): Promise<void> {
  await crowd.rest();
  const all = `SELECT ${await rowText(scene.session, "public.orders")} AS line FROM public.orders AS t ORDER BY 1`;
  const rows = await lines(scene.session, all);
  expect(rows.length).toBeGreaterThan(2_000);
  await expect.poll(() => lines(subscriber, all), POLL).toEqual(rows);
  crowd.go();
}

test("a subscriber would miss a write, or stop", async () => {
  await crowd.busy(ROUNDS);
  await arrived();
  await scene.run("copy");
  await crowd.busy(ROUNDS);
  await scene.go("resume", { until: "validate" });
  await crowd.busy(ROUNDS);
  await arrived();
  await scene.go("cutover");
  await crowd.busy(ROUNDS);
  await arrived();
  await scene.go("rollback");
  await crowd.busy(ROUNDS);
  await arrived();
  expect(worker.failure).toBeNull();
});
