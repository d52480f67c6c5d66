/** Apply, forward (DESIGN 3.4): it copies the present on one snapshot, and forgets exactly the log rows that it has applied. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Session } from "../../src/pg/session.js";
import type { PhaseContext } from "../../src/phases/phase.js";
import { type ApplyOptions, applyOnce, applyStep, UniqueConflict } from "../../src/sync/apply.js";
import { catchUp } from "../../src/sync/catchup.js";
import { drain } from "../../src/sync/drain.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
let app: Session;
let m: TestMigration;
let context: PhaseContext & { close(): Promise<void> };
/** The applier's session; `before` hooks see its statements. */
let applier: Session;

const stage = stages(async (last: "index") => {
  const original = await freshDatabase();
  const owner = await original.session();
  await createOrders(owner, 200);
  await owner.query("CREATE UNIQUE INDEX code ON public.orders (amount, created_at)");
  const made = await startMigration(original, { by: "created_at", every: "quarter", ahead: "0" });
  await made.through(last);
  return made;
});
beforeEach(async () => {
  m = await stage("index");
  ({ db } = m);
  app = await db.session();
  context = m.context();
  applier = await context.open();
});
afterEach(async () => {
  await context.close();
  await db.drop();
});

const options = (limit = 5000): ApplyOptions => ({
  plan: m.plan,
  sides: m.sides(),
  lease: m.lease,
  limit,
});
const seqs = async () => (await m.log()).map((row) => row.seq);
const shadowRow = (id: number) =>
  value(app, `SELECT string_agg(t::text, ' and ') FROM ${m.sides().lagging} AS t WHERE id = ${id}`);

/** What an application may do to a row; each ends with the same rows on both sides, and an empty log. */
const CHANGES: Record<string, string[]> = {
  "a changed key": ["UPDATE public.orders SET id = id + 1000 WHERE id BETWEEN 5 AND 9"],
  "two keys exchanged": [
    "UPDATE public.orders SET id = -1 WHERE id = 5",
    "UPDATE public.orders SET id = 5 WHERE id = 6",
    "UPDATE public.orders SET id = 6 WHERE id = -1",
  ],
  "a row moved to another leaf": [
    "UPDATE public.orders SET created_at = created_at + interval '5 months' WHERE id IN (5, 50, 100)",
  ],
  "a row moved to another leaf and back": [
    "UPDATE public.orders SET created_at = created_at + interval '5 months' WHERE id = 5",
    "UPDATE public.orders SET created_at = created_at - interval '5 months', note = 'back' WHERE id = 5",
  ],
  "key and leaf changed at once": [
    "UPDATE public.orders SET id = 7777, created_at = created_at + interval '5 months' WHERE id = 5",
  ],
  "two rows that exchange their months": [
    `UPDATE public.orders AS o SET created_at = p.created_at FROM public.orders AS p
      WHERE (o.id = 5 AND p.id = 150) OR (o.id = 150 AND p.id = 5)`,
  ],
  "a column set to NULL": ["UPDATE public.orders SET note = NULL WHERE id BETWEEN 20 AND 30"],
  "a row deleted and made again under its key": [
    "DELETE FROM public.orders WHERE id = 5",
    "INSERT INTO public.orders (id, created_at, note) VALUES (5, '2025-01-08 06:43:12+00', 'again')",
  ],
  "a row deleted and made again in another month": [
    "DELETE FROM public.orders WHERE id = 5",
    "INSERT INTO public.orders (id, created_at, note) VALUES (5, '2025-11-11 00:00:00+00', 'again')",
  ],
  "a row made and deleted": [
    "INSERT INTO public.orders (id, created_at) VALUES (900, '2025-11-11 00:00:00+00')",
    "DELETE FROM public.orders WHERE id = 900",
  ],
  "a hot row": Array.from(
    { length: 60 },
    (_, i) => `UPDATE public.orders SET amount = ${1000 + i} WHERE id = 5`,
  ),
  "many rows deleted": ["DELETE FROM public.orders WHERE id % 3 = 0"],
  "many rows inserted": [
    "INSERT INTO public.orders (created_at, amount) SELECT '2025-06-06 00:00+00', 5000 + n FROM generate_series(1, 300) n",
  ],
  "everything at once": [
    "UPDATE public.orders SET id = id + 10000 WHERE id % 4 = 0",
    "UPDATE public.orders SET created_at = created_at + interval '1 month' WHERE id % 5 = 0 AND id < 150",
    "DELETE FROM public.orders WHERE id % 7 = 0",
    "UPDATE public.orders SET note = NULL WHERE id % 6 = 0",
    "INSERT INTO public.orders (id, created_at, amount) VALUES (7, '2025-12-01 00:00+00', 9999)",
  ],
};

describe("lost or stale in the new table would be", () => {
  for (const [what, statements] of Object.entries(CHANGES)) {
    test(what, async () => {
      for (const sql of statements) await app.query(sql);
      expect((await seqs()).length).toBeGreaterThan(1);
      while ((await applyStep(applier, options(2))) > 0);
      expect(await m.difference()).toEqual(SAME);
      expect(await seqs()).toEqual([]);
    });
  }
});

test("a row moved while it is applied would be in neither place", async () => {
  await app.query("UPDATE public.orders SET note = 'first' WHERE id = 5");
  const before = await value(app, "SELECT t::text FROM public.orders AS t WHERE id = 5");
  m.before(/^DELETE FROM "public"/, async () => {
    await app.query("UPDATE public.orders SET created_at = created_at + interval '6 months' WHERE id = 5");
  });
  expect(await applyOnce(applier, options())).toBe(1);
  // As of its snapshot, whole; what was committed meanwhile is still in the log.
  expect(await shadowRow(5)).toBe(before);
  expect((await seqs()).length).toBe(2);
  await applyOnce(applier, options());
  expect(await m.difference()).toEqual(SAME);
});

test("half of a transaction would be applied", async () => {
  await app.query("UPDATE public.orders SET amount = amount + 0.25 WHERE id IN (5, 150)");
  m.before(/^INSERT INTO "public"/, async () => {
    await app.query("UPDATE public.orders SET amount = amount + 0.5 WHERE id IN (5, 150)");
  });
  await applyOnce(applier, options());
  const amounts = await app.rows(
    z.object({ amount: z.string() }),
    `SELECT (amount % 1)::text AS amount FROM ${m.sides().lagging} WHERE id IN (5, 150)`,
  );
  expect(amounts.map((row) => row.amount)).toEqual(["0.25", "0.25"]);
  await applyOnce(applier, options());
  expect(await m.difference()).toEqual(SAME);
});

test("a log row with a lower number that commits later would be lost", async () => {
  const slow = await db.session();
  await slow.begin();
  await slow.query("UPDATE public.orders SET note = 'slow' WHERE id = 5");
  await app.query("UPDATE public.orders SET note = 'fast' WHERE id = 6");
  expect(await applyOnce(applier, options())).toBe(1);
  await slow.commit();
  expect((await seqs()).length).toBe(1);
  expect(await applyOnce(applier, options())).toBe(1);
  expect(await m.difference()).toEqual(SAME);
});

test("a log row that commits between picking and forgetting would be forgotten unapplied", async () => {
  const slow = await db.session();
  await slow.begin();
  await slow.query("UPDATE public.orders SET note = 'slow' WHERE id = 5");
  await app.query("UPDATE public.orders SET note = 'fast' WHERE id = 6");
  m.before(/^DELETE FROM "partway"/, async () => {
    await slow.commit();
  });
  expect(await applyOnce(applier, options())).toBe(1);
  expect((await seqs()).length).toBe(1);
  await applyOnce(applier, options());
  expect(await m.difference()).toEqual(SAME);
});

test("log rows beyond the batch would be forgotten unapplied", async () => {
  for (const id of [5, 6, 7]) await app.query(`UPDATE public.orders SET note = 'x' WHERE id = ${id}`);
  const [, second, third] = await seqs();
  expect(await applyOnce(applier, options(1))).toBe(1);
  expect(await seqs()).toEqual([second, third]);
  await applyOnce(applier, options(2));
  expect(await m.difference()).toEqual(SAME);
});

test("a process that dies at COMMIT would forget what it had not applied, or apply it half", async () => {
  await app.query("UPDATE public.orders SET created_at = created_at + interval '1 month' WHERE id <= 20");
  const [log, difference] = [await seqs(), await m.difference()];
  m.before(/^COMMIT/, async (session) => {
    await app.query("SELECT pg_terminate_backend($1)", [session.pid]);
  });
  await expect(applyOnce(applier, options())).rejects.toThrow(/connection to the server lost/);
  expect(await seqs()).toEqual(log);
  expect(await m.difference()).toEqual(difference);
  await applyOnce(await context.open(), options());
  expect(await m.difference()).toEqual(SAME);
});

test("applying the same log rows again would double or lose rows", async () => {
  await app.query("UPDATE public.orders SET created_at = created_at + interval '1 month' WHERE id <= 20");
  await app.query("DELETE FROM public.orders WHERE id = 30");
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (901, '2025-04-04 00:00+00')");
  const { log } = m.sides();
  await app.query(`CREATE TABLE public.kept AS SELECT id, created_at FROM ${log}`);
  for (let round = 0; round < 3; round++) {
    await app.query(`INSERT INTO ${log} (id, created_at) SELECT id, created_at FROM public.kept`);
    await applyOnce(applier, options());
    expect(await m.difference()).toEqual(SAME);
  }
});

test("two appliers at once would double a row or stop each other for good", async () => {
  await app.query("UPDATE public.orders SET note = 'x' WHERE id <= 50");
  const other = await context.open();
  const free = async () => undefined;
  const quiet = { emit: () => undefined, signal: context.signal, gate: free, follower: free };
  const { limit, ...rest } = options();
  expect(limit).toBe(5000);
  await Promise.all([drain(applier, rest, quiet), drain(other, rest, quiet)]);
  expect(await m.difference()).toEqual(SAME);
  expect(await seqs()).toEqual([]);
});

test("a throttled run would never come to the end of its log: while it rests, more is written than it takes", async () => {
  await app.query("UPDATE public.orders SET note = 'x' WHERE id <= 60");
  const rests: number[] = [];
  const gate = async (workedMs = 0) => void rests.push(workedMs);
  const { limit: _all, ...rest } = options();
  await drain(applier, rest, { emit: () => undefined, signal: context.signal, gate, follower: gate });
  expect(rests).toEqual([0, 0]);
});

test("unique values exchanged by two rows would stop the catching up", async () => {
  await app.query("UPDATE public.orders SET created_at = '2025-03-03 00:00+00' WHERE id IN (5, 6)");
  await applyStep(applier, options());
  await app.begin();
  await app.query("UPDATE public.orders SET amount = -1 WHERE id = 5");
  await app.query("UPDATE public.orders SET amount = 5 WHERE id = 6");
  await app.query("UPDATE public.orders SET amount = 6 WHERE id = 5");
  await app.commit();
  // In one batch they are deleted first and inserted after: no conflict.
  await expect(applyOnce(applier, options(1))).rejects.toThrow(UniqueConflict);
  expect((await seqs()).length).toBe(3);
  expect(await applyStep(applier, options(1))).toBe(3);
  expect(await m.difference()).toEqual(SAME);
});

test("two dirty rows of one batch would collide with each other", async () => {
  await app.query("UPDATE public.orders SET created_at = '2025-03-03 00:00+00' WHERE id IN (5, 6, 7)");
  await applyStep(applier, options());
  await app.begin();
  await app.query("UPDATE public.orders SET amount = -1 WHERE id = 5");
  await app.query("UPDATE public.orders SET amount = 5 WHERE id = 6");
  await app.query("UPDATE public.orders SET amount = 6 WHERE id = 7");
  await app.query("UPDATE public.orders SET amount = 7 WHERE id = 5");
  await app.commit();
  // Deleted all first, then inserted: in one transaction, without the ladder.
  expect(await applyOnce(applier, options())).toBe(4);
  expect(await m.difference()).toEqual(SAME);
});

test("a foreign row in the way would be overwritten, or tried for ever", async () => {
  const { lagging } = m.sides();
  await app.query(`INSERT INTO ${lagging} (id, created_at, amount) VALUES (-5, '2025-03-03 00:00+00', 4242)`);
  await app.query("UPDATE public.orders SET amount = 4242, created_at = '2025-03-03 00:00+00' WHERE id = 5");
  await expect(applyStep(applier, options())).rejects.toThrow(UniqueConflict);
  expect((await seqs()).length).toBe(2);
});

test("an application faster than the applier would keep the run going without a word, or for ever", async () => {
  // Each batch of 5,000 meets 5,000 new changes, for as long as the run has not said so; then the application rests.
  const fill = `INSERT INTO ${m.sides().log} (id, created_at) SELECT -n, '2025-03-03 00:00+00' FROM generate_series(1, 5000) AS n`;
  await app.query(fill);
  m.before(
    /^SELECT l\.partway_seq/,
    async () => {
      if (m.seen("log").length === 0) await app.query(fill);
    },
    1000,
  );
  await catchUp(applier, context);
  expect(m.seen("log")).toMatchObject([{ level: "warn", message: expect.stringMatching(/changed faster/) }]);
  expect(await seqs()).toEqual([]);
});

test("a TRUNCATE among the changes would be applied in a guessed order", async () => {
  await app.query("UPDATE public.orders SET note = 'x' WHERE id = 5");
  await app.query("TRUNCATE public.orders");
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (5, '2025-03-03 00:00+00')");
  await expect(catchUp(applier, context)).rejects.toMatchObject({
    kind: "copy-restart",
    message: /truncated/,
  });
  expect(await m.stored()).toMatchObject({ phase: "shadow", shadowOid: null, generation: 2 });
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
});

test("changes in the middle of a TRUNCATE's transaction would be lost", async () => {
  await app.begin();
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (801, '2025-03-03 00:00+00')");
  await app.query("TRUNCATE public.orders");
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (802, '2025-03-03 00:00+00')");
  await app.commit();
  await m.run("ready").catch((error: unknown) => expect(error).toMatchObject({ kind: "copy-restart" }));
  await m.through("validate");
  expect(await m.difference()).toEqual(SAME);
  expect(await value(app, `SELECT string_agg(id::text, ',') FROM ${m.sides().lagging}`)).toBe("802");
});

test("a replaced orchestrator's applier would go on writing", async () => {
  const replaced = options();
  await app.query("UPDATE public.orders SET note = 'x' WHERE id = 5");
  await m.takeOver();
  await expect(applyStep(applier, replaced)).rejects.toMatchObject({ kind: "fenced" });
  expect((await seqs()).length).toBe(1);
  await applyStep(applier, options());
  expect(await m.difference()).toEqual(SAME);
});
