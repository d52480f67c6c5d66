/** Getting the lock: a guard whose absence no other test would see (see test/campaign/mutants). */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { makeItems, startItems } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterEach(() => db.drop());

test("tries without a rest in between would leave the application no time of its own", async () => {
  await makeItems(session);
  const migration = await startItems(db, { lockTimeoutMs: 400, lockTimeoutMaxMs: 400 });
  await migration.through("validate");
  const reader = await db.session();
  await reader.begin();
  await reader.query("SELECT FROM public.items LIMIT 1");
  migration.events.length = 0;
  await expect(migration.run("cutover", { lockTries: 3 })).rejects.toMatchObject({ kind: "lock-busy" });
  await reader.commit();
  const ends = migration.seen("lock-try").map((attempt) => attempt.waitedMs);
  expect(ends).toHaveLength(3);
  // A try waits for its 400 ms, and before it there was a rest of at least half as much.
  for (const [i, end] of ends.slice(1).entries()) expect(end - (ends[i] ?? end)).toBeGreaterThan(590);
});
