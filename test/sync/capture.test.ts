/** Capture (DESIGN 3.1): a change that is not in the log is a change that the new table never gets. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { catchUpReverse } from "../../src/sync/reverse.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, startMigration, type TestMigration, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
let app: Session;
let m: TestMigration;

const stage = stages(async (last: "copy" | "cutover") => {
  const original = await freshDatabase();
  await createOrders(await original.session(), 100);
  const made = await startMigration(original, { by: "created_at", every: "quarter", ahead: "0" });
  await made.through(last);
  return made;
});
const behind = async (last: "copy" | "cutover") => {
  m = await stage(last);
  ({ db } = m);
  app = await db.session();
};
beforeEach(() => behind("copy"));
afterEach(() => db.drop());

/** The pair of row `id` as the log would show it. */
async function pairOf(id: number): Promise<string> {
  return (await value(app, `SELECT ROW(id, created_at)::text FROM public.orders WHERE id = ${id}`)) ?? "none";
}

async function logged(direction: "forward" | "reverse" = "forward"): Promise<string[]> {
  return (await m.log(direction)).map((row) => (row.op === "t" ? "truncate" : row.pair));
}

test("an update in place would be lost", async () => {
  await app.query("UPDATE public.orders SET note = NULL WHERE id = 5");
  expect(await logged()).toEqual([await pairOf(5)]);
});

test("a changed key would leave the row under its old key as well", async () => {
  const before = await pairOf(5);
  await app.query("UPDATE public.orders SET id = 1005 WHERE id = 5");
  expect(await logged()).toEqual([before, await pairOf(1005)]);
});

test("a row moved to another month would stand in both", async () => {
  const before = await pairOf(5);
  await app.query("UPDATE public.orders SET created_at = created_at + interval '6 months' WHERE id = 5");
  expect(await logged()).toEqual([before, await pairOf(5)]);
});

test("a row that changes key and month at once would be lost under the new pair or kept under the old", async () => {
  const before = await pairOf(5);
  await app.query("UPDATE public.orders SET id = 1005, created_at = '2025-12-24 12:00+00' WHERE id = 5");
  expect(await logged()).toEqual([before, '(1005,"2025-12-24 12:00:00+00")']);
});

test("inserted rows would be missing, deleted rows would come back", async () => {
  const before = await pairOf(7);
  await app.query("DELETE FROM public.orders WHERE id = 7");
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (777, '2025-02-02 00:00+00')");
  expect(await logged()).toEqual([before, '(777,"2025-02-02 00:00:00+00")']);
});

test("every row of a statement that writes many would be lost but one", async () => {
  await app.query("UPDATE public.orders SET amount = amount + 1 WHERE id <= 30");
  expect(new Set(await logged()).size).toBe(30);
});

test("a rolled back change would be followed", async () => {
  await app.begin();
  await app.query("DELETE FROM public.orders");
  await app.rollback();
  expect(await logged()).toEqual([]);
});

test("an application's data would lie readable in a second table", async () => {
  await app.query("UPDATE public.orders SET note = 'secret 4711' WHERE id = 5");
  const text = await value(app, `SELECT string_agg(l::text, ' ') FROM ${m.sides().log} AS l`);
  expect(text).not.toContain("4711");
  const columns = await app.rows(
    z.object({ name: z.string() }),
    "SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum",
    [m.sides().log],
  );
  expect(columns.map((c) => c.name)).toEqual(["partway_seq", "partway_op", "id", "created_at"]);
});

test("a subscription's writes would be lost (session_replication_role = replica)", async () => {
  const replica = await db.session(db.superuserUrl);
  await replica.query("SET session_replication_role = replica");
  const before = await pairOf(9);
  await replica.query("UPDATE public.orders SET note = 'from a publisher' WHERE id = 9");
  await replica.query("DELETE FROM public.orders WHERE id = 9");
  await replica.query("TRUNCATE public.orders");
  expect(await logged()).toEqual([before, before, "truncate"]);
});

test("TRUNCATE of the source would leave its rows in the new table", async () => {
  await app.query("TRUNCATE public.orders");
  expect(await logged()).toEqual(["truncate"]);
});

test("an application without rights on schema partway could no longer write", async () => {
  const role = ident(`app_${db.name}`);
  const other = await db.session(db.superuserUrl);
  await other.query(`CREATE ROLE ${role}`);
  await other.query(`GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON public.orders TO ${role}`);
  await other.query(`SET ROLE ${role}`);
  const refusal = await other.query(`SELECT FROM ${m.sides().log}`).catch((error: unknown) => String(error));
  expect(refusal).toMatch(/permission denied for schema partway/);
  const before = await pairOf(3);
  await other.query("INSERT INTO public.orders (id, created_at) VALUES (555, '2025-02-02 00:00+00')");
  await other.query("UPDATE public.orders SET note = 'theirs' WHERE id = 3");
  await other.query("DELETE FROM public.orders WHERE id = 3");
  await other.query("TRUNCATE public.orders");
  await other.query(`RESET ROLE; DROP OWNED BY ${role}; DROP ROLE ${role}`);
  expect(await logged()).toEqual(['(555,"2025-02-02 00:00:00+00")', before, before, "truncate"]);
});

test("an application's own operators could hide a key change, or run as the owner", async () => {
  await app.query(`CREATE SCHEMA hostile;
    CREATE FUNCTION hostile.same(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR hostile.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.same);
    SET search_path = hostile, pg_catalog`);
  const before = await pairOf(100);
  await app.query("UPDATE public.orders SET id = 2000 WHERE id OPERATOR(pg_catalog.=) 100");
  await app.query("SET search_path = ''");
  expect(await logged()).toEqual([before, await pairOf(2000)]);
});

test("the first statement after Partway's own transaction on a pooled connection would be lost", async () => {
  await app.begin();
  await app.query(`SET LOCAL partway.applier = '${m.plan.nonce}'`);
  await app.query("UPDATE public.orders SET note = 'an echo' WHERE id = 1");
  await app.commit();
  expect(await value(app, "SELECT current_setting('partway.applier', true)")).toBe("");
  await app.query("UPDATE public.orders SET note = 'a write' WHERE id = 2");
  expect(await logged()).toEqual([await pairOf(2)]);
});

test("the writes of another migration's applier would be lost", async () => {
  await app.begin();
  await app.query("SET LOCAL partway.applier = 'another nonce'");
  await app.query("UPDATE public.orders SET note = 'cascaded' WHERE id = 1");
  await app.commit();
  expect(await logged()).toEqual([await pairOf(1)]);
});

test("Partway's own applying would be logged for the way back and applied again for ever", async () => {
  await m.through("index");
  await app.query("UPDATE public.orders SET created_at = created_at + interval '100 days' WHERE id <= 20");
  await app.query("DELETE FROM public.orders WHERE id = 30");
  await m.run("ready");
  expect(await logged()).toEqual([]);
  expect(await logged("reverse")).toEqual([]);
});

test("Partway's rebuilding of the retired table would be taken for the application's TRUNCATE", async () => {
  await m.through("cutover");
  await app.query("TRUNCATE public.orders");
  expect(await logged("reverse")).toContain("truncate");
  const context = m.context();
  await catchUpReverse(await context.open(), context);
  await context.close();
  expect(await value(app, `SELECT count(*) FROM ${m.sides("reverse").lagging}`)).toBe("0");
  expect(await logged("reverse")).toEqual([]);
  expect(await logged("forward")).toEqual([]);
});

test("TRUNCATE of the new table, or of one leaf, would leave its rows in the retired one", async () => {
  await m.through("cutover");
  await app.query("TRUNCATE public.orders_2025_q2");
  expect(await logged("reverse")).toEqual(["truncate"]);
  await app.query("TRUNCATE public.orders");
  const all = await logged("reverse");
  expect(new Set(all)).toEqual(new Set(["truncate"]));
  expect(all.length).toBeGreaterThan(1);
});

test("a change through the new table, or straight into a leaf, would be lost to rollback", async () => {
  await m.through("cutover");
  const before = await pairOf(5);
  await app.query("UPDATE public.orders SET created_at = '2025-12-01 00:00+00' WHERE id = 5");
  await app.query("UPDATE public.orders_2025_q4 SET note = 'direct' WHERE id = 5");
  // A row that moves to another leaf is a delete and an insert for its triggers.
  expect(await logged("reverse")).toEqual([before, await pairOf(5), await pairOf(5)]);
});

test("a subscription's writes to a leaf, also to one attached later, would be lost to rollback", async () => {
  await m.through("cutover");
  await app.query(
    "CREATE TABLE public.late PARTITION OF public.orders FOR VALUES FROM ('2031-01-01') TO ('2031-04-01')",
  );
  await app.query("CREATE TABLE public.attached (LIKE public.orders INCLUDING DEFAULTS)");
  await app.query(
    "ALTER TABLE public.orders ATTACH PARTITION public.attached FOR VALUES FROM ('2032-01-01') TO ('2032-04-01')",
  );
  const replica = await db.session(db.superuserUrl);
  await replica.query("SET session_replication_role = replica");
  await replica.query(`INSERT INTO public.orders (id, created_at)
    VALUES (601, '2025-02-02 00:00+00'), (602, '2031-02-02 00:00+00'), (603, '2032-02-02 00:00+00')`);
  await replica.query("DELETE FROM public.orders_2025_q1 WHERE id = 601");
  await replica.query("DELETE FROM public.late WHERE id = 602");
  await replica.query("DELETE FROM public.attached WHERE id = 603");
  const pairs = [
    '(601,"2025-02-02 00:00:00+00")',
    '(602,"2031-02-02 00:00:00+00")',
    '(603,"2032-02-02 00:00:00+00")',
  ];
  expect(await logged("reverse")).toEqual([...pairs, ...pairs]);
});
