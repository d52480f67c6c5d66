/**
 * Hostility in the retention window: either the verdict says why there is no way back (and `partway rollback` refuses),
 * or there is one and nothing is lost on it. Either way the run goes on and the application's table is left alone.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXIT } from "../../src/errors.js";
import { verdict } from "../../src/sync/verdict.js";
import { asAdmin } from "../support/database.js";
import type { TestMigration } from "../support/migration.js";
import { value } from "../support/migration.js";
import { stages } from "../support/stages.js";
import { type Hostile, openHostile, sceneOf } from "./scene.js";

let scene: Hostile;
let migration: TestMigration;

const stage = stages(async (last: "cutover") => {
  const original = await openHostile();
  const made = await original.start();
  await made.through(last);
  return made;
});
beforeEach(async () => {
  migration = await stage("cutover");
  scene = await sceneOf(migration.db);
});
afterEach(() => scene.db.drop());

const sql = (...statements: string[]) =>
  statements.reduce<Promise<void>>(
    (before, one) => before.then(async () => void (await scene.session.query(one))),
    Promise.resolve(),
  );
const judged = async () => verdict(scene.session, migration.plan, await migration.stored());
const leaf = (n: number) => `public.${migration.plan.leaves[n]?.name}`;

/** The verdict, the window's event and the refused rollback say the same, and the run has not failed over it. */
async function unsafe(said: RegExp): Promise<void> {
  await migration.run("retain");
  expect(migration.seen("window").at(-1)).toMatchObject({
    safe: false,
    verdict: expect.stringMatching(said),
  });
  expect(await judged()).toMatchObject({ safe: false, sentence: expect.stringMatching(said) });
  const before = await scene.rows();
  await expect(migration.run("rollback")).rejects.toMatchObject({
    kind: "not-safe",
    exitCode: EXIT.refused,
    message: expect.stringMatching(said),
  });
  expect(await scene.rows()).toBe(before);
  expect(await scene.kind()).toBe("p");
}

/** One look at the window: what the screen shows. */
async function told() {
  await migration.run("retain");
  return migration.seen("window").at(-1);
}

/** Safe, and then it is: the old table is back with every row of the new one. */
async function safeAndBack(settings = {}): Promise<void> {
  await migration.run("retain", settings);
  expect(await judged()).toMatchObject({ safe: true });
  const before = await scene.rows();
  await migration.run("rollback");
  expect(await scene.kind()).toBe("r");
  expect(await scene.rows()).toBe(before);
}

test("a view that somebody else made on the new table would make a rollback fail that was called safe", async () => {
  const admin = (statement: string) =>
    asAdmin(scene.db.superuserUrl, async (session) => void (await session.query(statement)));
  await admin("CREATE VIEW public.theirs AS SELECT id FROM public.orders");
  await unsafe(/view public\.theirs belongs to \S+, whose rights Partway has not/);
  await admin("DROP VIEW public.theirs");
  await safeAndBack();
});

describe("unsafe, and the remedy that the sentence names", () => {
  const CASES: [what: string, act: () => string[], said: RegExp, remedy: () => string[]][] = [
    [
      "a CHECK dropped from the new table",
      () => [
        "ALTER TABLE public.orders DROP CONSTRAINT amount_positive",
        "INSERT INTO public.orders (created_at, amount) VALUES ('2025-05-05', -1)",
        "UPDATE public.orders SET note = 'follows' WHERE id = 1",
      ],
      /the retired table has CHECK \(\(amount >= \(0\)::numeric\)\) and the new one has not.*add it to the new table again, or drop it from orders_retired/,
      () => ["ALTER TABLE public.orders_retired DROP CONSTRAINT amount_positive"],
    ],
    [
      "a unique index dropped from the new table",
      () => [
        "DROP INDEX public.orders_once_idx",
        "INSERT INTO public.orders (created_at, note) SELECT created_at, note FROM public.orders WHERE id = 3",
      ],
      /the retired table has UNIQUE USING btree \(note, created_at\) and the new one has not/,
      () => [
        "DELETE FROM public.orders WHERE id > 150",
        "CREATE UNIQUE INDEX once_again ON public.orders (note, created_at)",
      ],
    ],
    [
      "a CHECK added to the retired table",
      () => [
        "ALTER TABLE public.orders_retired ADD CONSTRAINT late CHECK (note <> 'x') NOT VALID",
        "UPDATE public.orders SET note = 'x' WHERE id = 5",
      ],
      /the retired table has CHECK .*note.* and the new one has not/,
      () => ["ALTER TABLE public.orders_retired DROP CONSTRAINT late"],
    ],
    [
      "the retired table renamed",
      () => [
        "ALTER TABLE public.orders_retired RENAME TO orders_old",
        "UPDATE public.orders SET note = 'meanwhile' WHERE id = 5",
      ],
      /the retired table is now called "public"\."orders_old": rename it back to orders_retired/,
      () => ["ALTER TABLE public.orders_old RENAME TO orders_retired"],
    ],
    [
      "a materialized view made on the new table",
      () => ["CREATE MATERIALIZED VIEW public.late AS SELECT id FROM public.orders"],
      /what was made since cutover would stay with the new table \(\+ materialized-view public\.late/,
      () => ["DROP MATERIALIZED VIEW public.late"],
    ],
    [
      "a column added to the new table",
      () => ["ALTER TABLE public.orders ADD COLUMN coupon text"],
      /\+ column 5 coupon text/,
      () => ["ALTER TABLE public.orders DROP COLUMN coupon"],
    ],
    [
      "a right given on the new table",
      () => ["GRANT SELECT ON public.orders TO PUBLIC"],
      /\+ grant SELECT to PUBLIC/,
      () => ["REVOKE SELECT ON public.orders FROM PUBLIC"],
    ],
    [
      "a right taken away on the new table",
      () => ["REVOKE DELETE ON public.orders FROM CURRENT_USER"],
      /rights were changed on the new table alone .*- grant DELETE to .*change them on orders_retired too/,
      () => ["REVOKE DELETE ON public.orders_retired FROM CURRENT_USER"],
    ],
    [
      "and given back, on one of the two",
      () => ["GRANT DELETE ON public.orders TO CURRENT_USER"],
      /rights were changed on the retired table alone .*- grant DELETE to/,
      () => ["GRANT DELETE ON public.orders_retired TO CURRENT_USER"],
    ],
    [
      "a right taken away on the retired table",
      () => [
        "REVOKE INSERT, UPDATE, DELETE ON public.orders_retired FROM CURRENT_USER",
        "UPDATE public.orders SET note = 'follows again' WHERE id = 1",
      ],
      /retired table.*- grant (DELETE|INSERT|UPDATE)/,
      () => ["GRANT INSERT, UPDATE, DELETE ON public.orders_retired TO CURRENT_USER"],
    ],
    [
      "a duplicate id",
      () => ["INSERT INTO public.orders (id, created_at) VALUES (7, '2026-02-02')"],
      /key 7 stands 2 times/,
      () => ["DELETE FROM public.orders WHERE id = 7 AND created_at < '2026-02-02'"],
    ],
  ];

  test("a rollback called safe would fail, or lose rows; and what the verdict asks for would not mend it", async () => {
    for (const [what, act, said, remedy] of CASES) {
      await sql(...act());
      expect(await told(), what).toMatchObject({ safe: false, verdict: expect.stringMatching(said) });
      await expect(migration.run("rollback"), what).rejects.toMatchObject({
        kind: "not-safe",
        exitCode: EXIT.refused,
        message: expect.stringMatching(said),
      });
      await sql(...remedy());
      expect(await told(), `${what}, mended`).toMatchObject({ safe: true });
    }
    await safeAndBack();
  });
});

describe("unsafe for good: the application stays on the new table", () => {
  const CASES: [what: string, act: () => string[], said: RegExp][] = [
    ["a leaf detached", () => [`ALTER TABLE public.orders DETACH PARTITION ${leaf(1)}`], /- leaf/],
    ["a leaf dropped", () => [`DROP TABLE ${leaf(1)}`], /- leaf/],
    ["DISABLE TRIGGER", () => ["ALTER TABLE public.orders DISABLE TRIGGER USER"], /reverse capture/],
    [
      "DISABLE then ENABLE",
      () => [
        `ALTER TABLE public.orders DISABLE TRIGGER ${migration.plan.names.reverseTrigger}`,
        `ALTER TABLE public.orders ENABLE ALWAYS TRIGGER ${migration.plan.names.reverseTrigger}`,
      ],
      /reverse capture/,
    ],
    ["a column dropped", () => ["ALTER TABLE public.orders DROP COLUMN note"], /- column 3 note/],
    [
      "the reverse trigger dropped",
      () => [
        `DROP TRIGGER ${migration.plan.names.reverseTrigger} ON public.orders`,
        "UPDATE public.orders SET note = 'unseen' WHERE id = 1",
      ],
      /reverse capture/,
    ],
    [
      "a column of the retired table dropped",
      () => [
        "ALTER TABLE public.orders_retired DROP COLUMN note",
        "UPDATE public.orders SET note = 'x' WHERE id = 1",
      ],
      /retired table .*column 3 note/,
    ],
  ];
  test("what closes the way back would be found only when it is needed", async () => {
    for (const [what, act, said] of CASES) {
      // Undone again afterwards: one migration serves for all.
      await scene.session.begin();
      await sql(...act());
      expect.soft(await judged(), what).toMatchObject({ safe: false, sentence: expect.stringMatching(said) });
      await scene.session.rollback();
    }
    expect(await judged()).toMatchObject({ safe: true });
    await sql(`ALTER TABLE public.orders DETACH PARTITION ${leaf(1)} CONCURRENTLY`);
    await unsafe(/- leaf/);
    await sql("DROP TABLE public.orders_retired");
    await unsafe(/the retired table public\.orders_retired was dropped/);
    // Going on is possible: the window ends, the new table stays.
    await migration.run("drop", { forceDrop: true });
    expect(await value(scene.session, "SELECT to_regnamespace('partway')::text")).toBeNull();
  });
});

test("what does no harm to the way back would close it, or make a rollback fail that was called safe", async () => {
  await sql(
    "DROP INDEX public.orders_note_idx",
    "DROP INDEX public.orders_note_idx_retired",
    "ALTER TABLE public.orders ADD CONSTRAINT late CHECK (amount < 1000)",
    "ALTER TABLE public.orders_retired DROP CONSTRAINT amount_positive",
    "ALTER TABLE public.orders DROP CONSTRAINT amount_positive",
    "UPDATE public.orders SET amount = -1 WHERE id = 1",
    `VACUUM FULL ${leaf(0)}`,
    "UPDATE public.orders SET note = 'after' WHERE id = 2",
    "ALTER INDEX public.orders_once_idx RENAME TO other_idx",
  );
  await safeAndBack();
});

describe("the retired table written to by its name", () => {
  test("what somebody wrote there would come back with a rollback, or end every resume", async () => {
    await sql(
      "UPDATE public.orders_retired SET note = 'by name' WHERE id = 1",
      "DELETE FROM public.orders_retired WHERE id = 2",
      "INSERT INTO public.orders_retired (id, created_at) VALUES (777, '2024-05-05')",
      "UPDATE public.orders SET note = 'by the application' WHERE id = 3",
    );
    await unsafe(
      /somebody has written to \(3 changes; key 1, key 2, key 777\) the retired table public\.orders_retired by its name.*--repair/,
    );
    await migration.run("retain", { repair: true });
    expect(migration.seen("repaired")).toEqual([{ event: "repaired", keys: 3 }]);
    await safeAndBack();
  });

  test("a TRUNCATE of it would leave nothing to roll back to", async () => {
    await sql("TRUNCATE public.orders_retired");
    await unsafe(/somebody has truncated the retired table/);
    await safeAndBack({ repair: true });
  });

  test("a cutover that was interrupted would end every resume with it", async () => {
    await sql("UPDATE public.orders_retired SET note = 'by name' WHERE id = 1");
    await migration.run("cutover");
    expect(migration.seen("log").at(-1)).toMatchObject({
      level: "warn",
      message: expect.stringContaining("key 1"),
    });
    await migration.run("rollback", { repair: true });
    expect(await value(scene.session, "SELECT note FROM public.orders WHERE id = 1")).toBe("note 1");
  });
});

test("an index of another table under the old name would be renamed by a rollback", async () => {
  await sql(
    "DROP INDEX public.orders_note_idx",
    "CREATE TABLE public.other (note text)",
    "CREATE INDEX orders_note_idx ON public.other (note)",
  );
  await migration.run("rollback").catch((error: unknown) => error);
  expect(
    await value(
      scene.session,
      "SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = 'public.orders_note_idx'::regclass",
    ),
  ).toBe("public.other");
});

test("a right taken away on both tables would close the way back, because another had given it on the old one", async () => {
  const other = await openHostile();
  try {
    const asMonitor = async (sql: string) => {
      for (const one of ["SET ROLE pg_monitor", sql, "RESET ROLE"]) await other.admin.query(one);
    };
    await other.session.query("GRANT SELECT ON public.orders TO pg_monitor WITH GRANT OPTION");
    await asMonitor("GRANT SELECT ON public.orders TO pg_read_all_stats");
    const passedOn = await other.start();
    await passedOn.through("cutover");
    const last = async () => {
      await passedOn.run("retain");
      return passedOn.seen("window").at(-1);
    };
    await other.session.query("REVOKE SELECT ON public.orders FROM pg_read_all_stats");
    expect(await last()).toMatchObject({
      safe: false,
      verdict: expect.stringMatching(/on the new table alone .*- grant SELECT to pg_read_all_stats/),
    });
    await asMonitor("REVOKE SELECT ON public.orders_retired FROM pg_read_all_stats");
    expect(await last()).toMatchObject({ safe: true });
  } finally {
    await other.db.drop();
  }
});
