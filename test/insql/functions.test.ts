/** What the functions do to a live table, and what they must leave alone. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { ARCHIVE_SQL } from "../../src/archive/store.js";
import { health } from "../../src/care.js";
import { COLD_SQL } from "../../src/cold/store.js";
import { installSql, sqlScript, uninstallSql } from "../../src/in-database.js";
import { isInner, signature } from "../../src/insql/function.js";
import { install } from "../../src/insql/install.js";
import { functionsOf } from "../../src/insql/script.js";
import type { Session } from "../../src/pg/session.js";
import { STORE_SQL } from "../../src/sync/store.js";
import { openScene, type Scene } from "../care/scene.js";
import { adoptAs, rowsOf, setClock, toldNow } from "./scene.js";

const NOW = "2026-01-15 02:00:00";
let scene: Scene;
let session: Session;
afterEach(() => scene.db.drop());

const Text = z.object({ text: z.string().nullable() });
const texts = async (sql: string, on = session) => (await on.rows(Text, sql)).map(({ text }) => text);
const run = (sql: string) => rowsOf(session, `SELECT * FROM partway.${sql}`);
const results = async (sql: string) => (await run(sql)).map(({ result }) => result);

async function open(policy: Parameters<typeof openScene>[0], ...more: string[]): Promise<void> {
  scene = await openScene(policy, ...more);
  session = scene.session;
  await install(session, "0.1.0");
  await setClock(session, NOW);
}

describe("a table whose leaves are to be made", () => {
  beforeEach(() => open({ ahead: 2 }));

  test("would be locked against a transaction that reads and writes it", async () => {
    const application = await scene.db.session();
    await application.begin();
    await application.query("INSERT INTO public.orders (at, note) VALUES ('2026-01-11', 'open')");
    expect(await results("create_future_partitions()")).toEqual([
      "Created partition: orders_2026_02",
      "Created partition: orders_2026_03",
    ]);
    await application.query("INSERT INTO public.orders (at, note) VALUES ('2026-02-11', 'new leaf')");
    await application.commit();
    expect(await run("create_future_partitions(2)")).toEqual([]);
    expect(await results("create_future_partitions('orders', 4)")).toEqual([
      "Created partition: orders_2026_04",
      "Created partition: orders_2026_05",
    ]);
  });

  test("would be locked until the caller commits", async () => {
    const application = await scene.db.session();
    await application.query("SET lock_timeout = '5s'");
    await session.begin();
    expect(await run("create_future_partitions()")).toHaveLength(2);
    await application.query("INSERT INTO public.orders (at, note) VALUES ('2026-01-11', 'meanwhile')");
    await application.query("SELECT count(*) FROM public.orders");
    await session.commit();
    expect(await scene.leaves()).toHaveLength(3);
  });

  test("would get leaves unlike those that maintain makes", async () => {
    await session.query("GRANT SELECT (id), INSERT ON public.orders_2026_01 TO PUBLIC");
    await session.query("ALTER TABLE public.orders_2026_01 ALTER note SET STATISTICS 500");
    await session.query("ALTER TABLE public.orders_2026_01 SET (toast.autovacuum_enabled = false)");
    await session.query("ALTER TABLE public.orders_2026_01 ENABLE ROW LEVEL SECURITY");
    await session.query("ALTER TABLE public.orders_2026_01 REPLICA IDENTITY USING INDEX orders_2026_01_pkey");
    await session.query("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE ON TABLES TO PUBLIC");
    // One by the program, one by the function.
    await session.query("UPDATE partway.partition_config SET ahead = 1");
    expect((await scene.maintain("careful", NOW)).created).toHaveLength(1);
    await run("create_future_partitions('public.orders', 2)");
    const found =
      await texts(`SELECT concat_ws(' | ', relreplident, reloptions, relpersistence, pg_get_userbyid(relowner), relacl,
        relrowsecurity, (SELECT reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid),
        (SELECT string_agg(concat(attname, attacl, nullif(attstattarget, -1), attgenerated, attidentity), ',' ORDER BY attnum)
           FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
        (SELECT string_agg(concat(pg_get_indexdef(indexrelid, 1, true), indisreplident, indisprimary), ',' ORDER BY indisprimary)
           FROM pg_index WHERE indrelid = c.oid),
        (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c')) AS text
      FROM pg_class c JOIN pg_inherits ON inhrelid = c.oid WHERE inhparent = 'public.orders'::regclass ORDER BY relname`);
    expect(found).toHaveLength(3);
    expect(found[2]).toBe(found[1]);
    expect(found[2]).toMatch(/fillfactor=70.*autovacuum_enabled=false/);
  });

  test("would be changed by a dry run", async () => {
    await session.query(
      "UPDATE partway.partition_config SET retention = '1mo', expired = 'drop', every = 'month'",
    );
    // Up to the clock, or it would not be believed, and nothing be dropped in any case.
    await session.query(
      "CREATE TABLE public.between PARTITION OF public.orders FOR VALUES FROM ('2026-03-01') TO ('2026-06-01')",
    );
    await setClock(session, "2026-06-15 02:00:00");
    const all = "SELECT relname::text || xmin::text AS text FROM pg_class ORDER BY oid";
    const before = await texts(all);
    expect(await results("run_partition_maintenance()")).toContain(
      "Would drop partition: orders_2026_01 (1 rows, FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00'))",
    );
    await run("drop_old_partitions('orders')");
    await run("drop_old_partitions('orders', 1)");
    await run("cleanup_old_partitions()");
    expect(await texts(all)).toEqual(before);
    expect(await texts("SELECT count(*)::text AS text FROM partway.partition_metadata")).toEqual(["0"]);
  });

  test("would have a leaf of a day made twice in an emergency, or an error for one that is there", async () => {
    const make = (day: string) =>
      texts(`SELECT partway.create_monthly_partition('public', 'orders', '${day}') AS text`);
    expect(await make("2031-05-05")).toEqual(["Created partition: orders_2031_05"]);
    expect(await make("2031-05-31")).toEqual(["Partition orders_2031_05 already exists"]);
    // Without a policy, too.
    await session.query("DELETE FROM partway.partition_config");
    expect(await make("2031-06-01")).toEqual(["Created partition: orders_2031_06"]);
    await expect(make("2031-06-01").then(() => run("create_future_partitions('orders')"))).rejects.toThrow(
      /not in care/,
    );
    await expect(run("list_partitions('order')")).rejects.toThrow(/no partitioned table called order/);
  });

  test("would be worked on by two at once", async () => {
    const other = await scene.db.session();
    await other.query("SELECT pg_advisory_lock(hashtext('partway maintain'), 0)");
    const [busy] = await run("create_future_partitions()");
    expect(busy).toMatchObject({ ok: "f", result: expect.stringMatching(/another partway maintain/) });
    expect(await scene.leaves()).toEqual(["orders_2026_01"]);
  });

  test("would lose its leaves to a migration that has not ended, or be tended by half a policy", async () => {
    await session.query(
      "ALTER TABLE partway.partition_config DROP CONSTRAINT partition_config_expired_check",
    );
    const refused = async (what: RegExp) => {
      for (const call of [
        "run_partition_maintenance(NULL, false)",
        "create_future_partitions()",
        "cleanup_old_partitions(false)",
      ])
        expect(await run(call)).toMatchObject([{ ok: "f", result: expect.stringMatching(what) }]);
      expect(await scene.leaves()).toEqual(["orders_2026_01"]);
    };
    await session.query("UPDATE partway.partition_config SET expired = 'archive', retention = '1mo'");
    await refused(/to be archived, and it is not said where to/);
    await session.query("UPDATE partway.partition_config SET expired = 'burn'");
    await refused(/expired: burn is nothing that is done/);
    await session.query("UPDATE partway.partition_config SET expired = 'drop', retention = '12m'");
    await refused(/retention "12m" is not a length of time/);
    await session.query("UPDATE partway.partition_config SET retention = '1mo', leaf = '{table}_{MM}'");
    await refused(/gives two leaves the same name/);
    await session.query("UPDATE partway.partition_config SET leaf = NULL, thresholds = '{\"maxLeafs\": 3}'");
    await refused(/thresholds/);
    await session.query("UPDATE partway.partition_config SET thresholds = '{}', step = 5");
    await refused(/not by step 5/);
    await session.query("UPDATE partway.partition_config SET step = NULL");
    await session.query(STORE_SQL.make);
    await session.query(
      "INSERT INTO partway.migration (id, phase, source_oid, shadow_oid, plan) VALUES ('orders_1', 'retain', 1, $1::oid, '{}')",
      [scene.oid],
    );
    await refused(/belongs to migration orders_1/);
  });
});

describe("a table with leaves that are old", () => {
  const LEAVES = ["2025_11", "2025_12"].map((month, at) => {
    const [from, to] = ["2025-11-01", "2025-12-01", "2026-01-01"].slice(at);
    return `CREATE TABLE public.orders_${month} PARTITION OF public.orders FOR VALUES FROM ('${from}') TO ('${to}')`;
  });
  const START = ["orders_2025_11", "orders_2025_12", "orders_2026_01", "orders_2026_02"];

  test("would keep the application out for as long as a transaction stays open, or lose a leaf half", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    const application = await scene.db.session();
    await application.begin();
    await application.query("SELECT count(*) FROM public.orders");
    const rows = await run("run_partition_maintenance(NULL, false)");
    // The leaf that nobody waits for is made; what is in somebody's use is left, and said.
    const said = rows.map(({ ok, result }) => `${ok} ${result.replace(/: the lock.*/, ": the lock")}`);
    expect(said.filter((line) => !line.includes("Analyzed"))).toEqual([
      "t Created partition: orders_2026_02",
      "f Left partition: orders_2025_11: the lock",
    ]);
    expect(await scene.leaves()).toEqual(START);
    await application.commit();
    expect(await results("run_partition_maintenance('orders', false)")).toContain(
      "Dropped partition: orders_2025_11",
    );
    expect(await scene.leaves()).toEqual(START.slice(1));
    expect(await texts("SELECT to_regclass('public.orders_2025_11')::text AS text")).toEqual([null]);
  });

  test("and the next table's would be looked for while the first is kept from the application", async () => {
    await open(
      { ahead: 1, retention: "1mo", expired: "drop" },
      ...LEAVES,
      `CREATE TABLE public.second (at timestamptz NOT NULL) PARTITION BY RANGE (at);
       CREATE TABLE public.second_2025_11 PARTITION OF public.second FOR VALUES FROM ('2025-11-01') TO ('2025-12-01');
       CREATE TABLE public.second_2025_12 PARTITION OF public.second FOR VALUES FROM ('2025-12-01') TO ('2026-01-01');
       CREATE TABLE public.second_2026_01 PARTITION OF public.second FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
       CREATE TABLE public.asked (of_table regclass, is_locked boolean)`,
    );
    await adoptAs(session, "public", "second", { ahead: 1, retention: "1mo", expired: "drop" });
    // The same answer, and a note of when it was asked.
    await session.query("ALTER FUNCTION partway._expired(oid, integer) RENAME TO _expired_really");
    await session.query(`CREATE FUNCTION partway._expired(of_table oid, months integer)
      RETURNS TABLE(oid oid, nsp text, name text, bound text) LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO public.asked VALUES (of_table, partway._held_ms() IS NOT NULL);
        RETURN QUERY SELECT * FROM partway._expired_really(of_table, months);
      END $$`);
    const dropped = (await results("run_partition_maintenance(NULL, false)")).filter((line) =>
      /Dropped/.test(line),
    );
    expect(dropped).toEqual(["Dropped partition: orders_2025_11", "Dropped partition: second_2025_11"]);
    expect(
      await texts("SELECT concat_ws(' ', of_table, is_locked) AS text FROM public.asked ORDER BY 1"),
    ).toEqual(["public.orders f", "public.second f"]);
  });

  test("would go in another one's place that has its name by now", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    await session.query(
      "ALTER FUNCTION partway._to_retire(oid, integer, boolean) RENAME TO _to_retire_really",
    );
    await session.query(`CREATE FUNCTION partway._to_retire(of_table oid, months integer, is_beyond boolean)
      RETURNS jsonb LANGUAGE plpgsql AS $$
      DECLARE listed jsonb := partway._to_retire_really(of_table, months, is_beyond);
      BEGIN
        ALTER TABLE public.orders_2025_11 RENAME TO old;
        ALTER TABLE public.orders_2026_01 RENAME TO orders_2025_11;
        RETURN listed;
      END $$`);
    expect(await results("drop_old_partitions('orders', NULL, false)")).toEqual([
      "Left partition: orders_2025_11: it was renamed, detached or dropped meanwhile: the next run looks again",
    ]);
    expect(await scene.leaves()).toEqual(["old", "orders_2025_11", "orders_2025_12"]);
  });

  test("would be kept from the application by one leaf after the other", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    await session.begin();
    await session.query(
      "SELECT set_config('partway.held_since', (clock_timestamp() - interval '2 seconds')::text, true)",
    );
    expect(await run("drop_old_partitions('orders', NULL, false)")).toMatchObject([
      { ok: "f", result: expect.stringMatching(/Left partition: orders_2025_11: .*held for a second/) },
    ]);
    // Nor by the sizes of its leaves.
    expect(await results("maintain_partitions('orders')")).toContain(
      "Not done: metadata of public.orders: the locks of this transaction have been held for a second: the next run does it",
    );
    expect(await texts("SELECT count(*)::text AS text FROM partway.partition_metadata")).toEqual(["0"]);
    await session.commit();
    // The mark goes with the transaction.
    expect(await results("drop_old_partitions('orders', NULL, false)")).toEqual([
      "Dropped partition: orders_2025_11",
    ]);
  });

  test("would lose the rows that the policy only detaches", async () => {
    await open({ ahead: 1, retention: "1mo" }, ...LEAVES);
    await session.query("INSERT INTO public.orders (at, note) VALUES ('2025-11-05', 'old')");
    expect(await results("drop_old_partitions('orders', NULL, false)")).toEqual([
      "Detached partition: orders_2025_11",
    ]);
    expect(await texts("SELECT note AS text FROM public.orders_2025_11")).toEqual(["old"]);
    // A length of the caller's own.
    expect(await results("drop_old_partitions('orders', 100)")).toEqual([]);
  });

  test("would be judged by a policy that is no more, in a transaction that sees none but the old one", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    await session.begin({ isolation: "repeatable read" });
    expect(await results("cleanup_old_partitions()")).toHaveLength(1);
    const other = await scene.db.session();
    await other.query("UPDATE partway.partition_config SET retention = NULL");
    await expect(run("cleanup_old_partitions(false)")).rejects.toThrow(/repeatable read: .*old by now/);
    await session.rollback();
    expect(await run("cleanup_old_partitions(false)")).toEqual([]);
    expect(await scene.leaves()).toEqual(START.slice(0, 3));
  });

  test("would lose everything on a wrong clock's word", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    await setClock(session, "2036-01-15 02:00:00");
    const rows = await run("run_partition_maintenance(NULL, false)");
    expect(rows.filter(({ ok }) => ok === "f")).toHaveLength(3);
    expect(rows.at(-1)?.result).toMatch(/the clock is wrong/);
    expect(await scene.leaves()).toEqual(expect.arrayContaining(START.slice(0, 3)));
  });

  test("would have the notes of an interrupted maintain overrun", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    await session.query(
      `INSERT INTO partway.partition_leaving (leaf, table_name, leaf_name, bound, then_drop)
       SELECT 'public.orders_2025_11'::regclass, 'public.orders'::regclass, 'orders_2025_11', '', true`,
    );
    expect((await run("drop_old_partitions('orders', NULL, false)"))[0]).toMatchObject({
      ok: "f",
      result: expect.stringMatching(/partway maintain --apply finishes it/),
    });
    expect(await scene.leaves()).toEqual(START.slice(0, 3));
  });

  test("would be dropped although it was brought back from an archive, or before its archive is proven", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    await session.query(ARCHIVE_SQL.make);
    const noted = (id: string, column: string) =>
      session.query(
        `INSERT INTO partway.partition_archive (id, table_name, leaf, leaf_schema, leaf_name, bound, settings, ${column})
         SELECT $1, 'public.orders', c.oid, 'public', c.relname, '', '{}', ${column === "restored_as" ? "c.oid" : "clock_timestamp()"}
           FROM pg_class c WHERE c.relname = $2`,
        [id, "orders_2025_11"],
      );
    await noted("open", "verified_at");
    const [row] = await run("drop_old_partitions('orders', NULL, false)");
    expect(row).toMatchObject({ ok: "f", result: expect.stringContaining("its archive is under way") });
    expect(await scene.leaves()).toEqual(START.slice(0, 3));
    await noted("back", "restored_as");
    expect(await run("drop_old_partitions('orders', NULL, false)")).toEqual([]);
    expect(await scene.leaves()).toEqual(START.slice(0, 3));
    // Whatever it, or the table, is called by now.
    await session.query("ALTER TABLE public.orders_2025_11 RENAME TO orders_back");
    await session.query("UPDATE partway.partition_archive SET table_name = 1::oid::regclass");
    expect(await run("drop_old_partitions('orders', NULL, false)")).toEqual([]);
    expect(await scene.leaves()).toContain("orders_back");
  });

  test("would be dropped although it was brought back from the cold, or is on its way into it", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    expect(await run("drop_old_partitions('orders')")).toHaveLength(1);
    await session.query(COLD_SQL.make);
    const kept = async (set: string) => {
      await session.query("DELETE FROM partway.partition_cold");
      await session.query(
        `INSERT INTO partway.partition_cold (id, table_name, leaf, leaf_schema, leaf_name, bound, server, how)
         SELECT 'x', 'public.orders', c.oid, 'public', c.relname, '', 'cold', 'beside' FROM pg_class c WHERE c.relname = 'orders_2025_11'`,
      );
      await session.query(`UPDATE partway.partition_cold SET ${set}`);
      expect(await run("drop_old_partitions('orders', NULL, false)"), set).toEqual([]);
      const { retired } = await scene.maintain("apply", NOW);
      expect(retired, set).toEqual([]);
      expect(await scene.leaves()).toContain("orders_2025_11");
    };
    await kept("begun_at = now()");
    await kept("leaf = 1, warmed_as = leaf, cooled_at = now(), warmed_at = now()");
    // A foreign leaf is nobody's to drop.
    await session.query("UPDATE partway.partition_cold SET leaf = 1, warmed_as = NULL, warmed_at = NULL");
    expect(await run("drop_old_partitions('orders')")).toHaveLength(1);
  });

  test("would get no new leaf where what is expired is to be archived, or lose it unarchived", async () => {
    const archive = { to: "/var/archive" };
    await open({ ahead: 1, retention: "1mo", expired: "archive", archive }, ...LEAVES);
    expect(await results("drop_old_partitions('orders')")).toMatchObject([
      expect.stringMatching(/^Would archive partition: orders_2025_11 \(0 rows, .*partway maintain --apply/),
    ]);
    const rows = await run("run_partition_maintenance(NULL, false)");
    expect(rows.filter(({ result }) => !result.startsWith("Analyzed"))).toMatchObject([
      { ok: "t", result: "Created partition: orders_2026_02" },
      {
        ok: "f",
        result: "Left partition: orders_2025_11: it is to be archived: partway maintain --apply does it",
      },
    ]);
    expect(await scene.leaves()).toEqual(START);
    expect(
      await texts("SELECT partway.create_monthly_partition('public', 'orders', '2026-03-01') AS text"),
    ).toEqual(["Created partition: orders_2026_03"]);
  });

  test("would be dropped with what still needs it", async () => {
    await open({ ahead: 1, retention: "1mo", expired: "drop" }, ...LEAVES);
    await session.query("CREATE VIEW public.old AS SELECT * FROM public.orders_2025_11");
    const [row] = await run("drop_old_partitions('orders', NULL, false)");
    expect(row).toMatchObject({
      ok: "f",
      result: expect.stringMatching(/Left partition: orders_2025_11: .*depend/),
    });
    // Detach and drop are one step: neither was done.
    expect(await scene.leaves()).toEqual(START.slice(0, 3));
  });
});

test("rows that wait in DEFAULT are not moved by a function, and keep no other leaf from being made", async () => {
  await open(
    { ahead: 2 },
    "CREATE TABLE public.rest PARTITION OF public.orders DEFAULT",
    "INSERT INTO public.orders (at, note) VALUES ('2026-02-10', 'waits')",
  );
  await toldNow(session);
  const rows = await run("run_partition_maintenance(NULL, false)");
  expect(rows[0]).toMatchObject({
    ok: "f",
    result: expect.stringMatching(/orders_2026_02: rows of its range wait in the DEFAULT leaf/),
  });
  expect(rows[1]?.result).toBe("Created partition: orders_2026_03");
  // DEFAULT is locked until the caller commits: statistics are not what it should wait for.
  expect(rows.filter(({ result }) => result.includes("nalyzed"))).toMatchObject([
    { ok: "f", result: expect.stringMatching(/Not analyzed: .*: this transaction holds locks/) },
    { ok: "f", result: expect.stringMatching(/Not analyzed: .*: this transaction holds locks/) },
    { ok: "f", result: expect.stringMatching(/Not analyzed: orders: this transaction holds locks/) },
  ]);
  expect(await texts("SELECT note AS text FROM public.rest")).toEqual(["waits"]);
});

test("health would say another thing in the database than at the terminal", async () => {
  await open({ ahead: 1, retention: "1mo", expired: "drop" });
  const same = async (now: string) => {
    await setClock(session, now);
    const [report] = await health({ url: scene.db.ownerUrl, now });
    const Summary = z.object({ status: z.string(), findings: z.string(), until: z.string().nullable() });
    const [found] = await session.rows(
      Summary,
      "SELECT status, findings::text, covered_until AS until FROM partway.partition_health_summary()",
    );
    expect(found?.status, now).toBe(report?.status);
    expect(found?.until, now).toBe(report?.coveredUntil);
    const codes = [...(found?.findings ?? "").matchAll(/[A-Z_]+ ([a-z-]+):/g)].map(([, code]) => code);
    expect(codes, now).toEqual(report?.findings.map(({ code }) => code));
    return codes;
  };
  const seen = new Set<string | undefined>();
  const see = async (now: string) => {
    for (const code of await same(now)) seen.add(code);
  };
  // Statistics of the rows, which the server would else tell when it finds the time.
  await toldNow(session);
  for (const now of [
    "2026-01-20 00:00:00",
    "2026-01-25 00:00:00",
    "2026-01-29 00:00:00",
    "2026-03-05 00:00:00",
  ])
    await see(now);
  await session.query("ANALYZE public.orders");
  await session.query(
    "CREATE TABLE public.orders_2026_05 PARTITION OF public.orders FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')",
  );
  await see("2026-01-10 00:00:00");
  // A part of the gap is cold.
  await session.query(COLD_SQL.make);
  await session.query(
    `INSERT INTO partway.partition_cold (id, table_name, leaf, leaf_schema, leaf_name, bound, server, how, cooled_at)
     VALUES ('x', 'public.orders', 1, 'public', 'cold', $1, 'cold', 'beside', now())`,
    ["FOR VALUES FROM ('2026-02-01 00:00:00+00') TO ('2026-05-01 00:00:00+00')"],
  );
  expect(await same("2026-01-10 00:00:00")).not.toContain("gap");
  await session.query("CREATE TABLE public.rest PARTITION OF public.orders DEFAULT");
  await session.query("INSERT INTO public.orders (at, note) VALUES ('2030-01-01', 'waits')");
  await session.query("CREATE INDEX orders_only ON ONLY public.orders (note, at)");
  await session.query(
    `UPDATE partway.partition_config SET thresholds = '{"maxLeaves": 1, "leafGb": 0.00001}'`,
  );
  await see("2026-01-10 00:00:00");
  // To be archived; and nobody says where to.
  for (const archive of [`'{"to": "/var/archive"}'`, "NULL"]) {
    await session.query(`UPDATE partway.partition_config SET expired = 'archive', archive = ${archive}`);
    await see("2026-05-28 00:00:00");
  }
  await session.query("UPDATE partway.partition_config SET expired = 'drop', retention = 'for ever'");
  await see("2026-05-28 00:00:00");
  expect([...seen].toSorted()).toEqual(
    ["current-leaf-missing", "default-not-empty", "expired", "gap", "index-missing", "leaf-too-large"].concat(
      [
        ...[
          "next-leaf-missing",
          "policy-unreadable",
          "statistics-stale",
          "too-few-leaves",
          "too-many-leaves",
        ],
      ],
    ),
  );
  await expect(session.query("SELECT partway.assert_partition_health()")).rejects.toThrow(
    /partway: public.orders: /,
  );
  expect((await texts("SELECT status AS text FROM partway.check_partition_health()"))[0]).toMatch(
    /^(WARNING|CRITICAL): /,
  );
});

test("the document's call for events would make nothing, or another table's leaf", async () => {
  await open({ ahead: 1 });
  const made = () => texts("SELECT partway.create_events_partition('2026-06-01'::DATE) AS text");
  await expect(made()).rejects.toThrow(/no partitioned table called events/);
  await session.query(`CREATE SCHEMA stats;
    CREATE TABLE stats.events (id bigint, "timestamp" timestamptz NOT NULL) PARTITION BY RANGE ("timestamp");
    CREATE TABLE stats.events_2026_05 PARTITION OF stats.events FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')`);
  expect(await made()).toEqual(["Created partition: events_2026_06"]);
  expect(await made()).toEqual(["Partition events_2026_06 already exists"]);
  await session.query("INSERT INTO stats.events VALUES (1, '2026-06-30 23:59:59+00')");
  expect(await texts("SELECT id::text AS text FROM stats.events_2026_06")).toEqual(["1"]);
});

test("what is left to the client, and the metadata", async () => {
  await open({ ahead: 1 });
  expect(await texts("SELECT * FROM partway.vacuum_partitions('orders', true) AS text")).toEqual([
    "VACUUM (FULL, ANALYZE) public.orders_2026_01",
  ]);
  expect(await results("analyze_partitions('orders')")).toEqual([
    "Analyzed partition: orders_2026_01",
    "Analyzed partition: orders",
  ]);
  await run("maintain_partitions()");
  expect(await texts("SELECT leaf::text AS text FROM partway.partition_metadata ORDER BY 1")).toEqual([
    "public.orders_2026_01",
    "public.orders_2026_02",
  ]);
  expect(await texts("SELECT partition_name AS text FROM partway.list_partitions()")).toEqual([
    "orders_2026_01",
    "orders_2026_02",
  ]);
  expect(await results("create_monthly_partition()")).toEqual([]);
});

describe("the functions themselves", () => {
  const PROC = "pg_proc p WHERE p.pronamespace = 'partway'::regnamespace";

  test("could be called by anybody, act as somebody else, or look where the caller says", async () => {
    await open({ ahead: 1 });
    await scene.db.session().then((other) => install(other, "0.1.0"));
    const all = await texts(`SELECT p.oid::regprocedure::text AS text FROM ${PROC}`);
    expect(all.toSorted()).toEqual(
      functionsOf("0.1.0")
        .map(signature)
        .map((one) => one.replaceAll(", ", ","))
        .toSorted(),
    );
    expect(await texts(`SELECT proname::text AS text FROM ${PROC} AND prosecdef`)).toEqual([]);
    expect(
      await texts(
        `SELECT proname::text AS text FROM ${PROC} AND has_function_privilege('public', p.oid, 'EXECUTE')`,
      ),
    ).toEqual([]);
    expect(
      await texts(
        `SELECT proname::text AS text FROM ${PROC} AND obj_description(p.oid, 'pg_proc') NOT LIKE 'Partway 0.1.0: %'`,
      ),
    ).toEqual([]);
    const open_ = await texts(
      `SELECT DISTINCT proname::text AS text FROM ${PROC} AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)`,
    );
    expect(open_.filter((name) => !isInner({ name: name ?? "" }))).toEqual([]);
    const waits = await texts(
      `SELECT DISTINCT proname::text AS text FROM ${PROC} AND 'lock_timeout=200ms' = ANY (proconfig)`,
    );
    expect(waits).toContain("run_partition_maintenance");
    // A table of the caller's own is not taken for the catalog's.
    await setClock(session, NOW);
    await session.query("CREATE TEMP TABLE pg_class (oid oid)");
    await session.query("SET search_path = pg_temp, public");
    expect(await results("create_future_partitions()")).toEqual(["Created partition: orders_2026_02"]);
  });

  test("would lose the rights that were given on them, or what an older version has left, with the next version", async () => {
    await open({ ahead: 1 });
    const oids = `SELECT string_agg(p.oid::text, ',' ORDER BY p.oid) AS text FROM ${PROC}`;
    const before = await texts(oids);
    await session.query("GRANT EXECUTE ON FUNCTION partway.list_partitions(text) TO pg_monitor");
    await installSql({ url: scene.db.ownerUrl });
    expect(await texts(oids)).toEqual(before);
    // An older version's: another result, and a function that is no more. And somebody's own.
    await session.query("DROP FUNCTION partway.list_partitions(text)");
    await session.query(
      "CREATE FUNCTION partway.list_partitions(of_table text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    await session.query("GRANT EXECUTE ON FUNCTION partway.list_partitions(text) TO pg_monitor");
    await session.query("COMMENT ON FUNCTION partway.list_partitions(text) IS 'Partway 0.0.9: old'");
    await session.query("CREATE FUNCTION partway.gone() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    await session.query("COMMENT ON FUNCTION partway.gone() IS 'Partway 0.0.9: old'");
    await session.query("CREATE FUNCTION partway.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    await session.query("COMMENT ON FUNCTION partway.partway_version() IS 'Partway 0.0.9: old'");
    expect(await installSql({ url: scene.db.ownerUrl })).toMatchObject({ before: "0.0.9" });
    expect(
      await texts(
        "SELECT has_function_privilege('pg_monitor', 'partway.list_partitions(text)', 'EXECUTE')::text AS text",
      ),
    ).toEqual(["true"]);
    expect(await texts(`SELECT proname::text AS text FROM ${PROC} AND proname IN ('gone', 'mine')`)).toEqual([
      "mine",
    ]);
    expect((await run("maintain_partitions()")).every(({ ok }) => ok === "t")).toBe(true);
  });

  test("would take the data with them", async () => {
    await open({ ahead: 1 });
    const url = scene.db.ownerUrl;
    await run("create_future_partitions()");
    const leaves = await scene.leaves();
    await session.query(STORE_SQL.make);
    await session.query(
      "INSERT INTO partway.migration (id, phase, source_oid, plan) VALUES ('other_1', 'copy', 1, '{}')",
    );
    await expect(uninstallSql({ url })).rejects.toMatchObject({
      kind: "refused",
      message: expect.stringMatching(/other_1/),
    });
    expect(await texts("SELECT partway.partway_version() AS text")).toEqual(["0.1.0"]);
    await session.query("DELETE FROM partway.migration");
    const { functions, policies } = await uninstallSql({ url });
    expect(functions).toHaveLength(functionsOf("0.1.0").length);
    expect(policies).toBeNull();
    expect(await texts(`SELECT proname::text AS text FROM ${PROC}`)).toEqual([]);
    expect(await texts("SELECT count(*)::text AS text FROM public.orders")).toEqual(["1"]);
    expect(await scene.leaves()).toEqual(leaves);
    expect(await texts("SELECT table_name::text AS text FROM partway.partition_config")).toEqual([
      "public.orders",
    ]);
    // And all of it, where it is asked for.
    await session.query("DROP TABLE partway.ledger, partway.migration");
    expect((await uninstallSql({ url, policies: true })).policies).toMatchObject([{ policy: { ahead: 1 } }]);
    expect(await texts("SELECT to_regnamespace('partway')::text AS text")).toEqual([null]);
    expect(await texts("SELECT count(*)::text AS text FROM public.orders")).toEqual(["1"]);
  });

  test("would need Partway to be installed: the script is whole", async () => {
    await open({ ahead: 1 });
    await uninstallSql({ url: scene.db.ownerUrl, policies: true });
    const before = await texts("SELECT current_setting('search_path') AS text");
    await session.query(sqlScript());
    await session.query(
      "INSERT INTO partway.partition_config (table_name, ahead) VALUES ('public.orders'::regclass, 40)",
    );
    expect((await run("create_future_partitions()")).length).toBeGreaterThan(1);
    expect(await texts("SELECT current_setting('search_path') AS text")).toEqual(before);
  });
});
