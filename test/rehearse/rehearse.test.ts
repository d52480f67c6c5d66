/** The rehearsal on a real server: what the planner of each version does with the new table is the point. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PartwayError } from "../../src/errors.js";
import { type RehearseHow, rehearseOn } from "../../src/rehearse/rehearse.js";
import type { Rehearsal, Rehearsed } from "../../src/rehearse/types.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { startMigration, type TestMigration } from "../support/migration.js";

let db: TestDatabase;
let m: TestMigration;
let dir: string;

beforeAll(async () => {
  db = await freshDatabase();
  dir = mkdtempSync(join(tmpdir(), "partway-rehearse-"));
  const session = await db.session();
  await session.query(`
    CREATE TABLE public.orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, customer int, status text)`);
  await session.query(`
    INSERT INTO public.orders
    SELECT n, '2025-01-01'::timestamptz + n * interval '2 hours', n % 100, 'new' FROM generate_series(1, 4000) AS n`);
  await session.query("CREATE INDEX orders_created ON public.orders (created_at)");
  await session.query("ANALYZE public.orders");
  m = await startMigration(db, { by: "created_at", every: "month", ahead: "0" });
  await expect(rehearse("SELECT 1 FROM orders")).rejects.toMatchObject({
    kind: "refused",
    next: `partway resume ${m.plan.id} --until validate`,
  });
  await m.through("index");
});
afterAll(async () => {
  await db.drop();
  rmSync(dir, { recursive: true, force: true });
});

async function rehearse(sql: string, over: Partial<RehearseHow> = {}): Promise<Rehearsal> {
  const file = join(dir, "queries.sql");
  writeFileSync(file, sql);
  const session = await db.session();
  try {
    return await rehearseOn(session, m.plan, { file, worse: 5, analyze: false, ...over });
  } finally {
    await session.end();
  }
}

async function judged(sql: string, over: Partial<RehearseHow> = {}): Promise<Rehearsed> {
  const [only, more] = (await rehearse(sql, over)).statements;
  if (only === undefined || more !== undefined) throw new Error(`not one statement: ${sql}`);
  return only;
}

const state = async () => ({
  rows: await m.session.query(
    "SELECT count(*)::text AS n, sum(hashtextextended(t::text, 0))::text AS h FROM public.orders t",
  ),
  log: await m.session.query(`SELECT count(*)::text AS n FROM ${m.sides().log}`),
  objects: await m.session.query("SELECT count(*)::text AS n FROM pg_class"),
});

test("a look-up that loses its plan and an ON CONFLICT that breaks are named, with what to write", async () => {
  const lookup = await judged("SELECT * FROM orders WHERE id = $1");
  expect(lookup).toMatchObject({ verdict: "worse", indexes: { before: ["orders_pkey"] } });
  expect(lookup.leaves?.scanned).toBe(m.plan.leaves.length);
  expect(lookup.cost?.ratio).toBeGreaterThan(5);
  expect(lookup.advice.join()).toContain("no condition on created_at");
  const upsert = await judged(
    "INSERT INTO public.orders (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET status = 'x'",
  );
  expect(upsert.verdict).toBe("breaks");
  expect(upsert.reasons.join()).toContain("42P10");
  expect(upsert.advice.join()).toContain("ON CONFLICT (id, created_at)");
});

test("a condition on the partition column leaves leaves out, by constants, by parameters and once prepared", async () => {
  for (const where of [
    "id = 5 AND created_at = '2025-03-03'",
    "id = $1 AND created_at = $2",
    "created_at BETWEEN '2025-03-03' AND '2025-03-04'",
  ])
    expect(await judged(`SELECT * FROM orders WHERE ${where}`)).toMatchObject({
      verdict: "fine",
      leaves: { scanned: 1, total: m.plan.leaves.length, prepared: 1 },
    });
  const changes = [
    "UPDATE orders SET status = $1 WHERE orders.id = $2 AND created_at = $3",
    "DELETE FROM public.orders WHERE public.orders.id = $1 AND public.orders.created_at = $2",
    "SELECT * FROM orders WHERE id = $1 AND created_at = $2 FOR UPDATE OF orders",
  ];
  for (const sql of changes)
    expect(await judged(sql)).toMatchObject({ verdict: "fine", leaves: { scanned: 1 } });
  const newest = await judged("SELECT * FROM orders ORDER BY created_at DESC LIMIT $1");
  expect(newest.verdict).toBe("fine");
});

test("a condition the planner cannot use is told from one that is missing", async () => {
  const wrapped = await judged("SELECT count(*) FROM orders WHERE id = $1 AND created_at::date = $2");
  expect(wrapped.advice.join()).toContain("inside an expression only");
  // The join's value is known row by row: with ANALYZE it shows that one leaf was opened.
  const joined =
    "SELECT o.* FROM (VALUES ('2025-03-03'::timestamptz, 732::bigint)) v (at, id), orders o WHERE o.created_at > v.at - interval '1 day' AND o.created_at <= v.at AND o.id = v.id OFFSET 0";
  const measured = await judged(joined, { analyze: true });
  expect(measured.measured).not.toBeNull();
});

test("a named constraint is the new table's own, and another meaning is said", async () => {
  const named = await judged(
    "INSERT INTO orders (id, created_at) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT orders_pkey DO NOTHING",
  );
  expect(named.reasons.join()).toContain("another meaning");
  const both = "INSERT INTO orders (id, created_at) VALUES ($1, $2) ON CONFLICT (created_at, id) DO NOTHING";
  const mended = await judged(both);
  expect(mended.verdict).toBe("fine");
  expect(mended.reasons.join()).toContain("from the cutover on only");
});

test("nothing is executed, nothing is left behind, and a lock is not waited for", async () => {
  const before = await state();
  const sql = `
    DELETE FROM orders; UPDATE orders SET status = 'gone'; TRUNCATE orders; DROP TABLE orders; COMMIT;
    INSERT INTO orders VALUES (0, now()) RETURNING xmin; SELECT nextval('x') FROM orders; SELECT 1; SELEC orders;
    WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone;`;
  const { statements } = await rehearse(sql, { analyze: true });
  expect(statements.map(({ verdict }) => verdict)).toEqual([
    ...["fine", "fine", "fine", "breaks", "unknown", "unknown", "fine"],
  ]);
  expect(await state()).toEqual(before);
  await m.session.tx(async () => {
    await m.session.query("LOCK TABLE public.orders IN SHARE ROW EXCLUSIVE MODE");
    expect((await judged("SELECT * FROM orders WHERE id = 1")).verdict).toBe("worse");
    const waits = await judged("UPDATE orders SET status = 'x' WHERE id = 1");
    expect(waits).toMatchObject({ verdict: "unknown" });
    expect(waits.reasons.join()).toContain("lock timeout");
  });
});

test("without pg_stat_statements and without a file it is said what to type", async () => {
  const error = await rehearse("", { file: null }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(PartwayError);
  expect(error).toMatchObject({ kind: "bad-input", next: expect.stringContaining("--file") });
  const none = rehearse("", { file: join(dir, "none.sql") });
  await expect(none).rejects.toMatchObject({
    kind: "bad-input",
    message: expect.stringContaining("none.sql"),
  });
});
