import { afterEach, beforeEach, expect, test } from "vitest";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { retain } from "../../src/phases/retain.js";
import { verdict } from "../../src/sync/verdict.js";
import { lines, makeItems, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { SAME, type TestMigration, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

const POLL = { timeout: 60_000, interval: 10 };
let db: TestDatabase;
let session: Session;
let migration: TestMigration;

const stage = stages(async (last: "cutover") => {
  const original = await freshDatabase();
  await makeItems(await original.session());
  const made = await startItems(original);
  await made.through(last);
  return made;
});
beforeEach(async () => {
  migration = await stage("cutover");
  ({ db } = migration);
  session = await db.session();
});
afterEach(() => db.drop());

const kind = () => value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass");
const sentence = async () => (await verdict(session, migration.plan, await migration.stored())).sentence;

/** Holds the window open until its events match `wanted`, then stops as an operator does. */
async function holdUntil(wanted: (last: { safe: boolean; verdict: string; keysBehind: number }) => boolean) {
  const stop = new AbortController();
  const context = migration.context({}, stop);
  const before = migration.seen("window").length;
  const holding = retain.run(context).then(
    () => "ended",
    (error: unknown) => error,
  );
  try {
    await expect
      .poll(() => {
        const last = migration.seen("window").slice(before).at(-1);
        return last !== undefined && wanted(last);
      }, POLL)
      .toBe(true);
  } finally {
    stop.abort(new Error("stopped"));
    const ended = await holding;
    await context.close();
    expect(ended).toMatchObject({ message: "stopped" });
  }
}

async function everyKindOfWrite(): Promise<void> {
  await session.query("INSERT INTO public.items (bucket, note) VALUES (100, 'new'), (1300, 'new')");
  await session.query("UPDATE public.items SET note = 'changed' WHERE id IN (1, 2, 3)");
  await session.query("UPDATE public.items SET note = NULL WHERE id = 4");
  await session.query("UPDATE public.items SET bucket = 999 WHERE id = 5");
  await session.query("UPDATE public.items SET id = 90006 WHERE id = 6");
  await session.query("DELETE FROM public.items WHERE id = 7");
  await session.tx(async () => {
    await session.query("DELETE FROM public.items WHERE id = 8");
    await session.query("INSERT INTO public.items (id, bucket, note) VALUES (8, 1111, 'again')");
  });
}

test("writes made since cutover would be missing from the table one rolls back to", async () => {
  expect(await sentence()).toBe("rollback is safe, 0 keys behind");
  await everyKindOfWrite();
  expect(await sentence()).toMatch(/^rollback is safe, 1\d keys behind$/);
  await holdUntil((last) => last.safe && last.keysBehind === 0);
  expect(await migration.difference("reverse")).toEqual(SAME);
  expect(migration.seen("window").at(-1)?.verdict).toBe("rollback is safe, 0 keys behind");
});

const leafOf = (n: number) => `public.${migration.plan.leaves[n]?.name}`;

/** What makes a rollback lose something, and what the verdict must say of it. */
const UNSAFE: [what: string, sql: () => string, said: RegExp][] = [
  ["a column added", () => "ALTER TABLE public.items ADD COLUMN added int", /\+ column 4 added integer/],
  ["a column dropped", () => "ALTER TABLE public.items DROP COLUMN note", /- column 3 note text/],
  [
    "a column's type changed",
    () => "ALTER TABLE public.items ALTER COLUMN note TYPE varchar(99)",
    /column 3 note/,
  ],
  [
    "a leaf detached",
    () => `ALTER TABLE public.items DETACH PARTITION ${leafOf(1)}`,
    /- leaf public\.items_200/,
  ],
  ["a leaf dropped", () => `DROP TABLE ${leafOf(1)}`, /- leaf public\.items_200/],
  [
    "capture disabled",
    () => `ALTER TABLE public.items DISABLE TRIGGER ${migration.plan.names.reverseTrigger}`,
    /capture triggers are missing or disabled/,
  ],
  [
    "capture disabled on one leaf",
    () => `ALTER TABLE ${leafOf(2)} DISABLE TRIGGER ${migration.plan.names.reverseTrigger}`,
    /capture .* on leaf items_400/,
  ],
  [
    "capture of TRUNCATE dropped from one leaf",
    () => `DROP TRIGGER ${migration.plan.names.reverseTruncateTrigger} ON ${leafOf(2)}`,
    /capture .* on leaf items_400/,
  ],
  [
    "all triggers off and on again, as around a bulk load",
    () => "ALTER TABLE public.items DISABLE TRIGGER ALL; ALTER TABLE public.items ENABLE TRIGGER ALL",
    /capture/,
  ],
  [
    "the retired table altered",
    () => `ALTER TABLE ${tables(migration).retired} DROP COLUMN note`,
    /definition of the retired table .*column 3 note/,
  ],
  [
    "an id given out twice",
    () => "INSERT INTO public.items (id, bucket) VALUES (30, 777)",
    /key 30 stands 2 times in the new table, which the old unique key refuses/,
  ],
  [
    "the new table renamed away",
    () => "ALTER TABLE public.items RENAME TO elsewhere",
    /is not the table that Partway made/,
  ],
];

test.each(UNSAFE)("rollback would be called safe after %s", async (_what, sql, said) => {
  for (const statement of sql().split("; ")) await session.query(statement);
  expect(await sentence()).toMatch(/^rollback is not safe because /);
  expect(await sentence()).toMatch(said);
  await expect(migration.run("rollback")).rejects.toMatchObject({
    kind: "not-safe",
    exitCode: EXIT.refused,
    message: expect.stringMatching(said),
    state: expect.stringContaining("the application stays on the new table"),
  });
  expect((await migration.stored()).phase).toBe("retain");
  expect(
    await value(session, `SELECT relkind FROM pg_class WHERE oid = '${tables(migration).retired}'::regclass`),
  ).toBe("r");
});

test("one id given out twice would stop the application, the run, or everybody else's changes", async () => {
  await session.query("INSERT INTO public.items (id, bucket) VALUES (30, 777)");
  await session.query("UPDATE public.items SET note = 'goes on' WHERE id = 31");
  await holdUntil((last) => !last.safe && last.keysBehind === 1);
  expect(await value(session, `SELECT note FROM ${tables(migration).retired} WHERE id = 31`)).toBe("goes on");
  // Mended by the operator, it is safe again, and the window has lost nothing.
  await session.query("DELETE FROM public.items WHERE id = 30 AND bucket = 30");
  await holdUntil((last) => last.safe && last.keysBehind === 0);
  await migration.run("rollback");
  expect(await lines(session, "SELECT id, bucket FROM public.items WHERE id = 30")).toEqual(["30|777"]);
});

test("an uncommitted delete would be taken for an id that stands twice", async () => {
  // The row moves to another leaf: in the new table two statements of one transaction, in the old key one id.
  await session.tx(async () => {
    await session.query("INSERT INTO public.items (id, bucket, note) VALUES (30, 777, 'moved')");
    await session.query("DELETE FROM public.items WHERE id = 30 AND bucket = 30");
  });
  await holdUntil((last) => last.safe && last.keysBehind === 0);
  expect(
    await lines(session, `SELECT id, bucket, note FROM ${tables(migration).retired} WHERE id = 30`),
  ).toEqual(["30|777|moved"]);
});

const ADDED = "public.items_added";
const attach = async () => {
  await session.query(`CREATE TABLE ${ADDED} (LIKE public.items INCLUDING DEFAULTS)`);
  await session.query(
    `ALTER TABLE public.items ATTACH PARTITION ${ADDED} FOR VALUES FROM (50000) TO (60000)`,
  );
};

test("a leaf that the create-ahead job attaches during the window would end the way back", async () => {
  await attach();
  await session.query("INSERT INTO public.items (id, bucket, note) VALUES (7001, 50001, 'in the new leaf')");
  await holdUntil((last) => last.safe && last.keysBehind === 0);
  await session.query("INSERT INTO public.items (id, bucket, note) VALUES (7002, 50002, 'and another')");
  await session.query("UPDATE public.items SET note = 'changed' WHERE id = 1");
  await holdUntil((last) => last.safe && last.keysBehind === 0);
  expect(await migration.difference("reverse")).toEqual(SAME);
  await migration.run("rollback");
  expect(await value(session, "SELECT count(*) FROM public.items WHERE bucket > 50000")).toBe("2");
});

test.each(["the whole table", "one leaf", "a leaf attached in the window"])(
  "rows truncated from %s would come back by a rollback",
  async (which) => {
    if (which.startsWith("a leaf")) {
      await attach();
      await holdUntil((last) => last.safe);
      await session.query("INSERT INTO public.items (id, bucket, note) VALUES (7001, 50001, 'gone')");
      await holdUntil((last) => last.safe && last.keysBehind === 0);
    }
    const what = { "the whole table": "public.items", "one leaf": leafOf(0) }[which] ?? ADDED;
    await session.query("UPDATE public.items SET note = 'before' WHERE id = 900");
    await session.query(`TRUNCATE ${what}`);
    await session.query("INSERT INTO public.items (id, bucket, note) VALUES (7002, 3, 'after')");
    expect(await sentence()).toMatch(
      /not safe because the new table was truncated and the retired one is still to be rebuilt/,
    );
    await holdUntil((last) => last.safe && last.keysBehind === 0);
    expect(await migration.difference("reverse")).toEqual(SAME);
    const kept = await lines(session, "SELECT * FROM public.items");
    await migration.run("rollback");
    expect(await kind()).toBe("r");
    expect(await lines(session, "SELECT * FROM public.items")).toEqual(kept);
  },
);

test("the window would end by the clock of the machine that watches it, or begin anew after a restart", async () => {
  const { deadline } = await migration.stored();
  expect(
    await value(session, "SELECT (deadline - cutover_at = interval '24 hours')::text FROM partway.migration"),
  ).toBe("true");
  await holdUntil((last) => last.safe);
  await holdUntil((last) => last.safe);
  expect(new Set(migration.seen("window").map((w) => w.deadline))).toEqual(new Set([deadline]));
  // The database says that it has passed: the window ends by itself.
  await session.query("UPDATE partway.migration SET deadline = clock_timestamp() - interval '1 second'");
  const context = migration.context();
  await retain.run(context);
  await context.close();
  expect(migration.seen("window").at(-1)?.secondsLeft).toBe(0);
});

test("a stop in the first moment of the window would be lost, and the process never end", async () => {
  const stop = new AbortController();
  const context = migration.context({}, stop);
  const { open } = context;
  context.open = async () => {
    stop.abort(new Error("stopped"));
    return open();
  };
  await expect(retain.run(context)).rejects.toThrow("stopped");
  await context.close();
});
