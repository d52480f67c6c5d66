/**
 * Whoever sits on the table, cutover and rollback must not make the application wait: no statement of it waits for a
 * lock longer than the longest lock timeout and the hold budget together. Waits are the server's own (pg_locks.waitstart).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { SAME, type TestMigration } from "../support/migration.js";
import { type Hostile, openHostile } from "./scene.js";

const POLL = { timeout: 120_000, interval: 20 };
const SETTINGS = { lockTimeoutMs: 60, lockTimeoutMaxMs: 300, holdBudgetMs: 2000, lockTries: 400 };
const BOUND_MS = SETTINGS.lockTimeoutMaxMs + SETTINGS.holdBudgetMs;

let scene: Hostile;
let migration: TestMigration;
let clients: Session[];
let stop: AbortController;
let running: Promise<unknown>[];

beforeEach(async () => {
  scene = await openHostile();
  migration = await scene.start({ settings: SETTINGS });
  clients = [];
  running = [];
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await scene.db.drop();
});

/** A client of the application that writes one row after the other until the end. */
async function client(statement: (n: number) => string, holdMs: number): Promise<void> {
  const session = await scene.db.session();
  clients.push(session);
  const work = async () => {
    for (let n = 0; !stop.signal.aborted; n++)
      await session.tx(async () => {
        await session.query(statement(n));
        if (holdMs > 0) await session.query("SELECT pg_sleep($1::float8 / 1000)", [holdMs]);
      });
  };
  running.push(work());
}

const LONGEST_SQL = `
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)) * 1000, 0)::text AS ms
  FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND pid = ANY ($1::int[])`;

/** Looks at the clients' waits until the end; gives the longest. */
async function watchWaits(): Promise<() => Promise<number>> {
  const observer = await scene.db.session();
  const ended = new AbortController();
  let longest = 0;
  const look = async () => {
    while (!ended.signal.aborted) {
      const pids = `{${clients.map((c) => c.pid).join(",")}}`;
      const { ms } = await observer.one(z.object({ ms: z.coerce.number() }), LONGEST_SQL, [pids]);
      longest = Math.max(longest, ms);
      await sleep(10);
    }
  };
  const looking = look();
  return async () => {
    ended.abort();
    await looking;
    return longest;
  };
}

const tries = () => migration.seen("lock-try").filter((t) => /cutover|rollback/.test(t.purpose));

/** Somebody sits on the table until long after the bound; the application goes on; then the swap gets in. */
async function satOn(swap: "cutover" | "rollback", sitter: Session): Promise<void> {
  const swapping = migration.run(swap).then(
    () => null,
    (error: unknown) => error,
  );
  const started = performance.now();
  await expect
    .poll(() => tries().length >= 8 && performance.now() - started > 1.5 * BOUND_MS, POLL)
    .toBe(true);
  expect(tries().at(-1)).toMatchObject({
    outcome: "timeout",
    blockers: [expect.objectContaining({ pid: sitter.pid })],
  });
  expect(tries().at(-1)?.blockers[0]?.ageSeconds).toBeGreaterThan(BOUND_MS / 1000);
  await sitter.commit();
  expect(await swapping).toBeNull();
}

test("a long reader at cutover and a long writer at rollback would make the application stand", async () => {
  await migration.through("validate");
  for (let c = 0; c < 4; c++)
    await client(
      (n) => `UPDATE public.orders SET amount = amount + 1 WHERE id = ${1 + ((n * 4 + c) % 100)}`,
      0,
    );
  const waits = await watchWaits();
  const reader = await scene.db.session();
  await reader.begin();
  await reader.query("SELECT count(*) FROM public.orders");
  await satOn("cutover", reader);
  expect(await scene.kind()).toBe("p");
  const writer = await scene.db.session();
  await writer.begin();
  await writer.query("UPDATE public.orders SET note = 'long' WHERE id = 150");
  await satOn("rollback", writer);
  const longest = await waits();
  expect(longest).toBeGreaterThan(0);
  expect(longest).toBeLessThan(BOUND_MS);
  stop.abort();
  await Promise.all(running);
  expect(await scene.rows()).toContain("long");
});

test("writers of 50 to 500 ms, and many short ones, would keep the cutover out for ever, or stand behind it", async () => {
  await migration.through("validate");
  for (const [c, holdMs] of [50, 120, 250, 500].entries())
    await client(
      (n) => `UPDATE public.orders SET amount = amount + 1 WHERE id = ${1 + c * 30 + (n % 30)}`,
      holdMs,
    );
  for (let c = 0; c < 12; c++)
    await client(
      (n) => `INSERT INTO public.orders (created_at, note) VALUES ('2025-05-05', 'short ${c}.${n}')`,
      1,
    );
  const waits = await watchWaits();
  await migration.run("cutover");
  const longest = await waits();
  expect(longest).toBeLessThan(BOUND_MS);
  expect(tries().at(-1)).toMatchObject({ outcome: "acquired" });
  stop.abort();
  await Promise.all(running);
  await migration.run("retain");
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("a reader that never ends would be waited for for ever, or the run end without a name", async () => {
  await migration.through("validate");
  const reader = await scene.db.session();
  await reader.begin();
  await reader.query("SELECT count(*) FROM public.orders");
  await expect(migration.run("cutover", { lockTries: 3 })).rejects.toMatchObject({
    exitCode: EXIT.lockBusy,
    message: expect.stringMatching(
      new RegExp(`in the way: pid ${reader.pid} .*open [0-9.]+ s\\): SELECT count`),
    ),
  });
  await reader.commit();
  await migration.run("cutover");
  expect(await scene.kind()).toBe("p");
});
