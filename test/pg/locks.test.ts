import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/errors.js";
import { acquireLocks, type LockRequest, type LockTry } from "../../src/pg/locks.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { value } from "../support/migration.js";

const POLL = { timeout: 30_000, interval: 3 };
let db: TestDatabase;
let locker: Session;
let observer: Session;
let other: Session;
let tries: LockTry[];

beforeEach(async () => {
  db = await freshDatabase();
  [locker, observer, other] = [await db.session(), await db.session(), await db.session()];
  await other.query("CREATE TABLE public.live (id int)");
  await other.query("INSERT INTO public.live VALUES (1)");
  tries = [];
});
afterEach(() => db.drop());

function acquire(over: Partial<LockRequest> = {}, deadlockMs = 50) {
  const request: LockRequest = {
    purpose: "the test",
    again: "partway resume live_123456",
    calm: ["public.live"],
    strong: [{ table: "public.live", mode: "ACCESS EXCLUSIVE" }],
    timeoutMs: 50,
    timeoutMaxMs: 100,
    silenceMs: 5000,
    tries: 3,
    signal: new AbortController().signal,
    onTry: (attempt) => tries.push(attempt),
    ...over,
  };
  return acquireLocks(locker, observer, request, deadlockMs);
}

/** Resolves when backend `pid` waits for a lock, with the name of what it waits for. */
async function waitingFor(pid: number): Promise<string> {
  const sql = `SELECT coalesce(min(relation::regclass::text), '') FROM pg_locks WHERE NOT granted AND pid = ${pid}`;
  await expect.poll(() => value(observer, sql), POLL).not.toBe("");
  return (await value(observer, sql)) ?? "";
}

test("several locks would each have a timeout of their own, and the application's deadlock check would end its statement", async () => {
  await other.query("CREATE TABLE public.parent (); CREATE TABLE public.child ()");
  await other.begin();
  await other.query("SELECT FROM public.child");
  const asked: { attempt: number; ms: number }[] = [];
  const query = locker.query.bind(locker);
  vi.spyOn(locker, "query").mockImplementation((...args) => {
    const ms = /^SET LOCAL lock_timeout = (\d+)$/.exec(args[0])?.[1];
    if (ms !== undefined) asked.push({ attempt: tries.length, ms: Number(ms) });
    return query(...args);
  });
  await locker.begin();
  const tables = ["public.parent", "public.child", "public.live"];
  const strong = tables.map((table) => ({ table, mode: "ACCESS EXCLUSIVE" as const }));
  const got = acquire({ strong, calm: [], timeoutMs: 60_000, timeoutMaxMs: 60_000, tries: 100 }, 1000);
  expect(await waitingFor(locker.pid)).toBe("public.child");
  await other.rollback();
  await got;
  expect(asked[0]).toEqual({ attempt: 0, ms: 800 });
  const last = asked.filter(({ attempt }) => attempt === asked.at(-1)?.attempt).map(({ ms }) => ms);
  expect(last).toHaveLength(3);
  expect(last).toEqual(last.toSorted((a, b) => b - a));
  expect(asked.every(({ ms }) => ms <= 800)).toBe(true);
  expect(last.at(-1)).toBeLessThan(800);
});

test("a long reader would make the run wait for ever, or be ended, or stay unnamed", async () => {
  await other.begin();
  await other.query("SELECT id FROM public.live");
  await locker.begin();
  const failure = await acquire().catch((error: unknown) => error);
  expect(failure).toMatchObject({
    kind: "lock-busy",
    exitCode: EXIT.lockBusy,
    message: expect.stringMatching(
      new RegExp(
        `in 3 tries; in the way: pid ${other.pid} \\(partway, open [0-9.]+ s\\): SELECT id FROM public.live`,
      ),
    ),
    state: expect.stringContaining("can be resumed"),
    next: expect.stringContaining("partway resume live_123456"),
  });
  expect(tries.map((t) => [t.attempt, t.outcome, t.timeoutMs])).toEqual([
    [1, "timeout", 50],
    [2, "timeout", 63],
    [3, "timeout", 79],
  ]);
  // Of the last try: the first may be over before the observer's question has been planned.
  const blockers = tries.at(-1)?.blockers;
  expect(blockers).toMatchObject([{ pid: other.pid, query: "SELECT id FROM public.live" }]);
  expect(blockers?.[0]?.ageSeconds).toBeGreaterThan(0);
  await locker.rollback();
  // Nobody's session was ended.
  expect((await other.query("SELECT 1")).count).toBe(1);
});

test("a prepared transaction that nobody has ended would be in the way without a name", async () => {
  await other.begin();
  await other.query("UPDATE public.live SET id = 2");
  await other.query(`PREPARE TRANSACTION 'left ''over'`);
  await locker.begin();
  // The timeout is long enough that the observer looks while the lock is waited for.
  await expect(acquire({ tries: 1, timeoutMs: 1000, timeoutMaxMs: 1000 })).rejects.toMatchObject({
    kind: "lock-busy",
    message: expect.stringMatching(
      /pid 0 \(prepared transaction, open [0-9.]+ s\): COMMIT PREPARED 'left ''over' or ROLLBACK PREPARED/,
    ),
  });
  await locker.rollback();
  await other.query(`ROLLBACK PREPARED 'left ''over'`);
});

test("the timeout would grow without a bound and writers stall with it", async () => {
  await other.begin();
  await other.query("SELECT id FROM public.live");
  await locker.begin();
  await expect(acquire({ tries: 6, timeoutMs: 20, timeoutMaxMs: 30 })).rejects.toMatchObject({
    kind: "lock-busy",
  });
  expect(tries.map((t) => t.timeoutMs)).toEqual([20, 25, 30, 30, 30, 30]);
});

test("writers would stand behind the waiting lock until the long reader has ended", async () => {
  await other.begin();
  await other.query("SELECT id FROM public.live");
  const writer = await db.session();
  const stop = new AbortController();
  await locker.begin();
  const acquiring = acquire({ tries: 1000, signal: stop.signal }).catch((error: unknown) => error);
  // Five times: a write that stands in the queue behind a try gets through although the reader stays.
  for (let n = 0; n < 5; n++) {
    await waitingFor(locker.pid);
    await writer.query("UPDATE public.live SET id = id + 1");
  }
  expect(other.inTransaction).toBe(true);
  stop.abort();
  expect(await acquiring).toMatchObject({ name: "AbortError" });
  expect(await value(other, "SELECT id FROM public.live")).toBe("6");
});

test("a table of many leaves would stall writers for one lock timeout a leaf", async () => {
  await other.query("CREATE TABLE public.parent (id int) PARTITION BY LIST (id)");
  const holders: Session[] = [];
  for (const n of [1, 2, 3, 4]) {
    await other.query(`CREATE TABLE public.leaf_${n} PARTITION OF public.parent FOR VALUES IN (${n})`);
    const holder = await db.session();
    await holder.begin();
    await holder.query(`LOCK TABLE public.leaf_${n} IN ACCESS SHARE MODE`);
    holders.push(holder);
  }
  await locker.begin();
  const acquiring = acquire({
    calm: [],
    strong: [{ table: "public.parent", mode: "ACCESS EXCLUSIVE" }],
    timeoutMs: 600,
    timeoutMaxMs: 600,
    tries: 1,
  }).catch((error: unknown) => error);
  // Each leaf is given free after two thirds of the timeout: lock_timeout alone never fires, and lets all four add up.
  for (const [at, holder] of holders.entries()) {
    const left = await Promise.race([waitingFor(locker.pid), acquiring.then(() => "gave up")]);
    if (left === "gave up") break;
    expect(left).toBe(`public.leaf_${at + 1}`);
    await observer.query("SELECT pg_sleep(0.4)");
    await holder.commit();
  }
  expect(await acquiring).toMatchObject({ kind: "lock-busy" });
  expect(tries.map((t) => t.outcome)).toEqual(["timeout"]);
});

test("a VACUUM, or an autovacuum that does not yield, would end the run unnamed instead of being waited for", async () => {
  await other.begin();
  await other.query("LOCK TABLE public.live IN SHARE UPDATE EXCLUSIVE MODE");
  const writer = await db.session();
  await locker.begin();
  const acquiring = acquire({
    onTry: (attempt) => {
      tries.push(attempt);
      // It gives way after the first try: the next one gets in.
      if (tries.length === 1) void other.commit();
    },
  });
  await waitingFor(locker.pid);
  const waits = `SELECT mode FROM pg_locks WHERE NOT granted AND pid = ${locker.pid}`;
  expect(await value(writer, waits)).toBe("ShareUpdateExclusiveLock");
  // While it waits nobody else does.
  await writer.query("UPDATE public.live SET id = 2");
  await expect(acquiring).resolves.toMatchObject({ tries: 2 });
  expect(tries.map((t) => t.outcome)).toEqual(["timeout", "acquired"]);
  expect(tries[0]).toMatchObject({
    blockers: [{ pid: other.pid, query: "LOCK TABLE public.live IN SHARE UPDATE EXCLUSIVE MODE" }],
  });
});

test("a VACUUM that never ends would be waited for without end, and not named", async () => {
  await other.begin();
  await other.query("LOCK TABLE public.live IN SHARE UPDATE EXCLUSIVE MODE");
  await locker.begin();
  await expect(acquire({ tries: 1 })).rejects.toMatchObject({
    kind: "lock-busy",
    message: expect.stringContaining(`in the way: pid ${other.pid}`),
  });
});

test("what was committed while the lock was waited for would not be seen behind it", async () => {
  await other.begin();
  await other.query("UPDATE public.live SET id = 42");
  await locker.begin();
  const acquiring = acquire({ tries: 1000 });
  await waitingFor(locker.pid);
  await other.commit();
  await acquiring;
  expect(await value(locker, "SELECT id FROM public.live")).toBe("42");
});

test("a statement inside the lock would be cut off by the timeouts meant for getting it", async () => {
  await locker.begin();
  await acquire();
  expect(await value(locker, "SHOW statement_timeout")).toBe("0");
  await locker.commit();
  expect(await value(locker, "SHOW lock_timeout")).toBe("0");
});

test("a deadlock with the application would end the run instead of the try", async () => {
  await other.query("CREATE TABLE public.second (id int)");
  await other.begin();
  await other.query("LOCK TABLE public.live IN ROW EXCLUSIVE MODE");
  await locker.begin();
  // Holds `second` while it waits for `live`; the application holds `live` and asks for `second`.
  const acquiring = acquire({
    strong: [
      { table: "public.second", mode: "ACCESS EXCLUSIVE" },
      { table: "public.live", mode: "ACCESS EXCLUSIVE" },
    ],
    timeoutMs: 4000,
    timeoutMaxMs: 4000,
    tries: 1000,
  });
  await waitingFor(locker.pid);
  await Promise.all([
    other.query("LOCK TABLE public.second IN ROW EXCLUSIVE MODE").then(
      () => other.commit(),
      () => other.rollback(),
    ),
    acquiring,
  ]);
  expect(tries.at(-1)?.outcome).toBe("acquired");
});
