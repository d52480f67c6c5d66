/** What can go wrong with server and network, as acts at a moment, and the moments of each phase. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Act, Moment } from "./network.js";
import type { Scene } from "./scene.js";

const LONG = { timeout: 60_000, interval: 20 };

/** pg_ctl stop -m immediate, and crash recovery. */
export const restart =
  ({ server }: Scene): Act =>
  async () => {
    await server.kill();
    await server.restart();
    return "cut-all";
  };

/** Every connection cut, both ways. */
export const cut = (): Act => async () => "cut-all";

/** Every connection gone for us, while the server goes on believing in it. */
export const vanish = (): Act => async () => "vanish-all";

const BY_PORT = "client_port = $1::int AND datname = current_database()";

/** pg_terminate_backend of the connection that says it. */
export const terminate =
  (scene: Scene): Act =>
  async (port) => {
    await scene.admin((admin) =>
      admin.query(`SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE ${BY_PORT}`, [port]),
    );
    return "forward";
  };

/** pg_terminate_backend of another one of Partway's connections, by SQL over `a` (pg_stat_activity). */
export const terminateOther =
  (scene: Scene, which: string): Act =>
  async () => {
    const end = () =>
      scene.admin((admin) =>
        admin.query(`SELECT pg_terminate_backend(a.pid, 30000) FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.application_name = 'partway' AND a.pid <> pg_backend_pid() AND ${which}`),
      );
    // The watchers ask now and then: it shows by what they asked last, so they must be able to ask.
    if (which !== HOLDER) scene.network.flow();
    await expect.poll(async () => (await end()).count, LONG).toBeGreaterThan(0);
    return "forward";
  };

/** Partway's connections that no statement of a phase goes over, by SQL over `a`. */
export const HOLDER = "a.pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)";
export const HELPER = "a.query LIKE '%pg_stat_activity a ON a.pid = p.pid%'";
export const BUILD_WATCH = "a.query LIKE '%pg_stat_progress_create_index%'";

/** pg_cancel_backend, again and again, until the connection has been cancelled in the middle of a statement. */
export const cancel =
  (scene: Scene): Act =>
  async (port) => {
    const { rows } = await scene.admin((admin) =>
      admin.query(`SELECT pid::text AS pid FROM pg_stat_activity WHERE ${BY_PORT}`, [port]),
    );
    const pid = Number(rows[0]?.["pid"]);
    // Runs on while the message goes on; the backend that is gone, or the run that stops, ends it.
    void scene
      .admin((admin) =>
        admin.query(`DO $$ BEGIN FOR i IN 1 .. 3000 LOOP
          PERFORM pg_cancel_backend(${pid}); PERFORM pg_sleep(0.001);
          EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ${pid}); PERFORM pg_stat_clear_snapshot();
          END LOOP; END $$`),
      )
      .catch((error: unknown) => {
        throw error;
      });
    return "forward";
  };

/** The network falls silent for longer than anything waits (12 s at PGCONNECT_TIMEOUT=1), then comes back. */
export const silence =
  ({ network }: Scene, ms = 16_000): Act =>
  async () => {
    network.stall();
    await sleep(ms);
    network.flow();
    return "forward";
  };

/**
 * The orchestrator stops (SIGSTOP) while it holds its lock: the application must get its table back meanwhile; the
 * process goes on after that.
 */
export const freeze =
  (scene: Scene): Act =>
  async () => {
    const { child } = scene.process();
    child.kill("SIGSTOP");
    await applicationGoesOn(scene);
    child.kill("SIGCONT");
    return "forward";
  };

/** The same with a network that has fallen silent. */
export const silentInLock =
  (scene: Scene): Act =>
  async () => {
    scene.network.stall();
    await applicationGoesOn(scene);
    scene.network.flow();
    return "forward";
  };

/** Nobody holds or awaits a lock on the table that a writer would have to wait for, and writers do write. */
async function applicationGoesOn(scene: Scene): Promise<void> {
  const held = `SELECT count(*)::text AS n FROM pg_locks WHERE relation = 'public.orders'::regclass
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`;
  const count = () => scene.admin(async (admin) => Number((await admin.query(held)).rows[0]?.["n"]));
  expect(await count(), "the lock is held when the orchestrator stops").toBeGreaterThan(0);
  await expect.poll(count, LONG).toBe(0);
  await scene.written(20);
}

const before = (text: RegExp, nth = 1): Moment => ({ text, when: "before its commit", nth });
const after = (text: RegExp, nth = 1): Moment => ({ text, when: "after its commit", nth });
const at = (text: RegExp, nth = 1): Moment => ({ text, when: "at", nth });

/** Moments of a migration up to its window, in their order. */
export const WAY = {
  "backup, reading": at(/sum\(hash_record_extended/),
  "shadow, before its commit": before(/SET shadow_oid/),
  "shadow, after its commit": after(/SET shadow_oid/),
  "copy, in the lock of the triggers": at(/CREATE TRIGGER/),
  "copy, before a batch's commit": before(/INSERT INTO partway\.ledger/, 2),
  "copy, after a batch's commit": after(/INSERT INTO partway\.ledger/, 2),
  "index, before a build's commit": before(/ALTER TABLE \S+ ADD CONSTRAINT|CREATE INDEX/, 2),
  "index, at an ANALYZE": at(/ANALYZE (ONLY )?"public"|VACUUM \(FREEZE, ANALYZE\)/),
  "catch-up, before an apply's commit": before(/apply_forward_forget/),
  "catch-up, after an apply's commit": after(/apply_forward_forget/),
  "validate, exporting the snapshot": at(/pg_export_snapshot/),
  "validate, sharing it": at(/SET TRANSACTION SNAPSHOT/),
  "validate, hashing": at(/hash_record_extended/),
  // Not the question of pg/aside.ts, which is asked during every scan.
  "cutover, watching for stalls": at(/max\(.*waitstart/),
  "cutover, in the lock": at(/RENAME TO/),
  "cutover, before its commit": before(/RENAME TO/),
  "cutover, after its commit": after(/RENAME TO/),
} as const;

export const WINDOW = {
  "window, before an apply's commit": before(/apply_reverse_forget/),
  "window, after an apply's commit": after(/apply_reverse_forget/),
  "window, reading the verdict": at(/seconds_left/, 2),
} as const;

export const ROLLBACK = {
  "rollback, before its commit": before(/RENAME TO/),
  "rollback, after its commit": after(/RENAME TO/),
  "rollback, in the lock of the triggers": at(/DROP TRIGGER/),
  "rollback, before its last commit": before(/DROP TABLE partway\.ledger/),
  "rollback, after its last commit": after(/DROP TABLE partway\.ledger/),
} as const;

export const FINALIZE = {
  "finalize, after its first commit": after(/SET phase = 'drop'/),
  "finalize, before the triggers are gone": before(/DROP TRIGGER/),
  "finalize, after the retired table is gone": after(/DROP TABLE \S*orders/),
  "finalize, after its last commit": after(/DROP TABLE partway\.ledger/),
} as const;

export const ABORT = {
  "abort, before the triggers are gone": before(/DROP TRIGGER \S.* ON "public"\."orders"(?!_)/),
  "abort, after the shadow is gone": after(/DROP TABLE \S*orders/),
  "abort, before its last commit": before(/DROP TABLE partway\.ledger/),
  "abort, after its last commit": after(/DROP TABLE partway\.ledger/),
} as const;
