/** What the operator is told at the end must be what happened. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { proceed, run } from "../../src/api.js";
import { EXIT } from "../../src/errors.js";
import { list, verify } from "../../src/inspect.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders } from "../support/migration.js";

let db: TestDatabase;
let session: Session;
let state: string;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  await createOrders(session, 300);
  state = mkdtempSync(join(tmpdir(), "partway-review-"));
});
afterEach(async () => {
  await db.drop();
  rmSync(state, { recursive: true });
});

const start = (more: Partial<Parameters<typeof run>[0]> = {}) =>
  run({ table: "orders", by: "created_at", every: "month", url: db.ownerUrl, state, backup: false, ...more });

test("a row that no leaf can hold would be reported as a stop by the operator", async () => {
  const running = await start({
    confirm: async () => {
      await session.query("INSERT INTO public.orders (created_at) VALUES ('infinity')");
      return true;
    },
  });
  const { error } = await running.finished;
  expect(error?.message).toMatch(/partition value infinity fits no leaf/);
});

test("a rollback resumed against another database would be called done", async () => {
  await (await start()).finished;
  const reader = await db.session();
  await reader.begin();
  await reader.query("SELECT count(*) FROM public.orders");
  const blocked = await proceed("rollback", { url: db.ownerUrl, state, lockTries: "1", lockTimeout: "20ms" });
  expect(await blocked.finished).toMatchObject({ exitCode: EXIT.lockBusy });
  const other = await freshDatabase();
  await expect(proceed("rollback", { url: other.ownerUrl, state })).rejects.toMatchObject({
    kind: "bad-input",
  });
  await other.drop();
  expect(list({ state })).toMatchObject([{ outcome: "failed" }]);
  await reader.rollback();
  const again = await proceed("rollback", { url: db.ownerUrl, state });
  expect(await again.finished).toMatchObject({ outcome: "rolled-back" });
});

test("a TRUNCATE that is still to be followed would be called a failure nobody foresaw", async () => {
  await (await start()).finished;
  await session.query("TRUNCATE public.orders");
  await expect(verify({ url: db.ownerUrl, state })).rejects.toMatchObject({
    kind: "refused",
    message: expect.stringContaining("has not followed yet"),
  });
  await (await proceed("resume", { url: db.ownerUrl, state })).finished;
  expect(await verify({ url: db.ownerUrl, state })).toMatchObject({ equal: true, live: { rows: 0 } });
});
