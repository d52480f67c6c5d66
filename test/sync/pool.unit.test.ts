import { expect, test } from "vitest";
import { CommitUnknown, type Session } from "../../src/pg/session.js";
import { fired } from "../../src/sync/drain.js";
import { runPool } from "../../src/sync/pool.js";

test("a throttled worker at rest would keep another one's failure to itself, and begin one more task", async () => {
  const [resting, failing] = [{ pid: 1 }, { pid: 2 }] as Session[];
  const began: string[] = [];
  let rests: () => void = () => undefined;
  const atRest = new Promise<void>((resolve) => {
    rests = resolve;
  });
  const pool = runPool(
    [resting, failing].filter((session) => session !== undefined),
    ["quick", "fails", "never"],
    // The first task's worker owes a rest that ends only when the pool says so.
    async (workedMs, until) => {
      if (workedMs === 0) return;
      rests();
      await fired(until);
    },
    async (_session, task) => {
      began.push(task);
      if (task === "quick") return;
      await atRest;
      throw new Error(task);
    },
  );
  await expect(pool).rejects.toThrow("fails");
  expect(began).toEqual(["quick", "fails"]);
});

test("a batch whose COMMIT is unknown would be forgotten for another worker's error, and copied again beside it", async () => {
  const sessions = [{ pid: 1 }, { pid: 2 }] as Session[];
  let fail: () => void = () => undefined;
  const failed = new Promise<void>((resolve) => {
    fail = resolve;
  });
  const pool = runPool(
    sessions,
    ["cancelled", "lost"],
    () => Promise.resolve(),
    async (_session, task) => {
      if (task === "cancelled") {
        fail();
        throw new Error("canceling statement due to user request");
      }
      await failed;
      throw new CommitUnknown("connection terminated");
    },
  );
  await expect(pool).rejects.toThrow(CommitUnknown);
});

test("a batch cut before a rest would not know what was learned meanwhile", async () => {
  let size = 10;
  let left = 20;
  const taken: number[] = [];
  await runPool(
    [{ pid: 1 }] as Session[],
    {
      get left() {
        return left;
      },
      take: () => {
        left -= size;
        return size;
      },
    },
    () => {
      if (left === 10) size = 5;
      return Promise.resolve();
    },
    (_session, blocks) => {
      taken.push(blocks);
      return Promise.resolve();
    },
  );
  expect(taken).toEqual([10, 5, 5]);
});

test("a worker at rest would keep the phase waiting when another one has taken the last task", async () => {
  let asked = 0;
  const who: number[] = [];
  await runPool(
    [{ pid: 1 }, { pid: 2 }] as Session[],
    ["a", "b"],
    async (_workedMs, until) => {
      asked += 1;
      // The second one would rest for ever: nobody releases it but the pool.
      if (asked === 2) await fired(until);
    },
    (session) => {
      who.push(session.pid);
      return Promise.resolve();
    },
  );
  expect(who).toEqual([1, 1]);
});
