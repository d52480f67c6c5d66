/** Autovacuum on the source at cutover: an ordinary one yields, one to prevent wraparound is waited for and named. */
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";
import { type RunningServer, startOwnServer } from "../support/server.js";

const POLL = { timeout: 120_000, interval: 20 };
let server: RunningServer;
let db: TestDatabase;
let session: Session;
let admin: Session;

/** A worker every second, and a slow one: it has to be still there when the cutover comes. */
const FLAGS = [
  "autovacuum_naptime=1s",
  "autovacuum_vacuum_cost_limit=1",
  "autovacuum_vacuum_cost_delay=25ms",
];

beforeAll(async () => {
  server = await startOwnServer(inject("server").version, { flags: FLAGS.flatMap((flag) => ["-c", flag]) });
  db = await freshDatabase(server);
  session = await db.session();
  admin = await db.session(db.superuserUrl);
  // Autovacuum yields to whoever has waited for deadlock_timeout.
  await admin.query(`ALTER ROLE "${db.role}" SET deadlock_timeout = '100ms'`);
});
afterAll(async () => {
  await db.drop();
  await server.stop();
});

async function validated(name: string, rows: number): Promise<TestMigration> {
  await createOrders(session, rows);
  await session.query(`ALTER TABLE public.orders RENAME TO ${name}`);
  await session.query(`ALTER TABLE public.${name} SET (autovacuum_enabled = off)`);
  const migration = await startMigration(db, {
    table: `public.${name}`,
    by: "created_at",
    every: "year",
    ahead: "1",
  });
  await migration.through("validate");
  return migration;
}

const WORKER_SQL = `
SELECT p.pid::text || ' ' || a.query FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a ON a.pid = p.pid
 WHERE p.relid = $1::regclass AND a.backend_type = 'autovacuum worker'`;
const worker = (name: string) => value(admin, WORKER_SQL, [`public.${name}`]);

test("an autovacuum of the source would keep the cutover out", async () => {
  const migration = await validated("ordinary", 2000);
  await session.query("UPDATE public.ordinary SET note = 'dead rows' WHERE id <= 1000");
  await session.query(
    "ALTER TABLE public.ordinary SET (autovacuum_enabled = on, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0)",
  );
  await expect.poll(() => worker("ordinary"), POLL).toMatch(/autovacuum: VACUUM.* public\.ordinary$/);
  await migration.run("cutover");
  expect(migration.seen("cutover")).toHaveLength(1);
  // It gave way: it has not got to its end.
  expect(
    await value(
      session,
      "SELECT autovacuum_count::text FROM pg_stat_user_tables WHERE relname = 'ordinary_retired'",
    ),
  ).toBe("0");
});

test("a vacuum to prevent wraparound would end the run, or be ended, or have no name", async () => {
  const migration = await validated("wrapped", 1500);
  await session.query("ALTER TABLE public.wrapped SET (autovacuum_freeze_max_age = 100000)");
  await session.query("CREATE TEMP TABLE xids (n int)");
  // Each subtransaction that writes takes a number.
  await session.query(`DO $$ BEGIN FOR i IN 1..100100 LOOP
    BEGIN INSERT INTO xids VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$`);
  await expect.poll(() => worker("wrapped"), POLL).toMatch(/public\.wrapped \(to prevent wraparound\)$/);
  const pid = Number((await worker("wrapped"))?.split(" ")[0]);
  await admin.query(`GRANT pg_read_all_stats TO "${db.role}"`);
  await migration.run("cutover");
  const named = migration.seen("lock-try").filter((t) => t.purpose === "cutover" && t.outcome === "timeout");
  expect(named[0]?.blockers).toMatchObject([
    { pid, query: expect.stringMatching(/^autovacuum: VACUUM.* public\.wrapped \(to prevent wraparound\)$/) },
  ]);
  // It was waited for: it has come to its end.
  const vacuums =
    "SELECT (autovacuum_count > 0)::text FROM pg_stat_user_tables WHERE relname = 'wrapped_retired'";
  await expect.poll(() => value(session, vacuums), POLL).toBe("true");
  expect(await migration.difference("reverse")).toEqual(SAME);
});
