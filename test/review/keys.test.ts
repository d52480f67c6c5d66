/** Key columns whose type is not a plain built-in one: the change log must take them, and what a TRUNCATE writes. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { planFor, SAME, startMigration, value } from "../support/migration.js";

let db: TestDatabase;
let session: Session;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterEach(() => db.drop());

async function fill(idType: string): Promise<void> {
  await session.query(
    `CREATE TABLE public.orders (id ${idType} PRIMARY KEY, created_at timestamptz NOT NULL, note text)`,
  );
  await session.query(
    `INSERT INTO public.orders SELECT 'k' || n, timestamptz '2025-06-01 00:00:00+00' + n * interval '1 hour', 'n' || n
       FROM generate_series(1, 500) AS n`,
  );
}

const MONTHS = { by: "created_at", every: "month" };

test("a key of a domain that is NOT NULL would make the application's TRUNCATE fail", async () => {
  await session.query("CREATE DOMAIN public.code AS text NOT NULL CHECK (VALUE <> '')");
  await fill("public.code");
  const migration = await startMigration(db, MONTHS);
  await migration.through("copy");
  await session.query("TRUNCATE public.orders");
  await session.query("INSERT INTO public.orders VALUES ('after', '2025-06-02', 'x')");
  await migration.through("cutover");
  await session.query("TRUNCATE public.orders");
  expect(await value(session, "SELECT count(*)::text FROM public.orders")).toBe("0");
});

test("a domain as key and as hash partition column would not be found in the change log", async () => {
  await session.query("CREATE DOMAIN public.code AS text NOT NULL");
  await fill("public.code");
  const migration = await startMigration(db, { by: "id", hash: "4" });
  await migration.run("shadow");
  migration.before(/^INSERT INTO partway.ledger/, async () => {
    await session.query("UPDATE public.orders SET note = 'changed' WHERE note < 'n3'");
  });
  await migration.through("validate");
  expect(await migration.difference()).toEqual(SAME);
});

test("a key whose operators belong to an extension would make the application's writes fail, or lose renamed keys", async () => {
  const admin = await db.session(db.superuserUrl);
  for (const type of ["citext", "ltree"]) {
    await admin.query(`CREATE EXTENSION ${type} SCHEMA public`);
    await session.query(
      `CREATE TABLE public.by_${type} (id public.${type} PRIMARY KEY, created_at timestamptz NOT NULL)`,
    );
    const { refusals } = await planFor(session, { table: `public.by_${type}`, ...MONTHS });
    expect(refusals.map((refusal) => refusal.code)).toEqual(["key-of-extension-type"]);
  }
});
