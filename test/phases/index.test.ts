/** Dedupe and indexes (DESIGN 3.3): no pair stands twice, and what a crash left half-built is built again. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import {
  createOrders,
  SAME,
  startMigration,
  type TestMigration,
  untilBlocked,
  value,
} from "../support/migration.js";

const LEDGER = /INSERT INTO partway\.ledger/;
const DEDUPE = /^DELETE FROM "public"\."orders_2025/;

let db: TestDatabase;
let app: Session;
let m: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
  await createOrders(app, 1000);
  await app.query("CREATE INDEX by_note ON public.orders (note)");
  await app.query("CREATE UNIQUE INDEX by_amount ON public.orders (amount, created_at)");
  await app.query("COMMENT ON INDEX public.by_note IS 'for the search page'");
});
afterEach(() => db.drop());

const start = async () => {
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
};
const kill = async (session: Session) => {
  await app.query("SELECT pg_terminate_backend($1)", [session.pid]);
};
const twice = async () =>
  Number(
    await value(
      app,
      `SELECT count(*) FROM (SELECT FROM ${m.sides().lagging} GROUP BY id, created_at HAVING count(*) > 1) AS d`,
    ),
  );

/** Runs `sql` once, when `batches` batches are committed. */
function afterBatches(batches: number, sql: string): void {
  let seen = 0;
  m.before(
    LEDGER,
    async () => {
      seen += 1;
      if (seen === batches) await app.query(sql);
    },
    batches,
  );
}

/** Room in the last blocks, so that a new row version lands in a block that is still to be copied. */
async function roomAtTheEnd(): Promise<void> {
  await app.query("DELETE FROM public.orders WHERE id > 900 AND id < 960");
  await app.query("VACUUM public.orders");
}

test("a row copied twice would stop the unique indexes, or stand twice in the new table", async () => {
  await roomAtTheEnd();
  await start();
  await m.run("shadow");
  afterBatches(4, "UPDATE public.orders SET note = 'moved' WHERE id <= 20");
  await m.run("copy");
  expect(await twice()).toBe(20);
  await m.run("index");
  expect(await twice()).toBe(0);
  expect(await m.difference()).toEqual(SAME);
});

test("a row that changed key or month while it was copied would stand under both", async () => {
  await roomAtTheEnd();
  await start();
  await m.run("shadow");
  afterBatches(
    4,
    `UPDATE public.orders SET id = id + 5000 WHERE id <= 10;
     UPDATE public.orders SET created_at = created_at + interval '7 months' WHERE id BETWEEN 11 AND 20`,
  );
  await m.run("copy");
  const copied = await value(app, `SELECT count(*) FROM ${m.sides().lagging}`);
  expect(Number(copied)).toBeGreaterThan(Number(await value(app, "SELECT count(*) FROM public.orders")));
  await m.run("index");
  expect(await m.difference()).toEqual(SAME);
});

test("a row updated or deleted between batches, or between copy and index, would keep its old values", async () => {
  await start();
  await m.run("shadow");
  afterBatches(5, "UPDATE public.orders SET note = NULL WHERE id % 7 = 0");
  await m.run("copy");
  await app.query("DELETE FROM public.orders WHERE id % 11 = 0");
  await app.query("UPDATE public.orders SET amount = amount + 0.5 WHERE id % 13 = 0");
  await m.run("index");
  expect(await m.difference()).toEqual(SAME);
  expect(await m.log()).toEqual([]);
});

test("dedupe would read leaves that hold no changed row: hours on a large table", async () => {
  await start();
  await m.through("copy");
  await app.query("UPDATE public.orders SET note = 'x' WHERE id IN (1, 2, 999)");
  const touched: string[] = [];
  m.before(
    DEDUPE,
    async (_, sql) => {
      touched.push(/^DELETE FROM "public"\."(\w+)"/.exec(sql)?.[1] ?? "");
    },
    100,
  );
  await m.run("index");
  expect(touched.sort()).toEqual(["orders_2025_q1", "orders_2025_q4"]);
});

test("a crash after dedupe would lose the rows it took out", async () => {
  await roomAtTheEnd();
  await start();
  await m.run("shadow");
  afterBatches(4, "UPDATE public.orders SET note = 'moved' WHERE id <= 20");
  await m.run("copy");
  m.before(/ADD CONSTRAINT/, kill);
  await expect(m.run("index")).rejects.toThrow(/connection to the server lost/);
  expect((await m.difference()).missing.length).toBe(20);
  await m.takeOver();
  await m.run("index");
  expect(await m.difference()).toEqual(SAME);
});

interface IndexRow {
  relation: string;
  index: string;
  valid: string;
  ready: string;
  unique: string;
  parent: string | null;
}
const Indexes = z.object({
  relation: z.string(),
  index: z.string(),
  valid: z.string(),
  ready: z.string(),
  unique: z.string(),
  parent: z.string().nullable(),
});
const indexes = (): Promise<IndexRow[]> =>
  app.rows(
    Indexes,
    `SELECT c.relname AS relation, x.relname AS index, indisvalid::text AS valid, indisready::text AS ready,
            indisunique::text AS unique, (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = x.oid) AS parent
       FROM pg_index JOIN pg_class c ON c.oid = indrelid JOIN pg_class x ON x.oid = indexrelid
      WHERE indrelid IN (SELECT relid FROM pg_partition_tree($1::regclass)) ORDER BY 1, 2`,
    [m.sides().lagging],
  );

/** Every leaf has its three indexes, valid and attached; the parent's are valid. */
async function indexesStand(): Promise<void> {
  const all = await indexes();
  const parents = all.filter((row) => row.relation === m.plan.names.shadow);
  const leaves = all.filter((row) => row.relation !== m.plan.names.shadow);
  expect(all.every((row) => row.valid === "true" && row.ready === "true")).toBe(true);
  expect(parents.map((row) => [row.index, row.unique])).toEqual([
    ["by_amount_partitioned", "true"],
    ["by_note_partitioned", "false"],
    ["orders_pkey_partitioned", "true"],
  ]);
  expect(leaves.length).toBe(3 * m.plan.leaves.length);
  for (const { index } of parents)
    expect(leaves.filter((row) => row.parent === `public.${index}`).map((row) => row.relation)).toEqual(
      m.plan.leaves.map((leaf) => leaf.name),
    );
}

test("an index would be missing on a leaf, or not used because the parent's is not valid", async () => {
  await start();
  await m.through("index");
  await indexesStand();
  expect(m.records.indexes.length).toBe(3 * m.plan.leaves.length);
  expect(m.seen("index").at(-1)).toMatchObject({ built: 12, total: 12, current: [] });
  expect(await value(app, "SELECT obj_description('public.by_note_partitioned'::regclass)")).toBe(
    "for the search page",
  );
});

for (const point of [
  /^CREATE INDEX .*q3/,
  /^ALTER TABLE ONLY/,
  /^ALTER INDEX .*ATTACH.*q2/,
  /^VACUUM/,
  /^CREATE TRIGGER/,
]) {
  test(`a crash at ${point} would stop the resume, or build twice`, async () => {
    await start();
    await m.through("copy");
    await app.query("UPDATE public.orders SET note = 'x' WHERE id % 3 = 0");
    m.before(point, kill);
    await expect(m.run("index")).rejects.toThrow(/connection to the server lost/);
    await m.takeOver();
    await m.run("index", { workers: 2 });
    await indexesStand();
    expect(m.records.indexes.length).toBe(3 * m.plan.leaves.length);
    expect(await m.difference()).toEqual(SAME);
  });
}

/** A build that was cancelled leaves an invalid index under the name that Partway will use. */
async function halfBuilt(index: string, sql: string): Promise<void> {
  const [holder, builder] = [await db.session(), await db.session()];
  await holder.begin();
  await holder.query("INSERT INTO public.orders_2025_q2 (id, created_at) VALUES (-1, '2025-04-04 00:00+00')");
  const building = builder.query(sql).catch((error: unknown) => String(error));
  await untilBlocked(app, builder.pid);
  await app.query("SELECT pg_cancel_backend($1)", [builder.pid]);
  expect(await building).toMatch(/canceling statement/);
  await holder.rollback();
  expect((await indexes()).filter((row) => row.index === index)).toMatchObject([{ valid: "false" }]);
}

const HALF: readonly [string, string, string][] = [
  ["an index", "orders_2025_q2_by_note", "(note)"],
  ["a unique index", "orders_2025_q2_by_amount", "(amount, created_at)"],
  ["a primary key", "orders_2025_q2_pkey", "(id, created_at)"],
];
for (const [what, name, columns] of HALF) {
  test(`${what} left invalid on a leaf would be attached as it is, or stop every resume`, async () => {
    await start();
    await m.through("copy");
    const unique = what === "an index" ? "" : "UNIQUE ";
    await halfBuilt(name, `CREATE ${unique}INDEX CONCURRENTLY ${name} ON public.orders_2025_q2 ${columns}`);
    await m.run("index");
    await indexesStand();
    expect(await m.difference()).toEqual(SAME);
  });
}

test("indexes would be built on a table that is not whole", async () => {
  await start();
  await m.run("shadow");
  m.before(LEDGER, kill);
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  await m.takeOver();
  await expect(m.run("index")).rejects.toMatchObject({ message: /the copy is not complete/ });
  expect(await indexes()).toEqual([]);
});

test("a table changed since the plan would be indexed as it was", async () => {
  await start();
  await m.through("copy");
  await app.query("ALTER TABLE public.orders ADD COLUMN later text");
  await expect(m.run("index")).rejects.toMatchObject({ kind: "drift", message: /later/ });
  expect(await indexes()).toEqual([]);
});

test("the application's first hour would be slow: no statistics, nothing frozen", async () => {
  await start();
  await m.through("index");
  const leaves = m.plan.leaves.map((leaf) => `public.${leaf.name}`);
  for (const leaf of leaves) {
    expect(
      Number(await value(app, "SELECT reltuples FROM pg_class WHERE oid = $1::regclass", [leaf])),
    ).toBeGreaterThan(0);
    expect(
      await value(app, "SELECT (relallvisible = relpages)::text FROM pg_class WHERE oid = $1::regclass", [
        leaf,
      ]),
    ).toBe("true");
    expect(
      await value(
        app,
        `SELECT count(*) FROM pg_stats WHERE schemaname || '.' || tablename = '${leaf}' AND NOT inherited`,
      ),
    ).toBe("5");
  }
  expect(
    await value(
      app,
      `SELECT count(DISTINCT attname) FROM pg_stats WHERE schemaname = 'public' AND tablename = '${m.plan.names.shadow}' AND inherited`,
    ),
  ).toBe("5");
});

test("capture switched off while indexes are built would lose the writes meanwhile", async () => {
  await start();
  await m.through("copy");
  m.before(/^VACUUM/, async () => {
    await app.query("ALTER TABLE public.orders DISABLE TRIGGER USER");
    await app.query("UPDATE public.orders SET note = 'unseen' WHERE id = 500");
  });
  await expect(m.run("index")).rejects.toMatchObject({ kind: "drift", message: /capture triggers/ });
  expect((await m.stored()).phase).toBe("index");
});

test("builds side by side would each take what the server grants to one, and its parallel workers beside", async () => {
  const { name } = await app.one(
    z.object({ name: z.string() }),
    "SELECT quote_ident(current_database()) AS name",
  );
  await app.query(`ALTER DATABASE ${name} SET maintenance_work_mem = '16MB'`);
  await app.query(`ALTER DATABASE ${name} SET max_parallel_workers = 4`);
  await start();
  await m.through("copy");
  const seen = new Set<string>();
  m.before(
    /^(ALTER TABLE .* ADD CONSTRAINT|CREATE (UNIQUE )?INDEX .* ON "public"\."orders_2025)/,
    async (session) => {
      const set =
        "current_setting('maintenance_work_mem') || ' ' || current_setting('max_parallel_maintenance_workers')";
      seen.add(`${session.pid}: ${await value(session, `SELECT ${set}`)}`);
    },
    1000,
  );
  await m.run("index", { workers: 2 });
  // Four times 16 MB for two; half of 4 processes are two, and those are the builds themselves.
  expect([...seen].map((one) => one.replace(/^\d+: /, ""))).toEqual(["32MB 0", "32MB 0"]);
  expect(m.records.measurements).toEqual(
    expect.arrayContaining([
      { name: "build-memory-kb", value: 32 * 1024 },
      { name: "build-parallel-workers", value: 0 },
    ]),
  );
  expect(await m.difference()).toEqual(SAME);
});
