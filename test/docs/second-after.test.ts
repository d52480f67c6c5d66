/**
 * What an operator would lose: the end of a rollback asked for at the screen (README, step 8). Leaving the window ends
 * what its connections still do, a second later; by then the rollback has taken over, and it is not to be hit.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { run } from "../../src/api.js";
import { freshDatabase } from "../support/database.js";

test("a rollback asked for in the window is not cut off a second later", async () => {
  const db = await freshDatabase();
  const state = mkdtempSync(join(tmpdir(), "partway-second-"));
  try {
    const session = await db.session();
    await session.query(
      "CREATE TABLE public.orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())",
    );
    const running = await run({
      table: "orders",
      by: "created_at",
      every: "month",
      url: db.ownerUrl,
      state,
      backup: false,
      hold: true,
      holdBudget: "30s",
    });
    await new Promise<void>((resolve) => {
      running.onEvent(({ event }) => {
        if (event === "window") resolve();
      });
    });
    // A lock that only the last step of a rollback needs: forgetting the migration then takes longer than a second.
    await session.begin({});
    await session.query("SELECT FROM partway.ledger");
    const failed = new Promise<void>((resolve) => {
      running.onEvent((event) => {
        if (event.event === "phase" && event.phase === "rollback" && event.status === "failed") resolve();
      });
    });
    expect(running.command("rollback")).toBeNull();
    await Promise.race([failed, sleep(3000)]);
    await session.rollback();
    const { outcome, error } = await running.finished;
    expect(error).toBeNull();
    expect(outcome).toBe("rolled-back");
  } finally {
    rmSync(state, { recursive: true, force: true });
    await db.drop();
  }
});
