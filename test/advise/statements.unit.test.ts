/** Which column a statement asks by: counted wrongly, a table is cut by a column nobody asks for. */
import { expect, test } from "vitest";
import { namedInWhere, statementUse } from "../../src/advise/statements.js";

const ORDERS = { schema: "public", name: "orders" };
const COLUMNS = new Set(["id", "created_at", "customer_id", "status", "createdAt"]);
const named = (query: string) => {
  const found = namedInWhere(query, ORDERS, COLUMNS);
  return found === null ? null : [...found].toSorted();
};

test.each<[string, string[] | null]>([
  ["SELECT * FROM orders WHERE created_at >= $1 AND status = $2", ["created_at", "status"]],
  ["select id from public.orders o where o.created_at > $1 order by o.customer_id limit $2", ["created_at"]],
  ['SELECT 1 FROM "public"."orders" AS "O" WHERE "O"."createdAt" < $1', ["createdAt"]],
  ["SELECT created_at, status FROM orders", []],
  ["SELECT * FROM orders WHERE id = $1 GROUP BY status HAVING max(created_at) > $2", ["id"]],
  ["UPDATE orders SET status = $1 WHERE id = $2 RETURNING created_at", ["id"]],
  ["DELETE FROM ONLY orders WHERE created_at < $1", ["created_at"]],
  ["SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.created_at > $1", []],
  ["SELECT * FROM customers c, orders o WHERE o.status = $1", ["status"]],
  [
    "WITH x AS (SELECT * FROM orders WHERE status = $1 ORDER BY created_at) SELECT * FROM x WHERE id = $2",
    ["id", "status"],
  ],
  ["SELECT * FROM orders WHERE (id IN (SELECT $1 ORDER BY 1) AND customer_id = $2)", ["customer_id", "id"]],
  ["SELECT * FROM orders WHERE status = 'WHERE created_at' /* created_at */ -- created_at", ["status"]],
  ["SELECT * FROM orders WHERE status = $q$ created_at $q$", ["status"]],
  ["SELECT * FROM orders_archive WHERE id = $1", null],
  ["SELECT * FROM other.orders WHERE id = $1", null],
  ["SELECT orders.id FROM customers orders_view WHERE id = $1", null],
  ["INSERT INTO orders (id, created_at) VALUES ($1, $2)", null],
  ["SELECT 'FROM orders WHERE id'", null],
])("%s", (query, columns) => {
  expect(named(query)).toEqual(columns);
});

test("shares would not be of the calls", () => {
  const statements = [
    { query: "SELECT * FROM orders WHERE created_at > $1", calls: 75, totalMs: 300 },
    { query: "SELECT * FROM ORDERS WHERE id = $1", calls: 25, totalMs: 100 },
    { query: "INSERT INTO orders VALUES ($1)", calls: 9_000, totalMs: 1 },
    { query: "/* partway advise */ SELECT min(id) FROM orders WHERE id > 1", calls: 500, totalMs: 1 },
    { query: "SELECT 1", calls: 9_000, totalMs: 1 },
  ];
  expect(statementUse(statements, ORDERS, COLUMNS)).toEqual({
    statements: 2,
    calls: 100,
    meanMs: 4,
    slowShare: 0,
    named: { created_at: 0.75, id: 0.25 },
  });
  const slow = statements.map((one) => (one.calls === 25 ? { ...one, totalMs: 25 * 200 } : one));
  expect(statementUse(slow, ORDERS, COLUMNS)).toMatchObject({ slowShare: 0.25 });
  expect(statementUse(statements, { schema: "public", name: "lines" }, COLUMNS)).toBeNull();
});
