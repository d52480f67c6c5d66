/** Aiming a statement at the new table: what is planned must be what the application will send, and nothing else. */
import { beforeAll, describe, expect, test } from "vitest";
import { aimAt, mentions, withUsableParams } from "../../src/rehearse/aim.js";
import { loadParser, type Parser } from "../../src/rehearse/parse.js";

let parser: Parser;
beforeAll(async () => {
  parser = await loadParser();
});

const AIM = {
  schema: "public",
  table: "orders",
  unqualified: true,
  to: "orders_partitioned",
  constraints: new Map([["orders_pkey", "orders_pkey_new"]]),
};
const NEW = '"public"."orders_partitioned"';

function parsed(sql: string) {
  const found = parser.one(sql);
  if (!found.ok) throw new Error(found.why);
  return found;
}

function aimed(sql: string, over: Partial<typeof AIM> = {}): string {
  const { tree, tokens } = parsed(sql);
  const text = aimAt(sql, tree, tokens, { ...AIM, ...over });
  // What came out must be a statement, whatever else.
  parsed(text);
  return text;
}

const usable = (sql: string) => {
  const { tree, tokens } = parsed(sql);
  return withUsableParams(sql, tree, tokens);
};

describe("every place that names the table is aimed at the new one, and its columns stay reachable", () => {
  const cases: [string, string][] = [
    ["SELECT orders.id FROM orders", `SELECT orders.id FROM ${NEW} AS "orders"`],
    ["SELECT o.id FROM public.orders o", `SELECT o.id FROM ${NEW} o`],
    ['SELECT * FROM "public"."orders" AS o', `SELECT * FROM ${NEW} AS o`],
    ["SELECT public.orders.id FROM public.orders", `SELECT orders.id FROM ${NEW} AS "orders"`],
    ["SELECT * FROM ONLY (orders) WHERE id = 1", `SELECT * FROM ONLY (${NEW}) AS "orders" WHERE id = 1`],
    ["SELECT * FROM orders *, t", `SELECT * FROM ${NEW} * AS "orders", t`],
    ["TABLE orders", `TABLE ${NEW}`],
    ["/* né */ UPDATE orders SET a = 1", `/* né */ UPDATE ${NEW} AS "orders" SET a = 1`],
    ["DELETE FROM orders USING t", `DELETE FROM ${NEW} AS "orders" USING t`],
    ["SELECT 1 FROM orders FOR UPDATE OF orders", `SELECT 1 FROM ${NEW} AS "orders" FOR UPDATE OF orders`],
    [
      "INSERT INTO orders (id) VALUES ($1) ON CONFLICT ON CONSTRAINT orders_pkey DO NOTHING",
      `INSERT INTO ${NEW} AS "orders" (id) VALUES ($1) ON CONFLICT ON CONSTRAINT "orders_pkey_new" DO NOTHING`,
    ],
    [
      "MERGE INTO orders o USING orders p ON o.id = p.id WHEN MATCHED THEN DELETE",
      `MERGE INTO ${NEW} o USING ${NEW} p ON o.id = p.id WHEN MATCHED THEN DELETE`,
    ],
    [
      "SELECT (SELECT count(*) FROM orders), 'from orders' -- orders",
      `SELECT (SELECT count(*) FROM ${NEW} AS "orders"), 'from orders' -- orders`,
    ],
  ];
  test.each(cases)("%s", (sql, expected) => {
    expect(aimed(sql)).toBe(expected);
  });
});

describe("a name that means something else is left alone", () => {
  const untouched = [
    "SELECT * FROM archive.orders",
    "SELECT orders FROM t",
    "WITH orders AS (SELECT 1) SELECT * FROM orders",
    "WITH RECURSIVE orders AS (SELECT 1 UNION SELECT * FROM orders) SELECT * FROM orders",
    "WITH a AS (SELECT 1), orders AS (SELECT * FROM a) SELECT * FROM a, orders",
    'SELECT * FROM "Orders"',
  ];
  test.each(untouched)("%s", (sql) => {
    expect(aimed(sql)).toBe(sql);
  });

  test("a WITH query of the table's name reads the table itself, and hides it from the statement", () => {
    expect(aimed("WITH orders AS (SELECT * FROM orders) SELECT * FROM orders")).toBe(
      `WITH orders AS (SELECT * FROM ${NEW} AS "orders") SELECT * FROM orders`,
    );
    expect(aimed("WITH orders AS (SELECT 1) DELETE FROM orders")).toBe(
      `WITH orders AS (SELECT 1) DELETE FROM ${NEW} AS "orders"`,
    );
  });

  test("without its schema on the search_path only the qualified name means the table", () => {
    const sql = "SELECT * FROM orders a, public.orders b";
    expect(aimed(sql, { unqualified: false })).toBe(`SELECT * FROM orders a, ${NEW} b`);
    expect(mentions(parsed(sql).tree, { ...AIM, unqualified: false })).toHaveLength(1);
  });
});

test("what pg_stat_statements has normalised can be prepared again", () => {
  expect(usable("SELECT 1 WHERE a > now() - interval $1")).toBe("SELECT 1 WHERE a > now() - $1::interval");
  expect(usable("SELECT timestamp with time zone $1, date $2")).toBe(
    "SELECT $1::timestamp with time zone, $2::date",
  );
  expect(usable("SELECT extract($1 from b) FROM t")).toBe('SELECT pg_catalog."extract"($1 , b) FROM t');
  const plain = "SELECT $1::interval, CAST($2 AS date), extract(year from b) FROM t";
  expect(usable(plain)).toBe(plain);
});

test("a file's statements end at semicolons outside strings, comments and dollar quotes", () => {
  const text = "-- one; two\nSELECT 'a;b'; /* ; */\n;; DO $x$ BEGIN; END $x$;\nSELECT \"c;d\" -- é;\n";
  expect(parser.split(text)).toEqual(["SELECT 'a;b'", "DO $x$ BEGIN; END $x$", 'SELECT "c;d" -- é;']);
});

test("what cannot be read is said, and two statements are never taken for one", () => {
  expect(parser.one("SELEC 1")).toEqual({ ok: false, why: expect.stringContaining("syntax error") });
  expect(parser.one("SELECT 1; DROP TABLE orders")).toEqual({ ok: false, why: "more than one statement" });
  expect(parser.one("-- nothing")).toEqual({ ok: false, why: "no statement" });
});
