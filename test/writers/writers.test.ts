/** The exact-ledger writers with no migration at all: a ledger that is wrong here would be blamed on one. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
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

/** Every shape; TRUNCATE, COPY, bulk, keys that change and long transactions are in the mixes. */
const CASES = [
  { shape: "int", scheme: "hash of the key", mix: "keys", seed: 101 },
  { shape: "identity", scheme: "day timestamptz", mix: "bulk", seed: 102 },
  { shape: "uuid", scheme: "step bigint", mix: "copy", seed: 103 },
  { shape: "text", scheme: "month date", mix: "toast", seed: 104 },
  { shape: "composite", scheme: "hour timestamptz", mix: "long", seed: 105 },
] as const;

test.each(CASES)(
  "a run without any migration would be reported as loss: $shape by $scheme, mix $mix (seed $seed)",
  async (what) => {
    open = await scene(db.ownerUrl, what);
    await open.committed(70);
    expect(await open.writers.compare()).toMatchObject(EXACT);
    await open.committed(50);
    await open.writers.stop();
    const report = open.writers.report();
    expect(report.errors).toEqual([]);
    expect(report.counts["stale snapshot"]).toBeUndefined();
    expect(await open.writers.compare()).toMatchObject(EXACT);
  },
);

test("rows of before a TRUNCATE would be expected, or those of after it not (seed 7)", async () => {
  open = await scene(db.ownerUrl, {
    ...{ shape: "text", scheme: "list", mix: "serializable", truncates: true, seed: 7 },
  });
  for (let n = 1; n <= 2; n++) {
    await open.committed(30);
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
    ...{ shape: "composite", scheme: "list", truncates: true, seed: 8, name: "Odd items" },
  });
  await open.writers.compare();
  await open.writers.stop();
  // The application's table is partitioned under its feet, as a cutover does it.
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
  const { writers } = open;
  for (let n = 0; n < 6; n++) {
    await open.committed(10);
    await writers.cut();
  }
  // Go on until one was cut with its outcome unknown: most are.
  await expect
    .poll(
      async () => {
        if (writers.report().counts["outcome asked for"] === undefined) await writers.cut();
        return writers.report().counts["outcome asked for"] ?? 0;
      },
      { timeout: 60_000, interval: 20 },
    )
    .toBeGreaterThan(0);
  await writers.stop();
  expect(writers.report().errors).toEqual([]);
  expect(await writers.compare()).toMatchObject(EXACT);
});
