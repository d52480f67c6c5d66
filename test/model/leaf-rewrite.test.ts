/**
 * What the model's LEAF_REWRITE found, on a real server: a `LOCK TABLE ONLY parent` would not keep a rewrite of one leaf
 * away from a reverse apply. To its snapshot the rewritten leaf is empty (PostgreSQL, "MVCC caveats"), so the pair goes
 * from the retired table, no live row comes in, and the log row is forgotten.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { SQLSTATE, sqlState } from "../../src/pg/sqlstate.js";
import { applyOnce } from "../../src/sync/apply.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, startMigration, type TestMigration, value } from "../support/migration.js";

let db: TestDatabase;
let app: Session;
let m: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
  await createOrders(app, 200);
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await m.through("cutover");
});
afterEach(() => db.drop());

const retired = () => value(app, `SELECT count(*) FROM ${m.sides("reverse").lagging} WHERE id = 5`);

/** One reverse apply of row 5, changed or deleted; `ddl` comes between its snapshot and its statements. */
async function applyWith(
  ddl: (leaf: string) => string,
  change = "UPDATE public.orders SET note = 'changed' WHERE id = 5",
): Promise<void> {
  const leaf = await value(app, "SELECT tableoid::regclass::text FROM public.orders WHERE id = 5");
  await app.query(change);
  const context = m.context();
  try {
    const applier = await context.open();
    // The lock that the apply holds is what keeps the rewrite out: it gives up, instead of emptying the snapshot.
    await app.query("SET lock_timeout = '300ms'");
    m.before(/^DELETE FROM .*_retired/, () =>
      app.query(ddl(String(leaf))).then(
        () => undefined,
        (error: unknown) => {
          if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
        },
      ),
    );
    const options = { plan: m.plan, sides: m.sides("reverse"), lease: m.lease, limit: 5000 };
    await applyOnce(applier, options).catch(() => applyOnce(applier, options));
  } finally {
    await context.close();
  }
}

test("a row of a leaf that is touched during a reverse apply stays in the retired table", async () => {
  await applyWith((leaf) => `COMMENT ON TABLE ${leaf} IS 'touched'`);
  expect(await retired()).toBe("1");
});

test("a row of a leaf that is rewritten during a reverse apply stays in the retired table", async () => {
  await applyWith((leaf) => `ALTER TABLE ${leaf} SET UNLOGGED`);
  expect(await retired()).toBe("1");
});

test("a deleted row does not stay in a retired table that is rewritten during a reverse apply", async () => {
  const rewrite = `ALTER TABLE ${m.sides("reverse").lagging} SET UNLOGGED`;
  await applyWith(() => rewrite, "DELETE FROM public.orders WHERE id = 5");
  expect(await retired()).toBe("0");
});
