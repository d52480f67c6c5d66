/** New leaves and old ones on a real server, with the application in between. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { finishLeaving } from "../../src/care/retire.js";
import { CARE_SQL, readStanding } from "../../src/care/store.js";
import { readCareTable } from "../../src/care/table.js";
import { adopt, health, maintain } from "../../src/care.js";
import { EXIT } from "../../src/errors.js";
import { ident } from "../../src/pg/quote.js";
import { STORE_SQL } from "../../src/sync/store.js";
import { openScene, type Scene } from "./scene.js";

const NOW = "2026-01-15 02:00:00";
let scene: Scene;
afterEach(() => scene.db.drop());

const Text = z.object({ text: z.string() });
const texts = async (sql: string) => (await scene.session.rows(Text, sql)).map(({ text }) => text);

describe("a table whose leaves are to be made", () => {
  beforeEach(async () => {
    scene = await openScene({ ahead: 2 });
  });

  test("would be locked against a transaction that reads and writes it", async () => {
    const application = await scene.db.session();
    await application.begin();
    await application.query("INSERT INTO public.orders (at, note) VALUES ('2026-01-11', 'open')");
    await application.query("SELECT count(*) FROM public.orders");
    const { created } = await scene.maintain("careful", NOW, 1);
    expect(created.map(({ name }) => name)).toEqual(["orders_2026_02", "orders_2026_03"]);
    await application.query("INSERT INTO public.orders (at, note) VALUES ('2026-02-11', 'new leaf')");
    await application.commit();
    expect((await scene.maintain("careful", NOW)).created).toEqual([]);
  });

  test("would get leaves unlike the others, or a constraint that nobody asked for", async () => {
    await scene.session.query("GRANT SELECT (id), INSERT ON public.orders_2026_01 TO PUBLIC");
    await scene.session.query("ALTER TABLE public.orders_2026_01 ALTER note SET STATISTICS 500");
    await scene.session.query(
      "ALTER TABLE public.orders_2026_01 REPLICA IDENTITY USING INDEX orders_2026_01_pkey",
    );
    await scene.session.query("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE ON TABLES TO PUBLIC");
    await scene.maintain("careful", NOW);
    const like = `SELECT concat_ws(' | ', relreplident, reloptions, relpersistence, pg_get_userbyid(relowner),
        (SELECT string_agg(x::text, ',' ORDER BY x::text) FROM unnest(relacl) x WHERE x::text LIKE '=%'),
        (SELECT string_agg(concat(attname, attacl, nullif(attstattarget, -1)), ',' ORDER BY attnum) FROM pg_attribute
          WHERE attrelid = c.oid AND attnum > 0),
        (SELECT string_agg(concat(pg_get_indexdef(indexrelid, 1, true), indisreplident, indisprimary), ',' ORDER BY indisprimary)
          FROM pg_index WHERE indrelid = c.oid),
        (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c')) AS text
      FROM pg_class c JOIN pg_inherits ON inhrelid = c.oid WHERE inhparent = 'public.orders'::regclass ORDER BY relname`;
    const found = await texts(like);
    expect(found).toHaveLength(3);
    expect(new Set(found).size, found.join("\n")).toBe(1);
    expect(found[0]).toMatch(/fillfactor=70.*=a\//);
  });

  test("would be changed by a dry run", async () => {
    const before = await texts("SELECT relname::text AS text FROM pg_class ORDER BY oid");
    const { created } = await scene.maintain("dry-run", NOW);
    expect(created).toHaveLength(2);
    expect(await texts("SELECT relname::text AS text FROM pg_class ORDER BY oid")).toEqual(before);
    expect(await texts("SELECT leaf::text AS text FROM partway.partition_metadata")).toEqual([]);
  });

  test("would lose its leaves to a migration that has not ended", async () => {
    await scene.session.query(STORE_SQL.make);
    await scene.session.query(
      "INSERT INTO partway.migration (id, phase, source_oid, shadow_oid, plan) VALUES ('orders_1', 'retain', 1, $1::oid, '{}')",
      [scene.oid],
    );
    await expect(scene.maintain("apply", NOW)).rejects.toMatchObject({
      kind: "refused",
      message: /orders_1/,
    });
    expect(await scene.leaves()).toEqual(["orders_2026_01"]);
  });

  test("would be worked on by two at once", async () => {
    await scene.session.query(CARE_SQL.lock);
    await expect(maintain({ url: scene.db.ownerUrl })).rejects.toMatchObject({
      kind: "refused",
      exitCode: 3,
    });
    expect(await scene.leaves()).toEqual(["orders_2026_01"]);
  });

  test("would be left alone or not whatever its row says", async () => {
    await scene.session.query("UPDATE partway.partition_config SET enabled = false");
    expect((await scene.maintain("apply", NOW)).skipped).toMatch(/disabled/);
    await scene.session.query("UPDATE partway.partition_config SET enabled = true, ahead = 1");
    expect((await scene.maintain("apply", NOW)).created).toHaveLength(1);
  });

  test("would be recorded wrong, or its statistics left old", async () => {
    await scene.session.query("SELECT pg_stat_force_next_flush()");
    const { analyzed } = await scene.maintain("careful", NOW);
    expect(analyzed).toEqual(['"public"."orders_2026_01"', '"public"."orders"']);
    const known =
      "SELECT concat(leaf, ' ', rows, ' ', last_analyze IS NOT NULL) AS text FROM partway.partition_metadata ORDER BY 1";
    expect((await texts(known))[0]).toBe("public.orders_2026_01 1 t");
    expect((await scene.maintain("careful", NOW)).analyzed).toEqual([]);
  });

  test("would be waited for without end, while somebody rebuilds it, for its statistics", async () => {
    await scene.maintain("careful", NOW);
    await scene.session.query(
      "INSERT INTO public.orders (at) SELECT '2026-01-12' FROM generate_series(1, 100)",
    );
    await scene.session.query("SELECT pg_stat_force_next_flush()");
    const other = await scene.db.session();
    await other.begin();
    await other.query("LOCK TABLE public.orders_2026_01 IN SHARE UPDATE EXCLUSIVE MODE");
    await scene.maintain("careful", NOW, 1);
    await other.rollback();
    expect((await scene.maintain("careful", NOW)).analyzed).toContain('"public"."orders_2026_01"');
  });
});

describe("a DEFAULT leaf with rows in it", () => {
  beforeEach(async () => {
    scene = await openScene(
      { ahead: 2 },
      "CREATE TABLE public.orders_rest PARTITION OF public.orders DEFAULT",
      "INSERT INTO public.orders (at, note) VALUES ('2026-02-10', 'a'), ('2026-02-11', 'b'), ('2030-01-01', 'c')",
      `CREATE FUNCTION public.never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fired'; END $$`,
      "CREATE TRIGGER never BEFORE DELETE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.never()",
      "ALTER TABLE public.orders ENABLE ALWAYS TRIGGER never",
    );
  });
  const where =
    "SELECT concat(tableoid::regclass, ' ', id, ' ', long) AS text FROM public.orders ORDER BY id";

  test("would keep its rows from their leaf, lose one, or fire a trigger for a row that only moves", async () => {
    const { created } = await scene.maintain("careful", NOW);
    expect(created).toHaveLength(2);
    expect(await texts(where)).toEqual([
      "public.orders_2026_01 1 first!",
      "public.orders_2026_02 2 a!",
      "public.orders_2026_02 3 b!",
      "public.orders_rest 4 c!",
    ]);
    const states =
      "SELECT concat(tgrelid::regclass, ' ', tgenabled) AS text FROM pg_trigger WHERE tgname = 'never'";
    expect((await texts(states)).every((text) => text.endsWith(" A"))).toBe(true);
  });

  test("would be waited for without end while somebody reads it", async () => {
    const reader = await scene.db.session();
    await reader.begin();
    await reader.query("SELECT count(*) FROM public.orders_rest");
    const before = await texts(where);
    await expect(scene.maintain("careful", NOW, 2)).rejects.toMatchObject({ kind: "lock-busy", exitCode: 6 });
    await reader.rollback();
    expect(await texts(where)).toEqual(before);
    expect(await scene.leaves()).toEqual(["orders_2026_01", "orders_rest"]);
  });

  test("would never be split when that takes longer than a lock may be waited for, or lock it for as long as it takes", async () => {
    await scene.session.query(`CREATE FUNCTION public.slow(text) RETURNS boolean LANGUAGE sql VOLATILE AS
      $$ SELECT pg_catalog.pg_sleep(0.4) IS NOT NULL $$`);
    await scene.session.query("ALTER TABLE public.orders ADD CHECK (public.slow(note)) NOT VALID");
    const before = await texts(where);
    await expect(scene.maintain("careful", NOW, 1, 200)).rejects.toMatchObject({
      kind: "lock-busy",
      next: /--hold-budget/,
    });
    expect(await texts(where)).toEqual(before);
    const { created } = await scene.maintain("careful", NOW, 1, 5000);
    expect(created.map(({ name }) => name)).toEqual(["orders_2026_02"]);
  });

  test("would be split under statements that look for its rows there: an INSERT fails, an UPDATE finds none", async () => {
    await scene.session.query(`CREATE FUNCTION public.slow(text) RETURNS boolean LANGUAGE sql VOLATILE AS
      $$ SELECT $1 = 'new' OR pg_catalog.pg_sleep(0.5) IS NOT NULL $$`);
    await scene.session.query("ALTER TABLE public.orders ADD CHECK (public.slow(note)) NOT VALID");
    const [inserting, updating] = [await scene.db.session(), await scene.db.session()];
    const running = scene.maintain("careful", NOW, 1);
    const held = `SELECT count(*)::text AS text FROM pg_locks WHERE relation = 'public.orders_rest'::regclass
      AND mode = 'AccessExclusiveLock' AND granted`;
    await expect.poll(async () => (await inserting.one(Text, held)).text, { interval: 10 }).toBe("1");
    const both = Promise.all([
      inserting.query("INSERT INTO public.orders (at, note) VALUES ('2026-02-12', 'new')"),
      updating.query("UPDATE public.orders SET note = 'new' WHERE at = '2026-02-10'"),
    ]);
    expect((await running).created).toHaveLength(2);
    expect((await both).map(({ count }) => count)).toEqual([1, 1]);
    expect((await texts(where)).filter((text) => text.endsWith("new!"))).toEqual([
      "public.orders_2026_02 2 new!",
      "public.orders_2026_02 5 new!",
    ]);
  });

  test("would lose its rows on a subscriber", async () => {
    await scene.session.query("CREATE PUBLICATION feed FOR TABLE public.orders");
    const before = await texts(where);
    await expect(scene.maintain("careful", NOW)).rejects.toMatchObject({ kind: "refused", message: /feed/ });
    expect(await texts(where)).toEqual(before);
    // Where no row waits there is nothing to lose.
    expect(await scene.leaves()).toEqual(["orders_2026_01", "orders_2026_03", "orders_rest"]);
  });

  test("would be emptied under a foreign key that points at it alone", async () => {
    await scene.session.query(`CREATE TABLE public.lines (id bigint, at timestamptz,
      FOREIGN KEY (id, at) REFERENCES public.orders_rest ON DELETE CASCADE)`);
    await scene.session.query("INSERT INTO public.lines VALUES (2, '2026-02-10')");
    await expect(scene.maintain("careful", NOW)).rejects.toMatchObject({
      kind: "refused",
      message: /foreign keys/,
    });
    expect(await texts("SELECT id::text AS text FROM public.lines")).toEqual(["2"]);
  });

  test("would take the rows of other tables along: ON DELETE CASCADE", async () => {
    await scene.session.query(`CREATE TABLE public.lines (id bigint, at timestamptz,
      FOREIGN KEY (id, at) REFERENCES public.orders ON DELETE CASCADE)`);
    await scene.session.query("INSERT INTO public.lines VALUES (2, '2026-02-10')");
    await expect(scene.maintain("careful", NOW)).rejects.toMatchObject({
      kind: "refused",
      message: /foreign keys/,
    });
    expect(await texts("SELECT id::text AS text FROM public.lines")).toEqual(["2"]);
    // The other leaf, whose rows do not wait in DEFAULT, is made.
    expect(await scene.leaves()).toEqual(["orders_2026_01", "orders_2026_03", "orders_rest"]);
  });

  test("would keep an expired leaf: PostgreSQL has no DETACH CONCURRENTLY beside it", async () => {
    await scene.session.query("UPDATE partway.partition_config SET retention = '1mo', expired = 'drop'");
    const { retired } = await scene.maintain("apply", "2026-03-01 00:00:00");
    expect(retired).toMatchObject([{ name: "orders_2026_01", fate: "dropped" }]);
    expect(await scene.leaves()).not.toContain("orders_2026_01");
  });
});

describe("an expired leaf", () => {
  const LATER = "2026-03-01 00:00:00";
  beforeEach(async () => {
    scene = await openScene({ ahead: 1, retention: "1mo", expired: "drop" });
  });
  const isThere = async () =>
    (await texts("SELECT (to_regclass('public.orders_2026_01') IS NOT NULL)::text AS text"))[0] === "true";

  test("would be dropped by a run without --apply, or kept by one with", async () => {
    const { retired } = await scene.maintain("careful", LATER);
    expect(retired).toMatchObject([{ name: "orders_2026_01", fate: "would-drop" }]);
    expect(await scene.leaves()).toContain("orders_2026_01");
    expect((await scene.maintain("apply", LATER)).retired).toMatchObject([{ fate: "dropped" }]);
    expect(await isThere()).toBe(false);
  });

  test("would be dropped where the policy only detaches", async () => {
    await scene.session.query("UPDATE partway.partition_config SET expired = 'detach'");
    expect((await scene.maintain("apply", LATER)).retired).toMatchObject([{ fate: "detached" }]);
    expect(await texts("SELECT note AS text FROM public.orders_2026_01")).toEqual(["first"]);
    expect((await scene.maintain("apply", LATER)).finished).toEqual([]);
  });

  test("would be dropped under rows that refer to it, or the run would hide why not", async () => {
    await scene.session.query(
      "CREATE TABLE public.lines (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES public.orders)",
    );
    await scene.session.query("INSERT INTO public.lines VALUES (1, '2026-01-10')");
    await expect(scene.maintain("apply", LATER)).rejects.toMatchObject({
      kind: "refused",
      message: /still needed/,
    });
    expect(await texts("SELECT note AS text FROM public.orders_2026_01")).toEqual(["first"]);
  });

  test("would wait for a transaction without end, or stay half detached", async () => {
    await scene.session.query(
      "CREATE TABLE public.orders_2025_12 PARTITION OF public.orders FOR VALUES FROM ('2025-12-01') TO ('2026-01-01')",
    );
    const reader = await scene.db.session();
    await reader.begin();
    await reader.query("SELECT count(*) FROM public.orders");
    const december = (fate: string) => [{ name: "orders_2025_12", fate }];
    expect((await scene.maintain("apply", LATER, 1)).retired).toMatchObject(december("pending"));
    // PostgreSQL has one pending detach a table: the next leaf waits for it.
    const second = await scene.maintain("apply", LATER, 1);
    expect(second).toMatchObject({ finished: december("pending"), retired: [] });
    expect(await isThere()).toBe(true);
    await reader.rollback();
    const third = await scene.maintain("apply", LATER);
    expect(third).toMatchObject({ finished: december("dropped"), retired: [{ fate: "dropped" }] });
    expect(await isThere()).toBe(false);
  });

  /** What a run that was killed between its detach and its drop has left. */
  const leaveDetached = async () => {
    await scene.session.query(
      `INSERT INTO partway.partition_leaving (leaf, table_name, leaf_name, bound, then_drop)
       SELECT c.oid, $1::oid, relname, pg_get_expr(relpartbound, c.oid), true FROM pg_class c WHERE relname = 'orders_2026_01'`,
      [scene.oid],
    );
    await scene.session.query("ALTER TABLE public.orders DETACH PARTITION public.orders_2026_01");
    await scene.session.query("UPDATE partway.partition_config SET every = 'month'");
  };
  const noted = () => texts("SELECT leaf_name AS text FROM partway.partition_leaving");

  test.each(["'2y'", "NULL"])(
    "would be dropped by an old note although the policy keeps it now: %s",
    async (now) => {
      await leaveDetached();
      await scene.session.query(`UPDATE partway.partition_config SET retention = ${now}`);
      expect((await scene.maintain("apply", LATER)).finished).toMatchObject([{ fate: "detached" }]);
      expect(await isThere()).toBe(true);
      expect(await noted()).toEqual([]);
    },
  );

  test("would be dropped by an old note although it is another table's leaf by now", async () => {
    await leaveDetached();
    await scene.session.query(
      "CREATE TABLE public.archive (LIKE public.orders INCLUDING ALL) PARTITION BY RANGE (at)",
    );
    await scene.session.query(
      "ALTER TABLE public.archive ATTACH PARTITION public.orders_2026_01 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    );
    expect((await scene.maintain("apply", LATER)).finished).toEqual([]);
    expect(await isThere()).toBe(true);
    expect(await noted()).toEqual([]);
  });

  test("would be dropped although somebody attached it between the look and the lock", async () => {
    await leaveDetached();
    const table = await readCareTable(scene.session, { oid: scene.oid });
    const { leaving } = await readStanding(scene.session, scene.oid);
    await scene.session.query(
      "ALTER TABLE public.orders ATTACH PARTITION public.orders_2026_01 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    );
    const settings = { lockTimeoutMs: 100, lockTimeoutMaxMs: 300, lockTries: 3, holdBudgetMs: 1000 };
    const work = {
      ...{ session: scene.session, observer: await scene.db.session(), settings, deadlockMs: 1000 },
      ...{ signal: new AbortController().signal, onTry: () => undefined },
    };
    const failures: unknown[] = [];
    const rule = { apply: true, thenStill: () => ({ do: "drop" }) as const };
    const done = await finishLeaving(work, table, leaving, rule, failures);
    expect([done, failures]).toEqual([[], []]);
    expect(await scene.leaves()).toEqual(["orders_2026_01"]);
  });

  test("that cannot be dropped would keep new leaves from being made, and its state be told wrong", async () => {
    await leaveDetached();
    await scene.session.query("CREATE VIEW public.old AS SELECT * FROM public.orders_2026_01");
    const url = scene.db.ownerUrl;
    const { tables } = await maintain({ url, apply: true, now: LATER });
    expect(tables).toMatchObject([
      {
        error: { kind: "refused", message: /still needed/, state: /is detached/ },
        done: { created: [{}, {}], finished: [] },
      },
    ]);
    expect(await scene.leaves()).toEqual(["orders_2026_03", "orders_2026_04"]);
    expect(await texts("SELECT leaf::text AS text FROM partway.partition_metadata")).toHaveLength(2);
  });

  test("would be dropped because the clock is years ahead", async () => {
    await expect(scene.maintain("apply", "2036-03-01 00:00:00")).rejects.toMatchObject({
      kind: "refused",
      message: /clock/,
    });
    expect(await isThere()).toBe(true);
    expect(await scene.leaves()).toEqual(["orders_2026_01", "orders_2036_03", "orders_2036_04"]);
  });

  test("would hold up the writers of its foreign keys for as long as a transaction is open", async () => {
    await scene.session.query(
      "CREATE TABLE public.lines (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES public.orders)",
    );
    const writer = await scene.db.session();
    await writer.begin();
    await writer.query("INSERT INTO public.lines VALUES (NULL, NULL)");
    const note = { message: /detach of orders_2026_01/, kind: "lock-busy" };
    await expect(scene.maintain("apply", LATER, 1, 200)).rejects.toMatchObject(note);
    await writer.rollback();
    expect((await scene.maintain("apply", LATER)).retired).toMatchObject([{ fate: "dropped" }]);
  });

  test("that somebody else's DETACH CONCURRENTLY left pending would stay so", async () => {
    const reader = await scene.db.session();
    await reader.begin();
    await reader.query("SELECT count(*) FROM public.orders");
    const other = await scene.db.session();
    await other.query("SET lock_timeout = 50");
    const detach = `ALTER TABLE public.orders DETACH PARTITION public.${ident("orders_2026_01")} CONCURRENTLY`;
    await expect(other.query(detach)).rejects.toThrow();
    await reader.rollback();
    const { finished } = await scene.maintain("careful", LATER);
    expect(finished).toEqual([{ name: "orders_2026_01", fate: "detached" }]);
    // It was not Partway's to drop.
    expect(await isThere()).toBe(true);
  });
});

test("one wild number in DEFAULT would make every leaf look old, and take them all", async () => {
  scene = await openScene(
    {},
    "CREATE TABLE public.num (id bigint) PARTITION BY RANGE (id)",
    "CREATE TABLE public.num_0 PARTITION OF public.num FOR VALUES FROM (0) TO (1000)",
    "CREATE TABLE public.num_1000 PARTITION OF public.num FOR VALUES FROM (1000) TO (2000)",
    "CREATE TABLE public.num_rest PARTITION OF public.num DEFAULT",
    "INSERT INTO public.num VALUES (500), (1500), (9000000000000)",
  );
  const url = scene.db.ownerUrl;
  await adopt({ url, tables: ["num"], policy: { retention: "1500", expired: "drop" } });
  const run = async () => (await maintain({ url, tables: ["num"], apply: true })).tables;
  expect(await run()).toMatchObject([{ created: [{ from: "2000" }, {}, {}, {}], retired: [] }]);
  // The end of the leaves moves with each run; where the rows are does not.
  for (const _ of [2, 3]) expect(await run()).toMatchObject([{ created: [], retired: [] }]);
});

test("one wild number in a leaf that takes all the rest would make every other look old", async () => {
  scene = await openScene(
    {},
    "CREATE TABLE public.num (id bigint) PARTITION BY RANGE (id)",
    "CREATE TABLE public.num_0 PARTITION OF public.num FOR VALUES FROM (0) TO (1000)",
    "CREATE TABLE public.num_1000 PARTITION OF public.num FOR VALUES FROM (1000) TO (2000)",
    "CREATE TABLE public.num_all PARTITION OF public.num FOR VALUES FROM (2000) TO (9223372036854775807)",
    "INSERT INTO public.num VALUES (500), (1500), (9000000000000)",
  );
  const url = scene.db.ownerUrl;
  await adopt({ url, tables: ["num"], policy: { retention: "1500", expired: "drop" } });
  const { tables } = await maintain({ url, tables: ["num"], apply: true });
  expect(tables).toMatchObject([{ created: [], retired: [] }]);
});

test("a policy that cannot be read would stop the maintenance of every table, or hide from health", async () => {
  scene = await openScene(
    { ahead: 1 },
    "CREATE TABLE public.aaa (at date) PARTITION BY RANGE (at)",
    "CREATE TABLE public.aaa_0 PARTITION OF public.aaa FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE public.zzz (at date) PARTITION BY RANGE (at)",
  );
  const url = scene.db.ownerUrl;
  await adopt({ url, tables: ["aaa", "zzz"] });
  await scene.session.query(
    `UPDATE partway.partition_config SET thresholds = '{"minimum": 1}' WHERE table_name = 'public.aaa'::regclass`,
  );
  await scene.session.query(
    "UPDATE partway.partition_config SET retention = 'long' WHERE table_name = 'public.zzz'::regclass",
  );
  const { tables, exitCode } = await maintain({ url });
  expect(exitCode).toBe(2);
  expect(tables).toMatchObject([{ error: {} }, { created: [{}, {}] }, { error: {} }]);
  const unreadable = { code: "policy-unreadable" };
  expect(await health({ url, tables: ["aaa"] })).toMatchObject([
    { status: "CRITICAL", findings: expect.arrayContaining([expect.objectContaining(unreadable)]) },
  ]);
  await adopt({ url, tables: ["aaa"] });
  expect((await maintain({ url, tables: ["aaa"] })).exitCode).toBe(0);
});

test("a plain leaf would be put beside leaves that are partitioned themselves", async () => {
  scene = await openScene(
    { ahead: 1 },
    "CREATE TABLE public.deep (at date, kind text) PARTITION BY RANGE (at)",
    "CREATE TABLE public.deep_0 PARTITION OF public.deep FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (kind)",
  );
  const url = scene.db.ownerUrl;
  expect(await adopt({ url, tables: ["deep"] })).toMatchObject([{ limits: [/partitioned themselves/] }]);
  const { tables, exitCode } = await maintain({ url, tables: ["deep"] });
  expect(tables).toMatchObject([{ error: { message: /partitioned themselves/ } }]);
  expect(exitCode).toBe(3);
});

test("of a list with a mistake at its end the first tables would be in care, and the error say that nothing was touched", async () => {
  scene = await openScene({ ahead: 2 });
  await scene.session.query("DELETE FROM partway.partition_config");
  await scene.session.query("CREATE TABLE public.plain (id int PRIMARY KEY)");
  const tables = ["orders", "plain"];
  await expect(adopt({ url: scene.db.ownerUrl, tables })).rejects.toMatchObject({ exitCode: EXIT.badInput });
  expect(await texts("SELECT table_name::text AS text FROM partway.partition_config")).toEqual([]);
});
