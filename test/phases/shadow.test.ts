/** The shadow phase (DESIGN 3.2): a bare partitioned table that the database knows of whole, or not at all. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";

let db: TestDatabase;
let app: Session;
let m: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
  await createOrders(app, 300);
  await app.query("CREATE INDEX orders_note ON public.orders (note)");
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
});
afterEach(() => db.drop());

/** Indexes, constraints (not CHECK, not NOT NULL) and triggers on the shadow and its leaves. */
async function burdens(): Promise<string[]> {
  const rows = await app.rows(
    z.object({ what: z.string() }),
    `WITH tree AS (SELECT relid FROM pg_partition_tree($1::regclass))
     SELECT 'index ' || indexrelid::regclass AS what FROM pg_index JOIN tree ON relid = indrelid
     UNION ALL SELECT 'constraint ' || conname FROM pg_constraint JOIN tree ON relid = conrelid WHERE contype NOT IN ('c', 'n')
     UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger JOIN tree ON relid = tgrelid`,
    [m.sides().lagging],
  );
  return rows.map((row) => row.what);
}

const count = (table: string) => value(app, `SELECT count(*) FROM ${table}`);

test("the copy would take three times as long: an index, key or trigger on the shadow while it is filled", async () => {
  await m.run("shadow");
  expect(await burdens()).toEqual([]);
  const during: string[][] = [];
  m.before(/INSERT INTO partway.ledger/, async () => void during.push(await burdens()), 100);
  await m.run("copy");
  expect(during.length).toBeGreaterThan(2);
  expect(during.flat()).toEqual([]);
  expect(await burdens()).toEqual([]);
  await m.run("index");
  expect((await burdens()).some((what) => what.startsWith("index"))).toBe(true);
});

test("a crash while the shadow is made would leave half a shadow that stops every resume", async () => {
  m.before(/^COMMIT/, async (session) => {
    await app.query("SELECT pg_terminate_backend($1)", [session.pid]);
  });
  await expect(m.run("shadow")).rejects.toThrow(/connection to the server lost/);
  expect(await value(app, "SELECT to_regclass($1)::text", [m.sides().lagging])).toBeNull();
  expect(await m.stored()).toMatchObject({ phase: "shadow", shadowOid: null });
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
});

test("a resume would make the shadow a second time, or lose the first", async () => {
  await m.run("shadow");
  const { shadowOid } = await m.stored();
  await m.run("copy");
  const copied = await count(m.sides().lagging);
  await m.run("shadow");
  expect(await m.stored()).toMatchObject({ shadowOid, phase: "index" });
  expect(await count(m.sides().lagging)).toBe(copied);
});

test("an orchestrator that was replaced would still make its shadow", async () => {
  const replaced = m.lease;
  await m.takeOver();
  m.lease = replaced;
  await expect(m.run("shadow")).rejects.toMatchObject({ kind: "fenced" });
  expect(await value(app, "SELECT to_regclass($1)::text", [m.sides().lagging])).toBeNull();
});

test("abort would drop a table of the same name that is not Partway's", async () => {
  await m.run("shadow");
  const { lagging } = m.sides();
  await app.query(`DROP TABLE ${lagging}; CREATE TABLE ${lagging} (theirs text)`);
  await m.run("abort");
  expect(await count(lagging)).toBe("0");
  expect(await value(app, "SELECT to_regnamespace('partway')::text")).toBeNull();
});

test("abort would leave something behind, at whatever phase it comes", async () => {
  const everything = () =>
    value(
      app,
      `SELECT string_agg(what, E'\\n' ORDER BY what) FROM (
         SELECT format('%s %s.%s %s', relkind, relnamespace::regnamespace, relname, oid) AS what FROM pg_class
          WHERE relnamespace <> 'pg_toast'::regnamespace
         UNION ALL SELECT format('function %s', oid::regprocedure) FROM pg_proc
         UNION ALL SELECT format('trigger %s on %s', tgname, tgrelid::regclass) FROM pg_trigger
         UNION ALL SELECT format('schema %s', nspname) FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)'
         UNION ALL SELECT format('type %s', oid::regtype) FROM pg_type) AS w`,
    );
  await m.run("abort");
  const before = await everything();
  for (const last of ["shadow", "copy", "index", "validate"] as const) {
    m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
    await m.through(last);
    expect(await everything()).not.toBe(before);
    await m.run("abort");
    expect(await everything()).toBe(before);
  }
});
