/** Apply, in reverse (DESIGN 3.4, 3.8): the old key is stricter than the pair, and must not stop what it can take. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import type { PhaseContext } from "../../src/phases/phase.js";
import { catchUpReverse } from "../../src/sync/reverse.js";
import { type Verdict, verdict } from "../../src/sync/verdict.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";

let db: TestDatabase;
let app: Session;
let m: TestMigration;
let context: PhaseContext & { close(): Promise<void> };
let applier: Session;

beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
  await createOrders(app, 200);
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await m.through("cutover");
  context = m.context();
  applier = await context.open();
});
afterEach(async () => {
  await context.close();
  await db.drop();
});

const follow = () => catchUpReverse(applier, context);
const tell = async (): Promise<Verdict> => verdict(app, m.plan, await m.stored());
const retired = (id: number) =>
  value(app, `SELECT string_agg(note, '|') FROM ${m.sides("reverse").lagging} WHERE id = ${id}`);

test("writes since cutover would be lost by a rollback", async () => {
  await app.query("UPDATE public.orders SET note = NULL WHERE id = 5");
  await app.query("UPDATE public.orders SET id = id + 1000 WHERE id BETWEEN 10 AND 20");
  await app.query(
    "UPDATE public.orders SET created_at = created_at + interval '5 months' WHERE id BETWEEN 30 AND 40",
  );
  await app.query("UPDATE public.orders SET id = -1 WHERE id = 50");
  await app.query("UPDATE public.orders SET id = 50 WHERE id = 51");
  await app.query("UPDATE public.orders SET id = 51 WHERE id = -1");
  await app.query("DELETE FROM public.orders WHERE id BETWEEN 60 AND 70");
  await app.query("INSERT INTO public.orders (created_at, note) VALUES ('2025-12-12 00:00+00', 'new')");
  await follow();
  expect(await m.difference("reverse")).toEqual(SAME);
  expect(await tell()).toEqual({ safe: true, sentence: "rollback is safe, 0 keys behind", keysBehind: 0 });
});

test("one duplicate id would stop the way back for every other row", async () => {
  await app.query(
    "INSERT INTO public.orders (id, created_at, note) VALUES (5, '2025-12-12 00:00+00', 'twin')",
  );
  await app.query("UPDATE public.orders SET note = 'goes on' WHERE id IN (6, 150)");
  await app.query("DELETE FROM public.orders WHERE id = 7");
  await follow();
  expect(await retired(6)).toBe("goes on");
  expect(await retired(150)).toBe("goes on");
  expect(await retired(7)).toBeNull();
  expect(await retired(5)).toBe("note 5");
  expect(await m.difference("reverse")).toEqual({ missing: [expect.stringContaining("twin")], extra: [] });
  expect(await tell()).toEqual({
    safe: false,
    sentence:
      "rollback is not safe because key 5 stands 2 times in the new table, which the old unique key refuses",
    keysBehind: 1,
  });
  // The application removes the duplicate: nothing else is needed.
  await app.query("DELETE FROM public.orders WHERE note = 'twin'");
  await follow();
  expect(await m.difference("reverse")).toEqual(SAME);
  expect((await tell()).safe).toBe(true);
});

test("a TRUNCATE while an id stands twice would end the window and the rollback with the server's error", async () => {
  await app.query(
    "INSERT INTO public.orders (id, created_at, note) VALUES (5, '2025-12-12 00:00+00', 'twin')",
  );
  await app.query(`TRUNCATE public.${m.plan.leaves[1]?.name}`);
  await m.run("retain");
  expect((await tell()).sentence).toMatch(
    /^rollback is not safe because key 5 stands 2 times .*; and the new table was truncated and the retired one is still/,
  );
  await expect(m.run("rollback")).rejects.toMatchObject({
    kind: "not-safe",
    message: expect.stringMatching(/^rollback is not safe because key 5 stands 2 times/),
  });
  await app.query("DELETE FROM public.orders WHERE note = 'twin'");
  await m.run("retain");
  expect(await m.difference("reverse")).toEqual(SAME);
  expect((await tell()).safe).toBe(true);
});

test("a rollback with a duplicate id would drop one of the two rows", async () => {
  await app.query(
    "INSERT INTO public.orders (id, created_at, note) VALUES (5, '2025-12-12 00:00+00', 'twin')",
  );
  await expect(m.run("rollback")).rejects.toMatchObject({
    kind: "not-safe",
    message: /key 5 stands 2 times/,
  });
  expect(await value(app, "SELECT count(*) FROM public.orders WHERE id = 5")).toBe("2");
});

test("a row moved by delete and insert would be taken for a duplicate while the delete is not committed", async () => {
  const mover = await db.session();
  await mover.begin();
  await mover.query("DELETE FROM public.orders WHERE id = 5");
  await app.query(
    "INSERT INTO public.orders (id, created_at, note) VALUES (5, '2025-12-12 00:00+00', 'moved')",
  );
  await app.query("UPDATE public.orders SET note = 'goes on' WHERE id = 6");
  await follow();
  expect(await retired(6)).toBe("goes on");
  expect(await retired(5)).toBe("note 5");
  expect((await tell()).safe).toBe(false);
  await mover.commit();
  await follow();
  expect(await retired(5)).toBe("moved");
  expect(await m.difference("reverse")).toEqual(SAME);
  expect((await tell()).safe).toBe(true);
});

test("a duplicate among thousands of changes would hold them all up", async () => {
  await app.query(
    "INSERT INTO public.orders (id, created_at, note) VALUES (5, '2025-12-12 00:00+00', 'twin')",
  );
  await app.query(
    "INSERT INTO public.orders (created_at) SELECT '2025-07-07 00:00+00' FROM generate_series(1, 6000)",
  );
  await follow();
  expect((await m.log("reverse")).length).toBe(1);
  expect((await m.difference("reverse")).missing.length).toBe(1);
});

test("TRUNCATE of a leaf would leave its rows for a rollback to bring back", async () => {
  await app.query("UPDATE public.orders SET note = 'kept' WHERE id = 1");
  await app.query("TRUNCATE public.orders_2025_q3");
  await app.query("INSERT INTO public.orders (id, created_at) VALUES (901, '2025-08-08 00:00+00')");
  expect(await tell()).toMatchObject({ safe: false, sentence: expect.stringContaining("truncated") });
  await follow();
  expect(await m.difference("reverse")).toEqual(SAME);
  expect(await m.log("reverse")).toEqual([]);
  expect((await tell()).safe).toBe(true);
});

test("changes committed while the retired table is rebuilt would be forgotten", async () => {
  await app.query("TRUNCATE public.orders_2025_q3");
  m.before(/^DELETE FROM "partway"/, async () => {
    await app.query("UPDATE public.orders SET note = 'meanwhile' WHERE id = 1");
  });
  await follow();
  await follow();
  expect(await retired(1)).toBe("meanwhile");
  expect(await m.difference("reverse")).toEqual(SAME);
});
