import { expect, test } from "vitest";
import { APPLIERS, Brake } from "../../src/throttle/brake.js";
import type { RunEventBody } from "../../state/events.js";

const LAG = { signal: "replica-lag", reason: "replica lag 7.2 s >= 5 s" } as const;
const BUSY = { signal: "active", reason: "active sessions 9 >= 5" } as const;

function braked(isWatched = true) {
  const told: RunEventBody[] = [];
  const brake = new Brake(isWatched, (event) => told.push(event));
  const never = new AbortController().signal;
  /** Whether it has been let through, once everything that can move has moved. */
  const pass = (waiting: Promise<void>) => {
    let passed = false;
    waiting.then(
      () => {
        passed = true;
      },
      () => undefined,
    );
    return async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return passed;
    };
  };
  return { brake, told, never, pass };
}

test("heavy work waits while a signal is bad, goes on at the first good reading, and both are told once", async () => {
  const { brake, told, never, pass } = braked();
  brake.set([LAG]);
  expect(told).toEqual([]);
  const one = pass(brake.work(never, never));
  const two = pass(brake.work(never, never));
  expect([await one(), await two()]).toEqual([false, false]);
  brake.set([{ ...LAG, reason: "replica lag 9 s >= 5 s" }]);
  expect(await one()).toBe(false);
  expect(brake.holding).toEqual([{ ...LAG, reason: "replica lag 9 s >= 5 s" }]);
  brake.set([LAG, BUSY]);
  brake.set([]);
  expect([await one(), await two()]).toEqual([true, true]);
  expect(told).toEqual([
    { event: "throttled", reasons: [LAG] },
    { event: "throttled", reasons: [LAG, BUSY] },
    { event: "released", reason: `${LAG.reason}; ${BUSY.reason}`, ms: expect.any(Number) },
  ]);
});

test("nothing begins before the first reading; with nothing to look at nothing waits", async () => {
  const { brake, told, never, pass } = braked();
  const waiting = pass(brake.work(never, never));
  expect(await waiting()).toBe(false);
  brake.set([]);
  expect(await waiting()).toBe(true);
  expect(told).toEqual([]);
  const free = braked(false);
  expect(await free.pass(free.brake.work(never, never))()).toBe(true);
});

test("a stop ends the waiting with its error, another task's failure without one", async () => {
  const { brake, told, never } = braked();
  brake.set([LAG]);
  const stop = new AbortController();
  const failed = new AbortController();
  const stopped = brake.work(stop.signal, stop.signal);
  const ended = brake.work(never, failed.signal);
  stop.abort(new Error("stopped"));
  failed.abort();
  await expect(stopped).rejects.toThrow("stopped");
  await expect(ended).resolves.toBeUndefined();
  expect(told.map(({ event }) => event)).toEqual(["throttled", "released"]);
});

test("an applier that follows is slowed by what it causes itself, and by nothing else", async () => {
  const { brake, told, never, pass } = braked();
  expect([...APPLIERS].sort()).toEqual(["checkpoint-wal", "replica-lag", "wal-rate"]);
  brake.set([BUSY, { signal: "between", reason: "outside" }, { signal: "monitor", reason: "away" }]);
  expect(await pass(brake.follower(never, never))()).toBe(true);
  expect(told).toEqual([]);
  brake.set([LAG, BUSY]);
  const slowed = pass(brake.follower(never, never));
  expect(await slowed()).toBe(false);
  expect(told).toEqual([{ event: "throttled", reasons: [LAG] }]);
  // The cutover asks for the end of the following.
  const until = new AbortController();
  const asked = pass(brake.follower(never, until.signal));
  until.abort();
  expect(await asked()).toBe(true);
  brake.set([BUSY]);
  expect(await slowed()).toBe(true);
});
