/** The automatic throttle on a real server: when it stops the copy, what it says, and what it must never stop. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { plan, type RunOptions, run } from "../../src/api.js";
import { parseThrottle } from "../../src/config/throttle.js";
import { PartwayError } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { ask, partsFor } from "../../src/throttle/ask.js";
import { WalMarks } from "../../src/throttle/marks.js";
import { active, number, replicaLag, slotWal, xminAge } from "../../src/throttle/read.js";
import type { RunEvent } from "../../state/events.js";
import { BY_BUCKET, makeItems } from "../engine/items.js";
import { startStandby } from "../faults/standby.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import { value } from "../support/migration.js";
import { startOwnServer } from "../support/server.js";

const POLL = { timeout: 60_000, interval: 20 };
let db: TestDatabase;
let session: Session;
let state: string;
let events: RunEvent[];

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  state = mkdtempSync(join(tmpdir(), "partway-throttle-"));
  events = [];
});
afterEach(async () => {
  await db.drop();
  rmSync(state, { recursive: true, force: true });
});

const options = (over: Partial<RunOptions>): RunOptions => ({
  ...{
    table: "items",
    url: db.ownerUrl,
    state,
    backup: false,
    ...BY_BUCKET,
    workers: "1",
    batchBlocks: "16",
  },
  onEvent: (event) => events.push(event),
  ...over,
});
const seen = (name: RunEvent["event"]) => events.filter(({ event }) => event === name).length;
const batches = () => value(session, "SELECT count(*) FROM partway.ledger");
const canaries = () => {
  const last = events.findLast((event) => event.event === "sample");
  return last?.event === "sample" ? (last.canary?.count ?? 0) : 0;
};
/** A whole look at the signals has begun and ended since: the canary sings once in each. */
async function looked(): Promise<void> {
  const before = canaries();
  await expect.poll(canaries, POLL).toBeGreaterThanOrEqual(before + 2);
}
const heldBy = () => {
  const last = events.findLast((event) => event.event === "sample");
  return last?.event === "sample" ? (last.held ?? []).map(({ reason }) => reason).join() : "";
};

test("a copy would go on against an operator's signal, or one that cannot be read; or the cutover would wait for one", async () => {
  await makeItems(session, 20_000);
  await session.query("CREATE TABLE public.ops (busy bool, why text)");
  await session.query("INSERT INTO public.ops VALUES (true, 'month end')");
  const busy = (now: boolean) => session.query(`UPDATE public.ops SET busy = ${now}`);
  const running = await run(
    options({
      until: "validate",
      hold: true,
      throttleSql: "SELECT busy, why FROM ops",
      canarySql: "SELECT 1",
    }),
  );
  await expect.poll(() => seen("throttled"), POLL).toBe(1);
  expect(events.findLast((event) => event.event === "throttled")).toMatchObject({
    reasons: [{ signal: "sql", reason: "--throttle-sql: month end" }],
  });
  expect(running.source.current().held?.reasons[0]?.signal).toBe("sql");
  expect(await batches()).toBe("0");

  // The first batch is let begin and waits for us; meanwhile the signal becomes bad again.
  const blocker = await db.session();
  await blocker.begin();
  await blocker.query("LOCK TABLE partway.ledger IN ACCESS EXCLUSIVE MODE");
  await busy(false);
  await expect.poll(() => seen("released"), POLL).toBe(1);
  const waits = `SELECT count(*) FROM pg_locks WHERE relation = 'partway.ledger'::regclass AND NOT granted`;
  await expect.poll(() => value(session, waits), POLL).toBe("1");
  await busy(true);
  await looked();
  await blocker.commit();
  await blocker.end();
  await expect.poll(() => seen("throttled"), POLL).toBe(2);
  expect(await batches()).toBe("1");

  await session.query("DROP TABLE public.ops");
  await expect.poll(heldBy, POLL).toBe('--throttle-sql cannot be read: relation "ops" does not exist');
  expect([await batches(), seen("released")]).toEqual(["1", 1]);
  await session.query("CREATE TABLE public.ops (busy bool, why text)");
  await session.query("INSERT INTO public.ops VALUES (false)");
  await expect.poll(() => seen("ready"), POLL).toBe(1);
  expect(Number(await batches())).toBeGreaterThan(2);

  await busy(true);
  await looked();
  expect(running.command("cutover")).toBeNull();
  await expect.poll(() => seen("cutover"), POLL).toBe(1);
  expect(await value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass")).toBe("p");
  running.command("stop");
  expect(await running.finished).toMatchObject({ error: { kind: "stopped" } });
});

test("a signal that this role may not read would hold the run for ever, or be taken for good", async () => {
  await makeItems(session);
  const asked = { maxActive: "50", maxXminAge: "1000000", between: "22:00-06:00 Nowhere/Town" };
  const error = await run(options({ ...asked, throttleSql: "SELECT busy FROM nothing" })).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(PartwayError);
  expect(error).toMatchObject({ kind: "refused" });
  const text = error instanceof PartwayError ? error.message : "";
  for (const named of [
    "--max-active is asked for, and cannot be read",
    "--max-xmin-age is asked for",
    "GRANT pg_monitor TO",
    'time zone "Nowhere/Town" not recognized',
    'relation "nothing" does not exist',
  ])
    expect(text).toContain(named);
  expect(await value(session, "SELECT count(*) FROM pg_namespace WHERE nspname = 'partway'")).toBe("0");
  // What can be read is no refusal, and the default asks for nothing that a role must have.
  expect((await plan(options({}))).refusals).toEqual([]);
});

const NO_SLOT = "partway_wal_none";

test("a server that answers every question would be taken for one that cannot be asked", async () => {
  const limits = {
    maxReplicaLag: "1s",
    maxActive: "1",
    maxXminAge: "1",
    maxWalRate: "1",
    maxCheckpointWal: "1",
  };
  await asAdmin(db.superuserUrl, async (admin) => {
    await admin.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    const answers = await ask(admin, partsFor(parseThrottle(limits)), NO_SLOT);
    expect(number(answers.wal)).toEqual({ value: expect.any(Number) });
    expect(replicaLag(answers.replicas, new WalMarks())).toHaveProperty("value");
    expect(active(answers.active)).toEqual({ value: expect.any(Number) });
    expect(slotWal(answers.slot)).toEqual({ value: null });
    expect(number(answers.checkpoint)).toEqual({ value: expect.any(Number) });
    await admin.query("ROLLBACK");
    const other = await db.session();
    await other.query("SET application_name = 'report'");
    await other.begin({ isolation: "repeatable read" });
    await other.query("SELECT 1");
    expect(xminAge((await ask(admin, ["xmin"], NO_SLOT)).xmin)).toMatchObject({ who: expect.any(String) });
    await other.rollback();
    await other.end();
  });
});

test.skipIf(process.env["PARTWAY_TEST_FULL"] !== "1")(
  "a copy would leave a replica behind whose replay stands still",
  async () => {
    const server = await startOwnServer(inject("server").version);
    const standby = await startStandby(server);
    try {
      const url = server.superuserUrl;
      const replay = (act: string) => asAdmin(standby.url(url), (admin) => admin.query(`SELECT ${act}()`));
      await asAdmin(url, async (admin) => {
        await admin.query("ALTER SYSTEM RESET synchronous_standby_names");
        await admin.query("SELECT pg_reload_conf()");
        await makeItems(admin, 20_000);
      });
      await replay("pg_wal_replay_pause");
      await asAdmin(url, (admin) => admin.query("INSERT INTO public.items (bucket) VALUES (1)"));
      const running = await run(options({ url, until: "validate", maxReplicaLag: "2s" }));
      await expect.poll(() => seen("throttled"), POLL).toBe(1);
      await expect.poll(heldBy, POLL).toMatch(/^replica lag [\d.]+ s >= 2 s \(standby\)$/);
      expect(await asAdmin(url, (admin) => value(admin, "SELECT count(*) FROM partway.ledger"))).toBe("0");
      await replay("pg_wal_replay_resume");
      expect(await running.finished).toMatchObject({ outcome: "ready-for-cutover" });
      expect(events.findLast((event) => event.event === "throttled")).toMatchObject({
        reasons: [{ signal: "replica-lag", reason: expect.stringMatching(/replica lag .* \(standby\)/) }],
      });
    } finally {
      await standby.stop();
      await server.stop();
    }
  },
);
