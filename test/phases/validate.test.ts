import { afterEach, expect, test } from "vitest";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { validate } from "../../src/phases/validate.js";
import { compareSides, sumSql } from "../../src/sync/compare.js";
import { leavesOf, oidOf } from "../../src/sync/leaves.js";
import { lines, makeItems, plant, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type TestMigration, untilBlocked, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
let session: Session;

async function empty(): Promise<void> {
  db = await freshDatabase();
  session = await db.session();
}
afterEach(() => db.drop());

const stage = stages(async (last: "index") => {
  await empty();
  await makeItems(session);
  const migration = await startItems(db);
  await migration.through(last);
  return migration;
});

async function indexed(): Promise<TestMigration> {
  const migration = await stage("index");
  ({ db } = migration);
  session = await db.session();
  return migration;
}

const validation = (migration: TestMigration) =>
  migration.run("validate").then(
    () => "equal",
    (error: unknown) => error,
  );

test("a stale row would go live because the counts match", async () => {
  const migration = await indexed();
  await plant(migration, `UPDATE ${tables(migration).shadow} SET note = 'stale' WHERE id = 250`);
  expect(await validation(migration)).toMatchObject({
    kind: "difference",
    exitCode: EXIT.difference,
    message: expect.stringMatching(
      /1200 rows on the live side, 1200 on the other.*leaf items_200, key 250 \(changed\)/,
    ),
    next: expect.stringContaining(`partway resume ${migration.plan.id} --repair`),
  });
  expect(migration.seen("difference")).toEqual([
    { event: "difference", leaf: "items_200", key: "250", partition: "250", kind: "changed" },
  ]);
  expect(await value(migration.session, `SELECT phase FROM partway.migration`)).toBe("validate");
});

test("a pause during the comparison would keep its snapshot open, and VACUUM from its work everywhere", async () => {
  const migration = await indexed();
  const context = migration.context();
  const open: (string | null)[] = [];
  const gate = async () => {
    open.push(
      await value(
        session,
        `SELECT count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL`,
      ),
    );
  };
  try {
    await validate.run({ ...context, gate });
  } finally {
    await context.close();
  }
  expect(new Set(open)).toEqual(new Set(["0"]));
});

test("a zombie would report a difference that its successor's abort has made", async () => {
  const migration = await indexed();
  migration.before(/pg_export_snapshot/, async () => {
    await migration.takeOver();
    // What the application does once the abort has dropped the triggers.
    await plant(migration, "DELETE FROM public.items WHERE id = 250");
  });
  expect(await validation(migration)).toMatchObject({ kind: "fenced" });
  expect(migration.seen("difference")).toEqual([]);
});

test("rows that the copy lost, and rows that nobody has, would go live", async () => {
  const migration = await indexed();
  await plant(
    migration,
    `DELETE FROM ${tables(migration).shadow} WHERE id = 30`,
    `INSERT INTO ${tables(migration).shadow} (id, bucket, note) VALUES (5000, 999, 'ghost')`,
  );
  expect(await validation(migration)).toMatchObject({ kind: "difference" });
  expect(migration.seen("difference")).toEqual([
    { event: "difference", leaf: "items_0", key: "30", partition: "30", kind: "missing" },
    { event: "difference", leaf: "items_800", key: "5000", partition: "999", kind: "extra" },
  ]);
});

test("a row under the wrong partition key would be found in one place and not in the other", async () => {
  const migration = await indexed();
  await plant(migration, `UPDATE ${tables(migration).shadow} SET bucket = 700 WHERE id = 30`);
  expect(await validation(migration)).toMatchObject({ kind: "difference" });
  expect(migration.seen("difference").map((d) => [d.leaf, d.key, d.kind])).toEqual([
    ["items_0", "30", "missing"],
    ["items_600", "30", "extra"],
  ]);
});

test("a difference would be repaired in silence, or not at all", async () => {
  const migration = await indexed();
  await plant(
    migration,
    `UPDATE ${tables(migration).shadow} SET note = 'stale' WHERE id = 250`,
    `DELETE FROM ${tables(migration).shadow} WHERE id = 30`,
    `INSERT INTO ${tables(migration).shadow} (id, bucket, note) VALUES (5000, 999, 'ghost')`,
  );
  migration.settings.repair = true;
  await migration.run("validate");
  expect(migration.seen("difference")).toHaveLength(3);
  expect(migration.seen("repaired")).toEqual([{ event: "repaired", keys: 3 }]);
  expect(migration.seen("validation").map((v) => v.result)).toEqual(["different", "equal"]);
  expect(migration.records.validations).toHaveLength(2);
  expect(await lines(migration.session, `SELECT * FROM ${tables(migration).shadow}`)).toEqual(
    await lines(migration.session, `SELECT * FROM ${tables(migration).source}`),
  );
});

/** Values that PostgreSQL calls equal and that are not the same: [column type, in the source, in the shadow]. */
const EQUAL_NOT_IDENTICAL = [
  ["numeric", "1.0", "1.00"],
  ["numeric[]", "{1.0}", "{1.00}"],
  ["double precision", "0", "-0"],
  ["real", "0", "-0"],
  ["interval", "1 day", "24 hours"],
  ["jsonb", '{"a": 1}', '{"a": 1.0}'],
  ["bpchar", "a", "a  "],
  ["text COLLATE public.nobody_minds", "same", "SAME"],
] as const;

test.each(EQUAL_NOT_IDENTICAL)(
  "a %s of %s would go live as %s, because the two are equal",
  async (type, live, lagging) => {
    await empty();
    await session.query(
      "CREATE COLLATION public.nobody_minds (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    );
    await makeItems(session, 400, `odd ${type}`);
    await session.query("UPDATE public.items SET odd = $1 WHERE id = 250", [live]);
    const migration = await startItems(db);
    await migration.through("index");
    await migration.run("validate");
    expect(
      await value(
        migration.session,
        `SELECT odd = '${lagging}' FROM ${tables(migration).source} WHERE id = 250`,
      ),
    ).toBe("t");
    await plant(migration, `UPDATE ${tables(migration).shadow} SET odd = '${lagging}' WHERE id = 250`);
    expect(await validation(migration)).toMatchObject({ kind: "difference" });
    expect(migration.seen("difference")).toEqual([
      { event: "difference", leaf: "items_200", key: "250", partition: "250", kind: "changed" },
    ]);
  },
);

test.each(["json", "xml", "path", "tsvector", "int4range", "bytea", "uuid", "inet", "bit(3)"])(
  "a table with a column of type %s could not be validated",
  async (type) => {
    await empty();
    const value: Record<string, string> = {
      json: '{"b":1, "a":1}',
      xml: "<a/>",
      path: "[(0,0),(1,1)]",
      tsvector: "a b",
      int4range: "[1,5)",
      bytea: "\\x00ff",
      uuid: "7e0c5d3e-6a4c-4f7e-9c56-0a3a0e7b1a11",
      inet: "10.0.0.1/8",
      "bit(3)": "101",
    };
    await makeItems(session, 300, `odd ${type}`);
    await session.query("UPDATE public.items SET odd = $1 WHERE id % 2 = 0", [value[type] ?? ""]);
    const migration = await startItems(db);
    await migration.through("index");
    await migration.run("validate");
    await plant(migration, `UPDATE ${tables(migration).shadow} SET odd = NULL WHERE id = 250`);
    expect(await validation(migration)).toMatchObject({ kind: "difference" });
  },
);

test("writers that never pause would make validation report differences that are none", async () => {
  const migration = await indexed();
  // Committed after the last drain and before the snapshot: in the source, not in the shadow, and in the log.
  migration.before(/^LOCK TABLE .*_log_.* ACCESS SHARE/, async () => {
    await session.query("UPDATE public.items SET note = 'late' WHERE id IN (10, 250, 1100)");
    await session.query("DELETE FROM public.items WHERE id = 11");
    await session.query("INSERT INTO public.items (id, bucket, note) VALUES (9000, 450, 'late')");
    await session.query("UPDATE public.items SET bucket = 777 WHERE id = 12");
    // An uncommitted change on top must not be seen, nor its pair left out on one side only.
    await session.begin();
    await session.query("UPDATE public.items SET note = 'not committed' WHERE id = 20");
  });
  await migration.run("validate");
  await session.rollback();
  expect(migration.seen("validation")).toMatchObject([{ result: "equal", excluded: 7 }]);
  // And what was left out is not forgotten.
  await migration.run("validate");
  expect(migration.seen("validation")[1]).toMatchObject({ result: "equal", excluded: 0 });
});

/** Neither is MVCC-safe: an older snapshot finds the table empty. https://www.postgresql.org/docs/current/mvcc-caveats.html */
const NOT_MVCC_SAFE = [
  "TRUNCATE public.items",
  "ALTER TABLE public.items ALTER COLUMN note TYPE text USING note || ''",
];

test.each(NOT_MVCC_SAFE)(
  "a snapshot older than %s would see an empty table and call it loss",
  async (rewrite) => {
    const migration = await indexed();
    const other = await db.session();
    // The rewrite holds its lock when validation begins, and commits once validation waits behind it.
    let committed: Promise<unknown> | null = null;
    migration.before(/^LOCK TABLE .*_log_.* ACCESS SHARE/, async ({ pid }) => {
      await other.begin();
      await other.query(rewrite);
      committed = untilBlocked(session, pid).then(() => other.commit());
    });
    const outcome = await validation(migration);
    await committed;
    expect(migration.seen("difference")).toEqual([]);
    if (!rewrite.startsWith("TRUNCATE")) {
      expect(outcome).toBe("equal");
      expect(migration.seen("validation")).toMatchObject([{ result: "equal", rows: 1200 }]);
      return;
    }
    // The marker is seen, and the copy starts again from the truth.
    expect(outcome).toMatchObject({ kind: "copy-restart" });
    await migration.through("validate");
    expect(migration.seen("validation").at(-1)).toMatchObject({ result: "equal", rows: 0 });
  },
);

test("two equal rows too many would cancel each other out of the hash", async () => {
  const migration = await indexed();
  const sides = migration.sides();
  const leaf = (await leavesOf(session, (await oidOf(session, tables(migration).shadow)) ?? ""))[0];
  const sum = () =>
    value(
      migration.session,
      `SELECT hash FROM (${sumSql(migration.plan, sides, leaf?.table ?? "", "true")}) AS s`,
    );
  const before = await sum();
  const pair = migration.plan.indexes.find((index) => index.isPair);
  await session.query(`ALTER TABLE ${tables(migration).shadow} DROP CONSTRAINT "${pair?.shadowName}"`);
  await plant(
    migration,
    `INSERT INTO ${leaf?.table} (id, bucket, note) SELECT 7, 7, 'twice' FROM generate_series(1, 2)`,
  );
  expect(await sum()).not.toBe(before);
});

test("a validation stopped half-way would leave its snapshot open and hold back VACUUM", async () => {
  const migration = await indexed();
  const sides = migration.sides();
  const partitionedOid = (await oidOf(session, sides.lagging)) ?? "";
  const gate = () => Promise.reject(new Error("stopped"));
  const options = { plan: migration.plan, direction: "forward" as const, partitionedOid, workers: 2, gate };
  await expect(compareSides({ ...options, open: () => db.session() })).rejects.toThrow("stopped");
  expect(
    await value(
      migration.session,
      "SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()",
    ),
  ).toBe("0");
});

test("validation would take more processes from the application than --workers says", async () => {
  const migration = await indexed();
  const partitionedOid = (await oidOf(session, migration.sides().lagging)) ?? "";
  const opened: Session[] = [];
  const parallel: (string | null)[] = [];
  await compareSides({
    ...{ plan: migration.plan, direction: "forward", partitionedOid, workers: 1 },
    open: async () => {
      const one = await db.session();
      opened.push(one);
      return one;
    },
    // Between two pieces the connection has nothing to do.
    gate: async () => {
      for (const one of opened) parallel.push(await value(one, "SHOW max_parallel_workers_per_gather"));
    },
  });
  expect(opened).toHaveLength(1);
  expect(new Set(parallel)).toEqual(new Set(["0"]));
});

test("a definition changed since the plan would be validated as if nothing had happened", async () => {
  const migration = await indexed();
  await session.query("ALTER TABLE public.items ADD COLUMN added int");
  const error = await validation(migration);
  expect(error).toMatchObject({ kind: "drift", exitCode: EXIT.drift });
  expect(String(error)).toContain("+ column 4 added integer");
  expect(migration.seen("validation")).toEqual([]);
});
