/** The exact-ledger writers with no migration at all: a ledger that is wrong here would be blamed on one. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { MIXES } from "../support/writers/mix.js";
import { SCHEME_NAMES, SHAPE_NAMES } from "../support/writers/shapes.js";
import { EXACT, type Scene, scene } from "./support.js";

let db: TestDatabase;
let session: Session;
let open: Scene | null = null;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});

afterEach(async () => {
  await open?.writers.stop();
  open = null;
  await db.drop();
});

/** Every shape, every scheme and every mix at least once. */
const CASES = SCHEME_NAMES.map((scheme, i) => ({
  scheme,
  shape: scheme.endsWith("of the key") ? ("int" as const) : (SHAPE_NAMES[i % SHAPE_NAMES.length] ?? "int"),
  mix: MIXES[i % MIXES.length]?.name ?? "all",
  seed: 100 + i,
}));

test.each(CASES)(
  "a run without any migration would be reported as loss: $shape by $scheme, mix $mix (seed $seed)",
  async (what) => {
    open = await scene(db.ownerUrl, what);
    await open.committed(150);
    expect(await open.writers.compare()).toMatchObject(EXACT);
    await open.committed(100);
    await open.writers.stop();
    const report = open.writers.report();
    expect(report.errors).toEqual([]);
    expect(report.counts["stale snapshot"]).toBeUndefined();
    expect(await open.writers.compare()).toMatchObject(EXACT);
  },
);

test("rows of before a TRUNCATE would be expected, or those of after it not (seed 7)", async () => {
  open = await scene(db.ownerUrl, {
    shape: "text",
    scheme: "list",
    mix: "serializable",
    truncates: true,
    seed: 7,
  });
  for (let n = 1; n <= 4; n++) {
    await open.committed(60);
    expect(await open.writers.truncate("table")).toBe("done");
    expect(await open.writers.truncate("leaf")).toBe("no leaf");
    expect(await open.writers.compare()).toMatchObject(EXACT);
  }
  await open.writers.stop();
  expect(open.writers.report().errors).toEqual([]);
  expect(await open.writers.compare()).toMatchObject(EXACT);
});

test("rows of a truncated leaf would be expected (seed 8)", async () => {
  open = await scene(db.ownerUrl, {
    shape: "composite",
    scheme: "list",
    truncates: true,
    seed: 8,
    name: "Odd items",
  });
  await open.writers.compare();
  // The application's table is partitioned under its feet, as a cutover does it.
  await open.writers.stop();
  await session.query(`ALTER TABLE public."Odd items" RENAME TO plain;
    CREATE TABLE public."Odd items" (LIKE public.plain INCLUDING DEFAULTS) PARTITION BY HASH (code);
    CREATE TABLE public.l0 PARTITION OF public."Odd items" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE public.l1 PARTITION OF public."Odd items" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO public."Odd items" SELECT * FROM public.plain`);
  expect(await open.writers.truncate("leaf")).toBe("done");
  const { rows, ...found } = await open.writers.compare();
  expect(found).toEqual(EXACT);
  expect(rows).toBeGreaterThan(50);
});

test("connections cut in the middle of a commit would make the ledger guess (seed 9)", async () => {
  open = await scene(db.ownerUrl, { shape: "identity", scheme: "month timestamptz", seed: 9 });
  for (let n = 0; n < 15; n++) {
    await open.committed(15);
    await open.writers.cut();
  }
  await open.writers.stop();
  const report = open.writers.report();
  expect(report.errors).toEqual([]);
  expect(report.retries["CONNECTION"]).toBeGreaterThan(20);
  expect(report.counts["outcome asked for"]).toBeGreaterThan(0);
  expect(await open.writers.compare()).toMatchObject(EXACT);
});

describe("damage done behind the writers' backs would go unnoticed", () => {
  const ONE = "ctid = (SELECT min(ctid) FROM public.items WHERE id > 2)";
  const damages: [string, string, object][] = [
    ["a lost row", `DELETE FROM public.items WHERE ${ONE}`, { lost: 1, extra: 0, changed: 0 }],
    [
      "a row from nowhere",
      "INSERT INTO public.items (id, at, status) VALUES (-5, now(), 'new')",
      { lost: 0, extra: 1, changed: 0 },
    ],
    ["a changed value", `UPDATE public.items SET note = 'x' WHERE ${ONE}`, { lost: 0, extra: 0, changed: 1 }],
    [
      "an equal value that is not the same",
      `UPDATE public.items SET amount = 1.000 WHERE ${ONE}`,
      { lost: 0, extra: 0, changed: 1 },
    ],
    [
      "a microsecond",
      `UPDATE public.items SET at = at + interval '1 microsecond' WHERE ${ONE}`,
      { lost: 0, extra: 0, changed: 1 },
    ],
    [
      "one character of 20,000",
      "UPDATE public.items SET body = overlay(body placing '!' from 9000 for 1) WHERE ctid = (SELECT min(ctid) FROM public.items WHERE length(body) > 9000)",
      { lost: 0, extra: 0, changed: 1 },
    ],
    [
      "a stale copy beside the row",
      `ALTER TABLE public.items DROP CONSTRAINT items_pkey; INSERT INTO public.items SELECT id, at - interval '1 day', status, amount, note, mark, body FROM (SELECT id, at, status, amount, note, mark, body FROM public.items WHERE ${ONE}) AS s`.replace(
        "INSERT INTO public.items SELECT",
        "INSERT INTO public.items (id, at, status, amount, note, mark, body) SELECT",
      ),
      { lost: 0, extra: 1, changed: 0 },
    ],
  ];

  test.each(damages)("%s", async (_, sql, found) => {
    open = await scene(db.ownerUrl, {
      shape: "int",
      scheme: "month timestamptz",
      mix: "toast",
      seed: 20,
      rows: 300,
    });
    await open.committed(20);
    await open.writers.stop();
    expect(await open.writers.compare()).toMatchObject(EXACT);
    await session.query(sql);
    const comparison = await open.writers.compare();
    expect(comparison).toMatchObject({ ...found, equal: false });
    expect(comparison.examples).toHaveLength(1);
  });

  test("a row back from before a TRUNCATE", async () => {
    open = await scene(db.ownerUrl, { shape: "int", scheme: "month timestamptz", truncates: true, seed: 21 });
    await session.query("CREATE TABLE public.kept AS SELECT * FROM public.items WHERE id = 1");
    await open.writers.truncate("table");
    await open.writers.stop();
    expect(await open.writers.compare()).toMatchObject(EXACT);
    await session.query("INSERT INTO public.items SELECT * FROM public.kept");
    expect(await open.writers.compare()).toMatchObject({ equal: false, lost: 0, extra: 1, changed: 0 });
  });

  test("a stale row that the writers write to again", async () => {
    open = await scene(db.ownerUrl, {
      shape: "uuid",
      scheme: "hash",
      mix: "serializable",
      seed: 22,
      rows: 50,
    });
    await open.committed(50);
    await session.query(
      "BEGIN; LOCK TABLE public.items; UPDATE public.items SET status = status || '?'; COMMIT",
    );
    const { writers } = open;
    await expect.poll(() => writers.report().errorCount, { timeout: 60_000 }).toBeGreaterThan(0);
    await writers.stop();
    expect(writers.report().errors.map((error) => error.code)).toContain("LEDGER");
  });
});
