/**
 * SIGKILL in the middle of `partway maintain --apply`, the real process: what an operator would lose is a leaf half made,
 * a leaf half detached that nobody finishes, or one that is dropped although it was not to be.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { health, maintain } from "../../src/care.js";
import { committed, type KillProxy, sent, startKillProxy, uncommitted } from "../cli/killpoint.js";
import { type Folder, freshFolder } from "../cli/support.js";
import { bundleCli } from "../support/bundle.js";
import { openScene, type Scene } from "./scene.js";

let built: ReturnType<typeof bundleCli>;
beforeAll(() => {
  built = bundleCli();
});
afterAll(() => built.remove());

let scene: Scene;
let proxy: KillProxy;
let folder: Folder;
/** The test's own connections. */
let ours: string[];
beforeEach(async () => {
  // By the server's clock January 2026 is long over, and the month of now has no leaf; the months in between have one,
  // so that the clock is believed.
  scene = await openScene(
    { every: "month", ahead: 1, retention: "1mo", expired: "drop" },
    `DO $$ BEGIN EXECUTE format('CREATE TABLE public.orders_between PARTITION OF public.orders FOR VALUES FROM (%L) TO (%L)',
       '2026-02-01', date_trunc('month', now(), 'UTC')); END $$`,
  );
  await scene.session.query(`INSERT INTO public.orders (at, note) VALUES ('2026-01-12', 'second')`);
  proxy = await startKillProxy(scene.db.ownerUrl);
  folder = freshFolder(built.file, proxy.url(scene.db.ownerUrl));
  ours = await connections();
});
afterEach(async () => {
  await folder.remove();
  await proxy.stop();
  await scene.db.drop();
});

async function connections(): Promise<string[]> {
  const Pid = z.object({ pid: z.string() });
  const sql =
    "SELECT pid::text AS pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'";
  return (await scene.session.rows(Pid, sql)).map(({ pid }) => pid);
}

/** The next run finishes: the leaves for now and the next month, the old one gone, nothing else left behind. */
async function expectFinished(): Promise<void> {
  // A killed client's backends end when the server looks at their sockets; until then they hold what they hold.
  await expect
    .poll(async () => (await connections()).filter((pid) => !ours.includes(pid)), {
      timeout: 30_000,
      interval: 20,
    })
    .toEqual([]);
  const url = scene.db.ownerUrl;
  expect((await maintain({ url, apply: true })).exitCode).toBe(0);
  const again = await maintain({ url, apply: true });
  expect(again.tables).toMatchObject([{ finished: [], created: [], retired: [] }]);
  const leaves = await scene.leaves();
  expect(leaves).toHaveLength(3);
  const tables = await scene.session.rows(
    z.object({ name: z.string() }),
    `SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`,
  );
  expect(tables.map(({ name }) => name)).toEqual(["orders", ...leaves]);
  expect((await scene.session.query("SELECT FROM partway.partition_leaving")).count).toBe(0);
  expect(await health({ url })).toMatchObject([{ status: "HEALTHY", findings: [] }]);
}

test.each([
  uncommitted("before a leaf is attached", /ATTACH PARTITION/),
  committed("after a leaf was attached", /ATTACH PARTITION/),
  uncommitted("between two leaves", /orders_\d+_\d+_bound[\s\S]*ATTACH PARTITION/, 2),
  sent("at the note of the leaf that is to go", /INSERT INTO partway\.partition_leaving/),
  sent("at the detach", /DETACH PARTITION .* CONCURRENTLY/),
  uncommitted("after the detach, before the drop", /DROP TABLE/),
  committed("after the drop", /DROP TABLE/),
])("killed %s, maintenance would not be finished by the next run", async (_when, point) => {
  const run = folder.start(["maintain", "--apply"]);
  const armed = proxy.arm(point, () => run.child.kill("SIGKILL"));
  const { stdout, stderr } = await run.ended;
  expect(armed.happened(), stdout + stderr).toBe(true);
  expect(run.child.signalCode).toBe("SIGKILL");
  proxy.disarm();
  await expectFinished();
});

test("killed while the detach waits for a transaction, it would stay half detached", async () => {
  const reader = await scene.db.session();
  ours.push(String(reader.pid));
  await reader.begin();
  await reader.query("SELECT count(*) FROM public.orders");
  const run = folder.start(["maintain", "--apply"]);
  const Pending = z.object({ pending: z.string() });
  const pending =
    "SELECT bool_or(inhdetachpending)::text AS pending FROM pg_inherits WHERE inhparent = $1::oid";
  await expect
    .poll(() => scene.session.one(Pending, pending, [scene.oid]), { timeout: 30_000, interval: 20 })
    .toEqual({ pending: "true" });
  run.child.kill("SIGKILL");
  await run.ended;
  await reader.rollback();
  await expectFinished();
});
