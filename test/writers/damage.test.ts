/** Damage done behind the writers' backs, with no migration at all: what the campaigns' proof must be able to find. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { EXACT, type Scene, scene } from "./support.js";

let db: TestDatabase;
let session: Session;
let open: Scene | null = null;

/** A table that was written to, and a copy of how it should be. */
beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  const one = await scene(db.ownerUrl, {
    ...{ shape: "int", scheme: "month timestamptz", mix: "toast", truncates: true, seed: 20, rows: 300 },
  });
  open = one;
  await one.committed(20);
  await session.query("CREATE TABLE public.before AS SELECT * FROM public.items WHERE id = 1");
  await one.writers.truncate("table");
  await one.committed(40);
  const long = "SELECT FROM public.items WHERE length(body) > 9000 LIMIT 1";
  while ((await session.query(long)).count === 0) await one.committed(5);
  await one.writers.stop();
  expect(one.writers.report().errors).toEqual([]);
  expect(await one.writers.compare()).toMatchObject(EXACT);
  await session.query("CREATE TABLE public.good AS SELECT * FROM public.items");
});

afterAll(async () => {
  await open?.writers.stop();
  await db.drop();
});

const ONE = "ctid = (SELECT min(ctid) FROM public.items)";
const LONG = "ctid = (SELECT min(ctid) FROM public.items WHERE length(body) > 9000)";
const DAMAGES: [string, string, object][] = [
  ["a lost row", `DELETE FROM public.items WHERE ${ONE}`, { lost: 1, extra: 0, changed: 0 }],
  [
    "a row from nowhere",
    "INSERT INTO public.items (id, at, status) VALUES (-5, now(), 'new')",
    { lost: 0, extra: 1, changed: 0 },
  ],
  [
    "a row back from before a TRUNCATE",
    "INSERT INTO public.items SELECT * FROM public.before",
    { lost: 0, extra: 1, changed: 0 },
  ],
  ["a changed value", `UPDATE public.items SET note = 'x' WHERE ${ONE}`, { lost: 0, extra: 0, changed: 1 }],
  [
    "an equal value that is not the same",
    `UPDATE public.items SET amount = coalesce(nullif(amount, 'NaN'), 1) + 0.000 WHERE ${ONE}`,
    { lost: 0, extra: 0, changed: 1 },
  ],
  [
    "a microsecond",
    `UPDATE public.items SET at = at + interval '1 microsecond' WHERE ${ONE}`,
    { lost: 0, extra: 0, changed: 1 },
  ],
  [
    "one character of 20,000",
    `UPDATE public.items SET body = overlay(body placing '!' from 9000 for 1) WHERE ${LONG}`,
    { lost: 0, extra: 0, changed: 1 },
  ],
  [
    "a stale copy beside the row",
    `ALTER TABLE public.items DROP CONSTRAINT items_pkey;
     INSERT INTO public.items (id, at, status, amount, note, mark, body)
     SELECT id, at - interval '1 day', status, amount, note, mark, body FROM public.items WHERE ${ONE}`,
    { lost: 0, extra: 1, changed: 0 },
  ],
];

describe("nobody would notice", () => {
  test.each(DAMAGES)("%s", async (_, sql, found) => {
    await session.query("TRUNCATE public.items; INSERT INTO public.items SELECT * FROM public.good");
    expect(await open?.writers.compare()).toMatchObject(EXACT);
    await session.query(sql);
    const comparison = await open?.writers.compare();
    expect(comparison).toMatchObject({ ...found, equal: false });
    expect(comparison?.examples).toHaveLength(1);
  });
});

test("a stale row would go unnoticed because the writers write to it again (seed 22)", async () => {
  const other = await freshDatabase();
  const { writers, committed } = await scene(other.ownerUrl, {
    ...{ shape: "uuid", scheme: "hash", mix: "serializable", seed: 22, rows: 50 },
  });
  try {
    await committed(20);
    const owner = await other.session();
    await owner.tx(async () => {
      await owner.query("LOCK TABLE public.items; UPDATE public.items SET status = status || '?'");
    });
    await expect.poll(() => writers.report().errorCount, { timeout: 60_000 }).toBeGreaterThan(0);
    await writers.stop();
    expect(writers.report().errors.map((error) => error.code)).toContain("LEDGER");
  } finally {
    await writers.stop();
    await other.drop();
  }
});
