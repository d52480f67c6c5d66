/** What a statement does with the table: a break that is not recognised here is found by the application after cutover. */
import { beforeAll, describe, expect, test } from "vitest";
import { mentions } from "../../src/rehearse/aim.js";
import { loadParser, type Parser } from "../../src/rehearse/parse.js";
import { shapeOf } from "../../src/rehearse/shape.js";
import { chooseValues } from "../../src/rehearse/values.js";

let parser: Parser;
beforeAll(async () => {
  parser = await loadParser();
});

function shape(sql: string) {
  const found = parser.one(sql);
  if (!found.ok) throw new Error(found.why);
  const mentioned = mentions(found.tree, { schema: "public", table: "orders", unqualified: true });
  return shapeOf(found.tree, mentioned, ["id", "created_at", "status"], "created_at");
}

test("what breaks without the planner saying so is recognised", () => {
  expect(shape("COPY orders TO STDOUT").copyTo).toBe(true);
  expect(shape("COPY orders FROM STDIN").copyTo).toBe(false);
  expect(shape("COPY (SELECT * FROM orders) TO STDOUT").copyTo).toBe(false);
  expect(shape("SELECT * FROM ONLY orders").only).toBe(true);
  expect(shape("TRUNCATE ONLY orders").only).toBe(true);
  expect(shape("TRUNCATE orders").only).toBe(false);
  expect(shape("INSERT INTO orders VALUES ($1) RETURNING id, (xmax = 0) AS new").returnsSystem).toEqual([
    "xmax",
  ]);
  expect(shape("UPDATE orders SET id = 1 RETURNING xmin").returnsSystem).toEqual([]);
  expect(shape("SELECT o FROM orders AS o").wholeRow).toEqual(["o"]);
  expect(shape("DELETE FROM orders RETURNING orders").wholeRow).toEqual(["orders"]);
  expect(shape("SELECT status FROM orders AS status").wholeRow).toEqual([]);
  expect(shape("SELECT o.*, (o).id, row_to_json(o) FROM orders AS o").wholeRow).toEqual([]);
});

test("what ON CONFLICT looks at is read", () => {
  const insert = "INSERT INTO orders VALUES ($1) ON CONFLICT";
  expect(shape(`${insert} (id) DO NOTHING`).conflict).toEqual({ on: "columns", columns: ["id"] });
  expect(shape(`${insert} ON CONSTRAINT k DO NOTHING`).conflict).toEqual({ on: "constraint", name: "k" });
  expect(shape(`${insert} DO NOTHING`).conflict).toEqual({ on: "anything" });
  expect(shape("INSERT INTO orders VALUES ($1)").conflict).toBeNull();
});

test("only what changes nothing may be executed by --analyze", () => {
  expect(shape("SELECT * FROM orders").isReadOnly).toBe(true);
  for (const sql of [
    "SELECT * FROM orders FOR UPDATE",
    "SELECT * INTO t FROM orders",
    "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
    "UPDATE orders SET id = 1",
  ])
    expect(shape(sql).isReadOnly).toBe(false);
});

describe("how a condition speaks of the partition column", () => {
  test.each([
    ["SELECT 1 FROM orders WHERE id = 1", "absent"],
    ["SELECT created_at FROM orders ORDER BY created_at", "absent"],
    ["SELECT 1 FROM orders WHERE date_trunc('day', created_at) = $1", "wrapped"],
    ["SELECT 1 FROM orders WHERE created_at::date = $1", "wrapped"],
    ["SELECT 1 FROM orders o WHERE o.created_at >= $1", "compared"],
    ["SELECT 1 FROM orders WHERE $1 > created_at", "compared"],
    ["SELECT 1 FROM orders WHERE created_at BETWEEN $1 AND $2", "compared"],
    ["SELECT 1 FROM orders WHERE (created_at, id) < ($1, $2)", "compared"],
    ["SELECT 1 FROM orders JOIN t USING (created_at)", "compared"],
    ["SELECT 1 FROM t JOIN orders o ON o.created_at = t.at", "compared"],
    ["UPDATE orders SET created_at = $1 WHERE id = 1", "absent"],
  ])("%s: %s", (sql, expected) => {
    expect(shape(sql).partition).toBe(expected);
  });
});

describe("parameters get values from the column they meet", () => {
  const COLUMNS = new Map([
    ["id", { middle: "500", next: "510", late: "990" }],
    ["created_at", { middle: "m", next: "n", late: "l" }],
  ]);
  test.each<[string, string[], (string | null)[]]>([
    ["SELECT 1 FROM orders WHERE id = $1 AND created_at = $2", ["bigint", "timestamptz"], ["500", "m"]],
    ["SELECT 1 FROM orders WHERE created_at >= $1 AND created_at < $2", ["t", "t"], ["m", "n"]],
    ["SELECT 1 FROM orders WHERE created_at BETWEEN $2 AND $1", ["t", "t"], ["n", "m"]],
    ["SELECT 1 FROM orders WHERE $1 < created_at", ["t"], ["l"]],
    ["SELECT 1 FROM orders WHERE created_at < $1::timestamptz", ["t"], ["m"]],
    ["SELECT 1 FROM orders WHERE id = ANY($1)", ["bigint[]"], ['{"500"}']],
    ["SELECT 1 FROM orders WHERE id IN ($1, $2)", ["bigint", "bigint"], ["500", "500"]],
    ["SELECT 1 FROM orders WHERE (created_at, id) < ($1, $2)", ["t", "bigint"], ["m", "500"]],
    ["INSERT INTO orders (created_at, id) VALUES ($1, $2)", ["t", "bigint"], ["m", "500"]],
    ["INSERT INTO orders VALUES ($1, $2)", ["bigint", "t"], ["500", "m"]],
    ["UPDATE orders SET id = $1", ["bigint"], ["500"]],
    ["SELECT 1 FROM orders LIMIT $1 OFFSET $2", ["bigint", "bigint"], ["10", "0"]],
    ["SELECT 1 FROM orders WHERE created_at > now() - $1::interval", ["interval"], ["1 day"]],
    ["SELECT 1 FROM orders WHERE status = $1 AND lower(status) = $2", ["uuid", "text"], [null, "day"]],
  ])("%s", (sql, types, expected) => {
    expect(chooseValues(types, shape(sql).params, COLUMNS)).toEqual(expected);
  });
});
