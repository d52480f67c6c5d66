/**
 * `--null-keys default-leaf`: infinite values, values outside --list and those that end a type stand in a DEFAULT leaf, go
 * the whole way with it and back; what a leaf could hold is never hidden in there before cutover.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { plan as makePlan, proceed, run } from "../../src/api.js";
import { adopt, health, maintain } from "../../src/care.js";
import type { RawOptions } from "../../src/config/request.js";
import { literal } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { instantText, startOf } from "../../src/plan/calendar.js";
import { beyondSql, intervalsOf, timeReach, withinSql } from "../../src/plan/reach.js";
import { verdict } from "../../src/sync/verdict.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";
import { journey } from "./journey.js";
import { leavesOf, lines } from "./shape.js";

const REST = { nullKeys: "default-leaf" } as const;
const CHECKS = "SELECT conname AS line FROM pg_constraint WHERE conname ~ '^partway_only'";
const inLeaf = (leaf: string, where = "true") => `SELECT count(*) FROM public.${leaf} WHERE ${where}`;

describe("under an application, to cutover, through the window and back", () => {
  test("by time: rows at infinity, rows that go there and come from there, rows beyond the last leaf", async () => {
    await journey(
      {
        setup: [
          "CREATE TABLE public.users (id int PRIMARY KEY)",
          "INSERT INTO public.users SELECT generate_series(0, 9)",
          `CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, note text,
             user_id int REFERENCES public.users)`,
          "CREATE INDEX by_note ON public.t (note)",
          `INSERT INTO public.t (at, note, user_id) SELECT CASE g % 7 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity'
             ELSE timestamptz '2025-03-01 00:00+00' + g * interval '1 day' END, 'n' || g, g % 10
             FROM generate_series(1, 700) g`,
          "CREATE SEQUENCE public.far",
        ],
        options: { by: "at", every: "year", ahead: "0", ...REST },
        insert: `(at, note, user_id) VALUES (CASE (random() * 3)::int WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity'
          ELSE timestamptz '2025-06-01 00:00+00' + random() * interval '300 days' END, 'new', 3)`,
        // Six: a client takes every fifth number for one kind of change.
        updates: [
          "at = 'infinity'",
          "at = '-infinity', note = NULL",
          "note = note || '+'",
          "at = timestamptz '2026-01-01 00:00+00' + random() * interval '200 days'",
          // Four late years until cutover: more could keep each of its tries from the end. In the window, others.
          `at = (SELECT make_timestamptz(CASE WHEN n < 1000 THEN 2030 + least(n / 4, 3) ELSE n + 1100 END, 6, 1, 0, 0, 0, 'UTC')
             FROM (SELECT nextval('public.far')::int AS n) AS f)`,
          "at = 'infinity', note = 'open'",
        ],
      },
      {
        cutOver: async ({ session }) => {
          const leaves = await leavesOf(session, "public.t");
          expect(leaves.filter(({ bound }) => bound === "DEFAULT").map(({ name }) => name)).toEqual([
            "t_default",
          ]);
          const misplaced =
            "SELECT id::text AS line FROM public.t WHERE isfinite(at) = false AND tableoid <> 'public.t_default'::regclass";
          expect(await lines(session, misplaced)).toEqual([]);
          expect(Number(await value(session, inLeaf("t_default", "NOT isfinite(at)")))).toBeGreaterThan(50);
          // Open now: a row beyond the leaves is not rejected.
          expect(await lines(session, CHECKS)).toEqual([]);
          await session.query("INSERT INTO public.t (id, at) VALUES (-1, '2999-01-01 00:00+00')");
          expect(await value(session, inLeaf("t_default", "id = -1"))).toBe("1");
          await session.query("DELETE FROM public.t WHERE id = -1");
          await session.query("ALTER SEQUENCE public.far RESTART 1000");
        },
      },
    );
  });

  test("by list: values that are not listed, before and after the plan", async () => {
    await journey(
      {
        setup: [
          "CREATE TABLE public.t (id bigserial PRIMARY KEY, region text NOT NULL, note text)",
          `INSERT INTO public.t (region, note) SELECT (ARRAY['eu', 'us', 'apac', 'it''s "odd"'])[1 + g % 4], 'n' || g
             FROM generate_series(1, 600) g`,
          "CREATE SEQUENCE public.late",
        ],
        options: { by: "region", list: "eu,us", ...REST },
        insert: "(region, note) VALUES ((ARRAY['eu', 'us', 'mars'])[1 + (random() * 2)::int], 'new')",
        updates: ["region = 'late ' || nextval('public.late')", "region = 'eu'", "note = note || '+'"],
      },
      {
        cutOver: async ({ session, events }) => {
          expect(events.filter(({ event }) => event === "leaf-created")).toEqual([]);
          expect((await leavesOf(session, "public.t")).map(({ name }) => name)).toEqual([
            "t_eu",
            "t_us",
            "t_default",
          ]);
          expect(Number(await value(session, inLeaf("t_default", "region ~ '^late'")))).toBeGreaterThan(0);
        },
      },
    );
  });
});

let db: TestDatabase;
let app: Session;

describe("step by step", () => {
  beforeEach(async () => {
    db = await freshDatabase();
    app = await db.session();
  });
  afterEach(() => db.drop());

  const made = (m: TestMigration) => m.seen("leaf-created").map(({ leaf }) => leaf);
  const late = (id: number, at: string) =>
    app.query("INSERT INTO public.orders (id, created_at) VALUES ($1, $2)", [id, at]);
  async function orders(options: RawOptions = {}): Promise<TestMigration> {
    await createOrders(app, 200);
    await app.query("UPDATE public.orders SET created_at = 'infinity' WHERE id % 10 = 0");
    return startMigration(db, { by: "created_at", every: "quarter", ahead: "0", ...REST, ...options });
  }

  test("a late row whose leaf can be made would be hidden in DEFAULT by the copy or the catching up", async () => {
    const m = await orders();
    await late(9001, "2031-08-08 00:00+00");
    await late(9002, "-infinity");
    await late(9003, "294276-12-30 00:00+00");
    await m.through("copy");
    expect(made(m)).toEqual(["orders_2031_q3"]);
    expect(await value(app, inLeaf("orders_default"))).toBe("22");
    await m.through("index");
    await late(9004, "1999-01-01 00:00+00");
    await late(9005, "4714-11-25 00:00+00 BC");
    await app.query("UPDATE public.orders SET created_at = '2032-02-02 00:00+00' WHERE id = 9002");
    await app.query("UPDATE public.orders SET created_at = '-infinity' WHERE id = 1");
    await m.run("ready");
    expect(made(m).toSorted()).toEqual(["orders_1999_q1", "orders_2031_q3", "orders_2032_q1"]);
    expect(await m.difference()).toEqual(SAME);
    expect(
      await lines(
        app,
        "SELECT id::text AS line FROM public.orders_default WHERE id < 9000 AND isfinite(created_at)",
      ),
    ).toEqual([]);
    await m.through("validate");
    // In the last drain, inside the lock: rolled back, its leaf made, tried again.
    m.before(
      /^LOCK TABLE .*orders_partitioned.* IN ACCESS EXCLUSIVE MODE/,
      async () => void (await late(9006, "2040-01-01 00:00+00")),
    );
    await m.through("cutover");
    expect(await value(app, "SELECT tableoid::regclass::text FROM public.orders WHERE id = 9006")).toBe(
      "public.orders_2040_q1",
    );
    expect(await value(app, "SELECT count(*) FROM public.orders_default WHERE isfinite(created_at)")).toBe(
      "2",
    );
  });

  test("late rows without end would end the cutover with an error of PostgreSQL's that says nothing of the cause", async () => {
    const m = await orders();
    await m.through("validate");
    let year = 2040;
    m.before(
      /^LOCK TABLE .*orders_partitioned.* IN ACCESS EXCLUSIVE MODE/,
      async () => {
        if (year < 2100) await late(year, `${year++}-01-01 00:00+00`);
      },
      1000,
    );
    await expect(m.run("cutover")).rejects.toMatchObject({
      kind: "lock-busy",
      message: expect.stringContaining("between the last drain and the lock, 5 times"),
      next: expect.stringContaining(`partway resume ${m.plan.id}`),
    });
    year = 2100;
    await m.through("cutover");
    expect(await m.difference("reverse")).toEqual(SAME);
    expect(await value(app, "SELECT count(*) FROM public.orders_default WHERE isfinite(created_at)")).toBe(
      "0",
    );
  });

  test("a NULL that arrives late would be taken for a row that DEFAULT holds, and tried for ever", async () => {
    await createOrders(app, 100);
    await app.query("ALTER TABLE public.orders ALTER COLUMN created_at DROP NOT NULL, ADD region text");
    const refused = startMigration(db, { by: "region", list: "eu", ...REST });
    await expect(refused).rejects.toThrow(/null-partition-values/);
    await app.query("UPDATE public.orders SET region = 'mars'");
    const second = await startMigration(db, { by: "region", list: "eu", ...REST });
    await second.through("index");
    await app.query("UPDATE public.orders SET region = NULL WHERE id = 5");
    await expect(second.run("ready")).rejects.toMatchObject({ kind: "refused", message: /region NULL/ });
    await app.query("UPDATE public.orders SET region = 'eu' WHERE id = 5");
    await second.run("ready");
    expect(await second.difference()).toEqual(SAME);
  });

  test("a difference in DEFAULT would not be found, named or mended", async () => {
    const m = await orders();
    await m.through("index");
    await app.query("DELETE FROM public.orders_default WHERE id = 10");
    await app.query("UPDATE public.orders_default SET note = 'wrong' WHERE id = 20");
    await expect(m.run("validate")).rejects.toMatchObject({ kind: "difference", message: /orders_default/ });
    await m.run("validate", { repair: true });
    expect(await m.difference()).toEqual(SAME);
  });

  test("TRUNCATE of DEFAULT, and its loss, would go unseen in the window", async () => {
    const m = await orders();
    await m.through("cutover");
    await app.query("UPDATE public.orders SET note = 'window' WHERE id = 10");
    await app.query("TRUNCATE public.orders_default");
    expect((await m.log("reverse")).map(({ op }) => op)).toEqual(["r", "t"]);
    await m.run("retain");
    expect(await m.difference("reverse")).toEqual(SAME);
    expect((await verdict(app, m.plan, await m.stored())).safe).toBe(true);
    await app.query("ALTER TABLE public.orders DETACH PARTITION public.orders_default");
    expect(await verdict(app, m.plan, await m.stored())).toMatchObject({
      safe: false,
      sentence: expect.stringContaining("orders_default"),
    });
  });

  test("a leaf made by hand in the window, for rows that went into DEFAULT, would cost the way back", async () => {
    const m = await orders();
    await m.through("cutover");
    await late(9001, "2031-08-08 00:00+00");
    await app.tx(async () => {
      await app.query(
        "CREATE TABLE public.orders_2031 (LIKE public.orders INCLUDING ALL EXCLUDING IDENTITY)",
      );
      await app.query(
        `WITH moved AS (DELETE FROM public.orders_default WHERE id = 9001 RETURNING *)
         INSERT INTO public.orders_2031 SELECT * FROM moved`,
      );
      await app.query(
        "ALTER TABLE public.orders ATTACH PARTITION public.orders_2031 FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')",
      );
    });
    await app.query("UPDATE public.orders SET created_at = '2031-02-02 00:00+00' WHERE id = 10");
    await m.run("retain");
    expect(await m.difference("reverse")).toEqual(SAME);
    await m.run("rollback");
    expect(
      await lines(
        app,
        "SELECT id::text AS line FROM public.orders WHERE created_at > '2031-01-01' AND isfinite(created_at) ORDER BY id",
      ),
    ).toEqual(["10", "9001"]);
  });

  test("a leaf, or the CHECK, would have a bound that the type cannot hold", async () => {
    for (const type of ["date", "timestamp", "timestamptz"] as const)
      for (const every of ["hour", "day", "week", "month", "quarter", "year"] as const) {
        if (type === "date" && every === "hour") continue;
        const { first, end } = intervalsOf(every, type);
        const at = (index: number) => literal(instantText(startOf(index, every), type));
        const leaf = (index: number) => `FOR VALUES FROM (${at(index)}) TO (${at(index + 1)})`;
        const reach = timeReach(every, type);
        await app.query("DROP TABLE IF EXISTS public.t");
        await app.query(`CREATE TABLE public.t (at ${type} NOT NULL) PARTITION BY RANGE (at)`);
        await app.query("CREATE TABLE public.t_rest PARTITION OF public.t DEFAULT");
        await app.query(`ALTER TABLE public.t_rest ADD CHECK (${beyondSql("at", reach)})`);
        await app.query(`CREATE TABLE public.t_first PARTITION OF public.t ${leaf(first)}`);
        await app.query(`CREATE TABLE public.t_last PARTITION OF public.t ${leaf(end - 1)}`);
        await expect(
          app.query(`CREATE TABLE public.t_beyond PARTITION OF public.t ${leaf(end)}`),
        ).rejects.toMatchObject({
          code: expect.stringMatching(/^(22008|22007)$/),
        });
        await app.query(
          `INSERT INTO public.t VALUES ('infinity'), ('-infinity'), (${at(first)}), (${at(end)})`,
        );
        expect(await value(app, "SELECT count(*) FROM public.t_rest")).toBe("3");
        const within = `SELECT count(*) FROM public.t WHERE ${withinSql("at", reach)}`;
        expect(await value(app, within)).toBe("1");
      }
  });

  test("a table at infinity alone, and an abort that leaves DEFAULT behind", async () => {
    await createOrders(app, 60);
    await app.query("UPDATE public.orders SET created_at = 'infinity'");
    const before = await lines(
      app,
      "SELECT relname AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    );
    const m = await startMigration(db, { by: "created_at", every: "month", ahead: "1", ...REST });
    expect(m.plan.leaves.map(({ name, estimatedRows }) => `${name} ${estimatedRows}`)).toEqual([
      ...["orders_2025_11 0", "orders_2025_12 0", "orders_2026_01 0", "orders_default 60"],
    ]);
    await m.through("validate");
    expect(await m.difference()).toEqual(SAME);
    await m.run("abort");
    expect(
      await lines(
        app,
        "SELECT relname AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
      ),
    ).toEqual(before);
  });

  test("by number: the type's last values would be refused, or stretch the leaves to the type's end", async () => {
    await app.query("CREATE TABLE public.orders (id int PRIMARY KEY, n int NOT NULL)");
    await app.query("INSERT INTO public.orders SELECT g, g * 10 FROM generate_series(1, 300) g");
    await app.query("INSERT INTO public.orders VALUES (-1, 2147483647), (-2, 2147483000), (-3, -2147483648)");
    await app.query("DELETE FROM public.orders WHERE id = -3");
    const plan = await makePlan({ table: "orders", url: db.ownerUrl, by: "n", step: "1000", ahead: "0" });
    expect(plan.refusals.map(({ code }) => code)).toEqual(["too-many-leaves"]);
    const m = await startMigration(db, { by: "n", step: "1000", ahead: "0", ...REST });
    expect(m.plan.leaves.map(({ name }) => name)).toEqual([
      ...["orders_0", "orders_1000", "orders_2000", "orders_3000", "orders_default"],
    ]);
    await m.through("copy");
    await app.query("UPDATE public.orders SET n = 2147483600 WHERE id = 7");
    await app.query("UPDATE public.orders SET n = 2147482999 WHERE id = 8");
    await app.query("INSERT INTO public.orders VALUES (-3, -2147483648)");
    await m.through("cutover");
    expect(made(m).toSorted()).toEqual(["orders_2147482000", "orders_m2147484000"]);
    expect(await lines(app, "SELECT id::text AS line FROM public.orders_default ORDER BY id")).toEqual([
      ...["-2", "-1", "7"],
    ]);
    expect(await m.difference("reverse")).toEqual(SAME);
  });
});

test("after the window: health would warn for ever of what no leaf can hold, or not of what one could", async () => {
  db = await freshDatabase();
  app = await db.session();
  const state = await mkdtemp(join(tmpdir(), "partway-fallback-"));
  try {
    await app.query("CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL)");
    await app.query(`INSERT INTO public.t (at) SELECT CASE WHEN g % 3 = 0 THEN 'infinity' ELSE now() END
      FROM generate_series(1, 90) g`);
    const how = { url: db.ownerUrl, state, hold: false };
    const first = await run({
      ...how,
      table: "t",
      by: "at",
      every: "month",
      ahead: "0",
      ...REST,
      backup: false,
    });
    expect((await first.finished).outcome).toBe("retained");
    await app.query("INSERT INTO public.t (at) VALUES (now() + interval '1 month')");
    const end = await proceed("finalize", { ...how, force: "t" });
    expect((await end.finished).outcome).toBe("done");
    expect(await value(app, inLeaf("t_default", "isfinite(at)"))).toBe("1");

    const care = { url: db.ownerUrl, tables: ["t"] };
    const findings = async () => (await health(care)).flatMap(({ findings: f }) => f.map(({ code }) => code));
    await adopt({ ...care, policy: { ahead: 2 } });
    expect(await findings()).toContain("default-not-empty");
    const made = async () => {
      const { tables, exitCode } = await maintain(care);
      expect(exitCode).toBe(0);
      return tables.flatMap((table) => ("created" in table ? table.created : []));
    };
    expect(await made()).toHaveLength(2);
    expect(await value(app, inLeaf("t_default"))).toBe("30");
    expect(await value(app, inLeaf("t_default", "isfinite(at)"))).toBe("0");
    // Nothing more to do, nothing to warn of: the thirty stay where they are.
    expect(await made()).toEqual([]);
    // 14 hears of an ANALYZE a moment later.
    await expect.poll(findings, { timeout: 20_000 }).toEqual([]);
    await app.query("INSERT INTO public.t (at) VALUES ('2100-01-01 00:00+00')");
    expect(await findings()).toEqual(["default-not-empty"]);

    for (const sql of [
      "CREATE TABLE public.l (region text) PARTITION BY LIST (region)",
      "CREATE TABLE public.l_eu PARTITION OF public.l FOR VALUES IN ('eu')",
      "CREATE TABLE public.l_rest PARTITION OF public.l DEFAULT",
      "INSERT INTO public.l VALUES ('mars'), (NULL)",
      "CREATE TABLE public.n (n int) PARTITION BY RANGE (n)",
      "CREATE TABLE public.n_0 PARTITION OF public.n FOR VALUES FROM (0) TO (1000)",
      "CREATE TABLE public.n_rest PARTITION OF public.n DEFAULT",
      "INSERT INTO public.n VALUES (NULL), (2147483647), (2147483000)",
    ])
      await app.query(sql);
    const of = async (table: string) =>
      (await health({ url: db.ownerUrl, tables: [table] })).flatMap(({ findings: f }) =>
        f.map(({ code }) => code),
      );
    expect([...(await of("l")), ...(await of("n"))]).not.toContain("default-not-empty");
    await app.query("INSERT INTO public.n VALUES (2147482999)");
    expect(await of("n")).toContain("default-not-empty");
  } finally {
    await rm(state, { recursive: true, force: true });
    await db.drop();
  }
});
