/** After the swap the sequences are looked at: that must neither end the run nor hand out an id twice. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { startMigration, type TestMigration, value } from "../support/migration.js";

let db: TestDatabase;
let session: Session;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterEach(() => db.drop());

async function migrate(column: string, sequence: string): Promise<TestMigration> {
  await session.query(`CREATE SEQUENCE public.ids ${sequence}`);
  await session.query(
    `CREATE TABLE public.orders (id ${column} PRIMARY KEY, created_at timestamptz NOT NULL)`,
  );
  await session.query("ALTER SEQUENCE public.ids OWNED BY public.orders.id");
  await session.query(
    "INSERT INTO public.orders (created_at) SELECT timestamptz '2025-06-01 00:00:00+00' + n * interval '1 day' FROM generate_series(1, 50) AS n",
  );
  return startMigration(db, { by: "created_at", every: "month" });
}

const cutOver = async (migration: TestMigration) => {
  await migration.through("cutover");
  expect(await migration.stored()).toMatchObject({ phase: "retain" });
};

test("a key that is no number, made of a sequence, would stop every run after the cutover", async () => {
  await cutOver(await migrate("text DEFAULT 'o' || nextval('public.ids')", ""));
});

test("a sequence that ends below the largest key would stop every run after the cutover", async () => {
  const migration = await migrate("bigint DEFAULT nextval('public.ids')", "AS integer");
  await session.query("INSERT INTO public.orders VALUES (3000000000, '2025-06-05')");
  await cutOver(migration);
  expect(migration.seen("log").map((event) => event.message)).toContainEqual(
    expect.stringContaining("sequence ids ends below the largest key"),
  );
});

test("a sequence would be set back while the application draws from it, and give an id twice", async () => {
  const migration = await migrate("bigint DEFAULT nextval('public.ids')", "");
  await session.query("INSERT INTO public.orders VALUES (52, '2025-06-05')");
  const drawn: (string | null)[] = [];
  migration.before(/(setval|nextval)\('"public"/, async () => {
    for (let i = 0; i < 5; i++) drawn.push(await value(session, "SELECT nextval('public.ids')::text"));
  });
  await cutOver(migration);
  const next = await value(session, "SELECT nextval('public.ids')::text");
  expect(drawn).toHaveLength(5);
  expect(drawn).not.toContain(next);
  expect(Number(next)).toBeGreaterThan(55);
});
