import { expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
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
