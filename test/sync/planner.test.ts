/** The apply's plans on 28 leaves (DESIGN 3.4, 8): 20,000 keys a second, or 1,800 when every leaf is probed. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import type { Session } from "../../src/pg/session.js";
import { APPLY_SETTINGS, applySql } from "../../src/sync/apply.js";
import type { Direction } from "../../src/sync/pairs.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, startMigration, type TestMigration } from "../support/migration.js";

let db: TestDatabase;
let app: Session;
beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
});
afterEach(() => db.drop());

interface Node {
  "Node Type": string;
  "Relation Name"?: string | undefined;
  "Actual Loops"?: number | undefined;
  Plans?: Node[] | undefined;
}
const Node: z.ZodType<Node> = z.lazy(() =>
  z.object({
    "Node Type": z.string(),
    "Relation Name": z.string().optional(),
    "Actual Loops": z.number().optional(),
    Plans: z.array(Node).optional(),
  }),
);

function nodes(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(nodes)];
}

/** The nodes of an EXPLAIN ANALYZE of a prepared apply statement, with a generic plan as after many executions. */
async function explain(sql: string, ids: string, first?: string): Promise<Node[]> {
  await app.query(`PREPARE apply (uuid[]) AS ${sql}`);
  await app.begin();
  if (first !== undefined) await app.query(first, [`{${ids}}`]);
  await app.query(`${APPLY_SETTINGS}; SET LOCAL plan_cache_mode = force_generic_plan`);
  const { rows } = await app.query(
    `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) EXECUTE apply ('{${ids}}')`,
  );
  await app.rollback();
  await app.query("DEALLOCATE apply");
  const [plan] = z.array(z.object({ Plan: Node })).parse(JSON.parse(Object.values(rows[0] ?? {})[0] ?? "[]"));
  return plan === undefined ? [] : nodes(plan.Plan);
}

/** 28 leaves of 500 rows. */
async function orders(nullable: boolean): Promise<TestMigration> {
  await createOrders(app, 14_000);
  await app.query(
    "UPDATE public.orders SET created_at = '2023-09-01+00'::timestamptz + (created_at - '2025-01-01+00') * 2.33",
  );
  if (nullable) await app.query("ALTER TABLE public.orders ALTER COLUMN created_at DROP NOT NULL");
  await app.query("VACUUM ANALYZE public.orders");
  const m = await startMigration(db, {
    by: "created_at",
    every: "month",
    ahead: "0",
    settings: { batchBlocks: 10_000 },
  });
  expect(m.plan.leaves.length).toBe(28);
  return m;
}

/** Scans of leaves that were executed, and those that were planned; sequential scans of anything but the log. */
function scans(m: TestMigration, all: Node[]) {
  const leaves = new Set(m.plan.leaves.map((leaf) => leaf.name));
  const scanned = all.filter(
    (node) => /Scan/.test(node["Node Type"]) && leaves.has(node["Relation Name"] ?? ""),
  );
  return {
    executed: scanned.filter((node) => (node["Actual Loops"] ?? 0) > 0).map((node) => node["Relation Name"]),
    kinds: [...new Set(scanned.map((node) => node["Node Type"]))],
    joins: all.filter((node) => /Join|Nested/.test(node["Node Type"])).map((node) => node["Node Type"]),
  };
}

async function ids(m: TestMigration, direction: Direction): Promise<string> {
  return (await m.log(direction)).map((row) => row.seq).join(",");
}

test("applying would read every leaf for every batch: the delete", async () => {
  const m = await orders(false);
  await m.through("index");
  await app.query("UPDATE public.orders SET note = 'x' WHERE id IN (3000, 3001, 9000)");
  const { remove } = applySql(m.plan, m.sides(), false);
  const seen = scans(m, await explain(remove, await ids(m, "forward")));
  expect(seen.joins).toEqual(["Nested Loop"]);
  expect(seen.kinds).toEqual(["Index Scan"]);
  expect(seen.executed.length).toBe(2);
});

for (const nullable of [false, true]) {
  test(`following backwards would read every leaf for every batch: the insert${nullable ? ", partition column nullable at the source" : ""}`, async () => {
    const m = await orders(nullable);
    await m.through("cutover");
    await app.query("UPDATE public.orders SET note = 'x' WHERE id IN (3000, 3001, 9000)");
    const { insert, remove } = applySql(m.plan, m.sides("reverse"), false);
    const seen = scans(m, await explain(insert, await ids(m, "reverse"), remove));
    expect(seen.joins).toEqual(["Nested Loop"]);
    expect(seen.kinds).toEqual(["Index Scan"]);
    expect(seen.executed.length).toBe(2);
    const removed = await explain(remove, await ids(m, "reverse"));
    expect(
      removed.filter(
        (node) => node["Relation Name"] === m.plan.names.retired && /Scan/.test(node["Node Type"]),
      ),
    ).toMatchObject([{ "Node Type": "Index Scan" }]);
  });
}

test("reading the source by its key would become a scan of it", async () => {
  const m = await orders(true);
  await m.through("index");
  await app.query("UPDATE public.orders SET note = 'x' WHERE id IN (3000, 3001, 9000)");
  const { insert, remove } = applySql(m.plan, m.sides(), false);
  const all = await explain(insert, await ids(m, "forward"), remove);
  expect(
    all.filter((node) => node["Relation Name"] === "orders" && /Scan/.test(node["Node Type"])),
  ).toMatchObject([{ "Node Type": "Index Scan" }]);
});
