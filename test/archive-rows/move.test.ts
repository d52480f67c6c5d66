/** Old rows on their way into the archive, with an application in between: each is in exactly one of the two tables. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type ArchiveRowsOptions, archiveRows } from "../../src/archive-rows.js";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { type Folder, freshFolder } from "../cli/support.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;
beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterEach(() => db.drop());

const BEFORE = "2025-04-01";
const COLUMNS = 'id bigint NOT NULL, at timestamptz NOT NULL, note text, "Odd""Name" int';
const FILL = `INSERT INTO public.orders SELECT n, '2025-01-01'::timestamptz + n * interval '1 hour', 'first', n
  FROM generate_series(1, 4000) AS n`;
const LEAVES = [1, 2, 3, 4, 5, 6].map(
  (month) =>
    `CREATE TABLE public.orders_${month} PARTITION OF public.orders FOR VALUES FROM ('2025-0${month}-01') TO ('2025-0${month + 1}-01')`,
);
/** With an index on the column; and in windows of blocks, leaf by leaf. */
const ORDINARY = [
  `CREATE TABLE public.orders (${COLUMNS}, PRIMARY KEY (id))`,
  "CREATE INDEX ON public.orders (at)",
  FILL,
];
const PARTITIONED = [
  `CREATE TABLE public.orders (${COLUMNS}, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
  ...LEAVES,
  FILL,
];

const run = (over: Partial<ArchiveRowsOptions> = {}) =>
  archiveRows({ url: db.ownerUrl, table: "orders", before: BEFORE, by: "at", ...over });
const text = async (sql: string): Promise<string> =>
  (await session.one(z.object({ text: z.string() }), sql)).text;
const counts = () =>
  text(
    `SELECT (SELECT count(*) FROM public.orders) || ' ' || (SELECT count(*) FROM public.orders_archive) AS text`,
  );

describe("rows that are to be moved", () => {
  let built: ReturnType<typeof bundleCli>;
  let folder: Folder;
  beforeAll(() => {
    built = bundleCli();
  });
  afterAll(() => built.remove());
  afterEach(() => folder.remove());

  test.each([
    ["an ordinary table", ORDINARY],
    ["a partitioned table", PARTITIONED],
  ])("of %s would be lost or doubled by a SIGKILL beside a live writer", async (_what, setup) => {
    for (const sql of setup) await session.query(sql);
    folder = freshFolder(built.file, db.ownerUrl);
    const args = [
      "archive-rows",
      "orders",
      "--before",
      BEFORE,
      "--by",
      "at",
      "--view",
      "all_orders",
      "--batch",
      "40",
      "--apply",
    ];
    const child = folder.start([...args, "--pause", "3ms"]);
    /** What must be in the two tables together. */
    const ledger = new Map(Array.from({ length: 4000 }, (_, n) => [String(n + 1), "first"]));
    const writer = await db.session();
    const looker = await db.session();
    let ended = false;
    const result = child.ended.finally(() => {
      ended = true;
    });
    for (let turn = 1; !ended || turn <= 300; turn++) {
      const id = String(((turn * 37) % 2600) + 1);
      const update = await writer.query("UPDATE public.orders SET note = $2 WHERE id = $1::bigint", [
        id,
        `turn ${turn}`,
      ]);
      if (update.count === 1) ledger.set(id, `turn ${turn}`);
      const gone = String(((turn * 53) % 2600) + 1);
      if ((await writer.query("DELETE FROM public.orders WHERE id = $1::bigint", [gone])).count === 1)
        ledger.delete(gone);
      const made = String(10_000 + turn);
      const at = turn % 2 === 0 ? "2025-02-02" : "2025-05-05";
      await writer.query(
        "INSERT INTO public.orders (id, at, note) VALUES ($1::bigint, $2::timestamptz, 'made')",
        [made, at],
      );
      ledger.set(made, "made");
      if (
        turn % 10 !== 0 ||
        (await text("SELECT (to_regclass('public.all_orders') IS NOT NULL)::text AS text")) !== "true"
      )
        continue;
      const Seen = z.object({ rows: z.string(), ids: z.string(), archived: z.coerce.number() });
      const seen = await looker.one(
        Seen,
        `SELECT count(*)::text AS rows, count(DISTINCT id)::text AS ids,
                (SELECT count(*) FROM public.orders_archive)::text AS archived FROM public.all_orders`,
      );
      expect(seen).toMatchObject({ rows: String(ledger.size), ids: String(ledger.size) });
      if (seen.archived > 400) child.child.kill("SIGKILL");
    }
    expect((await result).code, (await result).stderr).toBeNull();
    expect(Number((await counts()).split(" ")[1])).toBeGreaterThan(400);
    const again = await folder.run(args);
    expect(again.stderr.replaceAll(/^.*rows\/s\n/gm, "")).toBe("");
    expect(again.code).toBe(EXIT.done);
    const Row = z.object({ id: z.string(), note: z.string(), old: z.string(), from: z.string() });
    const rows = await session.rows(
      Row,
      `SELECT id::text AS id, note, (at < '${BEFORE}')::text AS old, 'table' AS from FROM public.orders
       UNION ALL SELECT id::text, note, (at < '${BEFORE}')::text, 'archive' FROM public.orders_archive`,
    );
    expect(rows.filter(({ old, from }) => (old === "true") !== (from === "archive"))).toEqual([]);
    expect(rows).toHaveLength(ledger.size);
    expect(new Map(rows.map(({ id, note }) => [id, note]))).toEqual(ledger);
  });
});

test("a dry run would change something, or say less than it does", async () => {
  for (const sql of ORDINARY) await session.query(sql);
  const report = await run({ index: ["at,id"], view: "all_orders" });
  expect(report).toMatchObject({ total: 2159, moved: 0, done: false, before: "2025-04-01 00:00:00+00" });
  expect(report.statements).toHaveLength(3);
  expect(
    await text(
      "SELECT count(*)::text AS text FROM pg_class WHERE relname IN ('orders_archive', 'all_orders')",
    ),
  ).toBe("0");
  const applied = await run({ index: ["at,id"], view: "all_orders", apply: true });
  expect(applied).toMatchObject({ statements: report.statements, moved: 2159, done: true });
  expect(await counts()).toBe("1841 2159");
  expect(await text('SELECT sum("Odd""Name")::text AS text FROM public.all_orders')).toBe("8002000");
  expect(await run({ view: "all_orders", apply: true })).toMatchObject({
    statements: [],
    moved: 0,
    total: 0,
    done: true,
  });
});

test("Ctrl-C would leave a batch half moved, or a row that somebody has locked would be waited for or forgotten", async () => {
  for (const sql of ORDINARY) await session.query(sql);
  const stop = new AbortController();
  const stopped = await run({
    apply: true,
    batch: "100",
    signal: stop.signal,
    onProgress: ({ moved }) => moved >= 300 && stop.abort(),
  });
  expect(stopped).toMatchObject({ moved: 300, done: false });
  expect(await counts()).toBe("3700 300");
  const other = await db.session();
  await other.begin();
  await other.query("UPDATE public.orders SET note = 'locked' WHERE id = 1000");
  const rest = run({ apply: true, batch: "500" });
  await expect.poll(counts, { timeout: 20_000 }).toBe("1842 2158");
  await other.commit();
  expect(await rest).toMatchObject({ done: true, moved: 1859 });
  expect(await text("SELECT note AS text FROM public.orders_archive WHERE id = 1000")).toBe("locked");
});

test("what deletes or changes other rows, fires or differs would not be asked first", async () => {
  for (const sql of [
    `CREATE TABLE public.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, note text,
       long text GENERATED ALWAYS AS (note || '!') STORED)`,
    "CREATE TABLE public.items (order_id bigint REFERENCES public.orders ON DELETE CASCADE)",
    "CREATE FUNCTION public.seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN old; END $$",
    "CREATE TRIGGER seen BEFORE DELETE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.seen()",
    "CREATE PUBLICATION changes FOR TABLE public.orders",
    "INSERT INTO public.orders (at, note) VALUES ('2025-01-01', 'a'), ('2026-01-01', 'b')",
    "INSERT INTO public.items VALUES (1)",
  ])
    await session.query(sql);
  const allow = ["generated", "identity", "cascade", "triggers", "published"];
  expect((await run()).findings.map((one) => one.allow)).toEqual(allow);
  for (const left of allow)
    await expect(run({ apply: true, allow: allow.filter((one) => one !== left) })).rejects.toMatchObject({
      ...{ kind: "refused", message: expect.stringContaining(`--allow ${left}`) },
    });
  expect(await text("SELECT count(*)::text AS text FROM public.orders")).toBe("2");
  await session.query(
    "CREATE TABLE public.orders_archive (id int, at timestamptz, long text GENERATED ALWAYS AS ('x') STORED)",
  );
  await expect(run({ apply: true, allow })).rejects.toMatchObject({
    message: expect.stringMatching(
      /id is bigint in the table and integer[\s\S]*ADD COLUMN "note" text;[\s\S]*DROP EXPRESSION;/,
    ),
  });
  await session.query("DROP TABLE public.orders_archive");
  expect(await run({ apply: true, allow })).toMatchObject({ moved: 1, done: true });
  expect(await text("SELECT concat(id, note, long) AS text FROM public.orders_archive")).toBe("1aa!");
  expect(await text("SELECT count(*)::text AS text FROM public.items")).toBe("0");
});

test("a row that another table still needs would be half moved, or a wrong value read as another", async () => {
  for (const sql of ORDINARY) await session.query(sql);
  await session.query("CREATE TABLE public.items (order_id bigint REFERENCES public.orders)");
  await session.query("INSERT INTO public.items VALUES (150)");
  await expect(run({ apply: true, batch: "100" })).rejects.toMatchObject({
    ...{ kind: "refused", state: "Its batch was rolled back whole; 100 rows are in the archive." },
    message: expect.stringContaining("items"),
  });
  expect(await counts()).toBe("3900 100");
  for (const wrong of [
    { before: "soon" },
    { by: "nothing" },
    { by: undefined },
    { batch: "0" },
    { allow: ["all"] },
  ])
    await expect(run(wrong)).rejects.toMatchObject({ kind: "bad-input" });
  await session.query(`CREATE VIEW public.taken AS SELECT 1 AS n`);
  await expect(run({ view: "taken" })).rejects.toMatchObject({ kind: "bad-input" });
});

const ARCHIVE = "CREATE TABLE public.orders_archive (LIKE public.orders)";

test("a leaf's rows would take those of other tables along, by a foreign key of the whole table", async () => {
  for (const sql of [
    ...PARTITIONED,
    `CREATE TABLE public.items (id bigint, at timestamptz,
       FOREIGN KEY (id, at) REFERENCES public.orders ON DELETE CASCADE)`,
    "INSERT INTO public.items SELECT id, at FROM public.orders WHERE id = 7",
  ])
    await session.query(sql);
  const leaf = { table: "orders_1", before: "2025-02-01" };
  expect((await run(leaf)).findings).toMatchObject([
    { allow: "cascade", what: expect.stringContaining("of public.items") },
  ]);
  await expect(run({ ...leaf, apply: true })).rejects.toMatchObject({ kind: "refused" });
  expect(await text("SELECT count(*)::text AS text FROM public.items")).toBe("1");
});

test("rows that a trigger or a rule of the archive lets vanish would be lost", async () => {
  for (const sql of [
    ...ORDINARY,
    ARCHIVE,
    `CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql
       AS $$ BEGIN IF new.id % 150 = 0 THEN RETURN NULL; END IF; RETURN new; END $$`,
    "CREATE TRIGGER swallow BEFORE INSERT ON public.orders_archive FOR EACH ROW EXECUTE FUNCTION public.swallow()",
  ])
    await session.query(sql);
  const apply = { apply: true, allow: ["triggers"], batch: "100" };
  await expect(run(apply)).rejects.toMatchObject({
    ...{ kind: "refused", message: expect.stringMatching(/of 100 rows .* kept 99: a trigger there/) },
    state: expect.stringContaining("100 rows were moved before it."),
  });
  expect(await counts()).toBe("3900 100");
  await session.query("DROP TRIGGER swallow ON public.orders_archive");
  await session.query("CREATE RULE gone AS ON INSERT TO public.orders_archive DO INSTEAD NOTHING");
  await expect(run(apply)).rejects.toMatchObject({
    message: expect.stringContaining('DROP RULE "gone" ON "public"."orders_archive";'),
  });
  expect(await counts()).toBe("3900 100");
});

test("rows would go where a crash or the end of a session takes them", async () => {
  for (const sql of [...ORDINARY, ARCHIVE.replace("TABLE", "UNLOGGED TABLE")]) await session.query(sql);
  await expect(run({ apply: true })).rejects.toMatchObject({
    ...{ kind: "refused", message: expect.stringContaining('"public"."orders_archive" SET LOGGED;') },
  });
  await expect(run({ into: "pg_temp.old", apply: true })).rejects.toMatchObject({ kind: "bad-input" });
  expect(await counts()).toBe("4000 0");
  await session.query("ALTER TABLE public.orders SET UNLOGGED");
  expect(await run({ apply: true })).toMatchObject({ moved: 2159, done: true });
});

test("old rows would be open to whom ALTER DEFAULT PRIVILEGES names", async () => {
  for (const sql of [
    ...ORDINARY,
    "CREATE SCHEMA attic",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA attic GRANT DELETE ON TABLES TO pg_monitor",
  ])
    await session.query(sql);
  await run({ into: "attic.orders", apply: true });
  expect(
    await text(`SELECT coalesce(string_agg(a.grantee::regrole::text, ','), 'nobody') AS text
      FROM pg_class c, aclexplode(c.relacl) AS a WHERE c.oid = 'attic.orders'::regclass AND a.grantee <> c.relowner`),
  ).toBe("nobody");
});
