/** The planner of each version decides which leaves are left out, and when: so it is asked. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ExplainedStatement, ExplainedTable } from "../../src/explain/types.js";
import { type ExplainOptions, explainStatements } from "../../src/explain.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;

beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  for (const sql of [
    "CREATE TABLE public.orders (id bigint, at timestamptz NOT NULL, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
    ...Array.from({ length: 12 }, (_, month) => {
      const [from, to] = [month, month + 1].map((n) => new Date(Date.UTC(2025, n)).toISOString());
      return `CREATE TABLE public.orders_${month + 1} PARTITION OF public.orders FOR VALUES FROM ('${from}') TO ('${to}')`;
    }),
    "INSERT INTO public.orders SELECT n, '2025-01-01'::timestamptz + n * interval '8 hours', 'x' FROM generate_series(0, 1000) AS n",
    'CREATE TABLE public.items (id bigint, "Region" text, at timestamptz) PARTITION BY LIST ("Region")',
    "CREATE TABLE public.items_eu PARTITION OF public.items FOR VALUES IN ('eu', 'ch')",
    "CREATE TABLE public.items_us PARTITION OF public.items FOR VALUES IN ('us')",
    "CREATE TABLE public.users (id bigint, at date) PARTITION BY HASH (id)",
    "CREATE TABLE public.users_0 PARTITION OF public.users FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    "CREATE TABLE public.users_1 PARTITION OF public.users FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY RANGE (at)",
    "CREATE TABLE public.users_1_a PARTITION OF public.users_1 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "CREATE TABLE public.users_1_b PARTITION OF public.users_1 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "CREATE VIEW public.recent AS SELECT * FROM public.orders WHERE note <> ''",
    "CREATE TABLE public.plain (id bigint, at timestamptz)",
    "ANALYZE",
  ])
    await session.query(sql);
});
afterAll(() => db.drop());

async function explained(sql: string, over: Partial<ExplainOptions> = {}): Promise<ExplainedStatement> {
  const [one] = (await explainStatements({ url: db.ownerUrl, sql, ...over })).statements;
  if (one === undefined || "error" in one) throw new Error(`not explained: ${sql}`);
  return one;
}
async function table(sql: string, over: Partial<ExplainOptions> = {}): Promise<ExplainedTable> {
  const [only, more] = (await explained(sql, over)).tables;
  if (only === undefined || more !== undefined) throw new Error(`not one partitioned table: ${sql}`);
  return only;
}

test("a query without the key would scan every leaf, and nobody would say which condition is missing", async () => {
  expect(await table("SELECT * FROM orders WHERE id = 7")).toMatchObject({
    ...{ table: "public.orders", strategy: "range", key: "RANGE (at)", column: "at" },
    ...{ total: 12, planned: 12, opened: 12, read: null, condition: "absent" },
    advice: expect.stringContaining(
      "no condition on at, so every leaf is read. Add one: AND at >= '2025-12-01 00:00:00+00' AND at < '2026-01-01 00:00:00+00'",
    ),
  });
  expect((await table("SELECT * FROM orders WHERE date_trunc('day', at) = '2025-02-01'")).advice).toContain(
    "at stands inside an expression only",
  );
  expect((await table("SELECT * FROM items WHERE id = 1")).advice).toContain(`AND "Region" = 'eu'`);
  expect((await table("SELECT * FROM users WHERE at = '2025-05-05'")).advice).toBeNull();
  expect((await table("SELECT * FROM users")).advice).toContain("AND id = ...");
});

test("leaves left out by the planner, at the start, and never reached would be counted as one", async () => {
  const planned = await table("SELECT * FROM orders WHERE at >= '2025-03-01' AND at < '2025-05-01'");
  expect(planned).toMatchObject({
    ...{ planned: 2, opened: 2, advice: null, leaves: ["public.orders_3", "public.orders_4"] },
  });
  const atStart = await table(
    "SELECT * FROM orders WHERE at >= now() - interval '200 years' AND at < now() - interval '100 years'",
  );
  expect(atStart).toMatchObject({ planned: 12, opened: 0, advice: null });
  const sql = "SELECT * FROM orders WHERE at = (SELECT max(at) FROM plain)";
  expect(await table(sql)).toMatchObject({ planned: 12, opened: 12, condition: "compared" });
  expect(await table(sql, { analyze: true })).toMatchObject({
    planned: 12,
    opened: 12,
    read: 0,
    advice: null,
  });
  expect((await explained("SELECT count(*) FROM orders", { analyze: true })).measured?.blocks).toMatchObject({
    hit: expect.any(Number),
  });
});

test("placeholders would be explained for values that nobody gave", async () => {
  const sql = "SELECT * FROM orders WHERE at = $1 AND id = $2";
  expect(await explained(sql)).toMatchObject({
    ...{ generic: true, parameters: ["timestamp with time zone", "bigint"] },
    tables: [{ planned: 12, opened: null, prepared: null, advice: null }],
  });
  const given = await explained(sql, { param: ["2025-03-03", "7"] });
  expect(given).toMatchObject({ generic: false, tables: [{ planned: 1, opened: 1, prepared: 1 }] });
  expect((await table("SELECT * FROM orders WHERE id = $1")).advice).toContain("no condition on at");
  expect(await table("SELECT * FROM orders WHERE at = $1", { param: ["\\N"] })).toMatchObject({ opened: 0 });
  await expect(explained(sql, { param: ["2025-03-03"] })).rejects.toMatchObject({
    ...{ kind: "bad-input", next: expect.stringContaining("--param <1> <2>") },
  });
  await expect(explained(sql, { analyze: true })).rejects.toMatchObject({ kind: "bad-input" });
});

test("a table read through a view, another table's column of the same name, or leaves below leaves would be missed", async () => {
  expect(await table("SELECT * FROM recent WHERE at < '2024-01-01'")).toMatchObject({
    planned: 0,
    total: 12,
  });
  expect(await table("SELECT * FROM recent WHERE id = 1")).toMatchObject({
    planned: 12,
    condition: "absent",
  });
  const join = "SELECT * FROM orders o JOIN plain p ON p.id = o.id WHERE p.at > '2025-06-01'";
  expect(await table(join)).toMatchObject({ planned: 12, condition: "absent" });
  const both = await explained("SELECT * FROM orders, items WHERE orders.at = now() - interval '100 years'");
  expect(both.tables.map(({ table: name, planned, opened }) => [name, planned, opened])).toEqual([
    ["public.items", 2, 2],
    ["public.orders", 12, 0],
  ]);
  expect(await table("SELECT * FROM users WHERE at >= '2026-02-02'")).toMatchObject({ total: 3, planned: 2 });
  const hidden = "WITH orders AS (SELECT 1 AS id) SELECT * FROM orders";
  expect((await explained(hidden)).tables).toEqual([]);
});

test("a statement that writes would be executed, or a failing one would change something", async () => {
  const count = async () => (await session.query("SELECT count(*)::text AS n FROM orders_3")).rows[0]?.["n"];
  await session.query("SET search_path = public");
  const before = await count();
  expect(await table("DELETE FROM orders WHERE at >= '2025-03-01' AND at < '2025-04-01'")).toMatchObject({
    planned: 1,
  });
  expect(await table("INSERT INTO orders VALUES (1, '2025-03-03')")).toMatchObject({
    planned: 0,
    advice: null,
  });
  for (const sql of ["DELETE FROM orders", "SELECT * FROM orders FOR UPDATE"])
    await expect(explained(sql, { analyze: true })).rejects.toMatchObject({
      ...{ kind: "bad-input", message: expect.stringContaining("this one changes or locks rows") },
    });
  await session.query(
    "CREATE FUNCTION public.clear() RETURNS bigint LANGUAGE sql AS 'DELETE FROM orders_3; SELECT 1::bigint'",
  );
  await expect(explained("SELECT clear()", { analyze: true })).rejects.toMatchObject({
    ...{ kind: "bad-input", message: expect.stringContaining("a function in it writes") },
  });
  await expect(explained("SELECT 1; DELETE FROM orders")).rejects.toMatchObject({ kind: "bad-input" });
  await expect(explained("TRUNCATE orders")).rejects.toMatchObject({ kind: "bad-input" });
  expect(await count()).toBe(before);
});

test("a file's broken statement would hide the others, or CI would not hear of what reads too much", async () => {
  const dir = mkdtempSync(join(tmpdir(), "partway-explain-"));
  const file = join(dir, "queries.sql");
  writeFileSync(
    file,
    "SELECT * FROM nowhere; SELECT * FROM orders; SELECT * FROM orders WHERE at = '2025-03-03'",
  );
  const { statements, above } = await explainStatements({ url: db.ownerUrl, file, failAbove: "3" });
  expect(statements).toMatchObject([{ error: expect.stringContaining("nowhere") }, { tables: [{}] }, {}]);
  expect(above).toEqual(["public.orders: 12 of 12 leaves"]);
  expect((await explainStatements({ url: db.ownerUrl, file, failAbove: "12" })).above).toEqual([]);
  rmSync(dir, { recursive: true, force: true });
});
