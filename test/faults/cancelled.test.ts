/** SQLSTATE 57014 is Partway's own timeout or somebody's pg_cancel_backend: they must not be taken for each other. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { explainFault } from "../../src/engine/faults.js";
import type { Session } from "../../src/pg/session.js";
import { makeItems, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type TestMigration, value } from "../support/migration.js";

let db: TestDatabase;
let migration: TestMigration;
beforeEach(async () => {
  db = await freshDatabase();
  await makeItems(await db.session());
  migration = await startItems(db, { lockTimeoutMs: 5_000, lockTimeoutMaxMs: 5_000 });
  await migration.through("validate");
});
afterEach(() => db.drop());

/** As if an administrator had cancelled the statement that was about to be sent. */
const cancelSelf = async (session: Session) => {
  await session.query("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(30)");
};

test.each([
  ["that waits for the lock", /^LOCK TABLE .* IN ACCESS EXCLUSIVE MODE/],
  ["inside the lock", /RENAME TO/],
])(
  "a cutover's statement %s, cancelled from outside, would be called a timeout and tried again",
  async (_what, text) => {
    migration.before(text, cancelSelf);
    const failure = await migration.run("cutover").catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "57014" });
    expect(explainFault(failure, migration.plan.id)).toMatchObject({
      kind: "stopped",
      message: expect.stringMatching(/somebody cancelled a statement of Partway from outside/),
      next: expect.stringContaining(`partway resume ${migration.plan.id}`),
    });
    expect(migration.seen("cutover")).toEqual([]);
    expect(migration.seen("log")).toEqual([]);
    const { source } = tables(migration);
    expect(
      await value(migration.session, `SELECT relkind FROM pg_class WHERE oid = '${source}'::regclass`),
    ).toBe("r");
    // And nothing stands in the way of the next try.
    await migration.run("cutover");
    expect(
      await value(migration.session, `SELECT relkind FROM pg_class WHERE oid = '${source}'::regclass`),
    ).toBe("p");
  },
);
