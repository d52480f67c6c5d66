/** What is left to do once the names are exchanged: foreign keys are there from the first moment, and validated after. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { sqlState } from "../../src/pg/sqlstate.js";
import { lines, makeItems, startItems } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import type { TestMigration } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
let session: Session;
let migration: TestMigration;

const stage = stages(async (last: "validate") => {
  const original = await freshDatabase();
  session = await original.session();
  await makeItems(session);
  await session.query("CREATE TABLE public.org (id int PRIMARY KEY)");
  await session.query("INSERT INTO public.org SELECT generate_series(1, 9)");
  await session.query("ALTER TABLE public.items ADD COLUMN org int CONSTRAINT to_org REFERENCES public.org");
  await session.query("UPDATE public.items SET org = 1 + id % 9");
  const made = await startItems(original);
  await made.through(last);
  return made;
});
beforeEach(async () => {
  migration = await stage("validate");
  ({ db } = migration);
  session = await db.session();
});
afterEach(() => db.drop());

const VALIDATES = /VALIDATE CONSTRAINT/;

/** The key as the new table has it: none on it at all, not valid, valid. */
const keys = () =>
  lines(
    session,
    "SELECT conname || ' ' || convalidated FROM pg_constraint WHERE conrelid = 'public.items'::regclass AND contype = 'f'",
  );

const orphan = () =>
  session.query("INSERT INTO public.items (bucket, org) VALUES (1, 77)").then(() => null, sqlState);

test("a parent that somebody alters just then would end the run with an error that nobody foresaw", async () => {
  const other = await db.session();
  let asked = 0;
  migration.before(
    VALIDATES,
    async () => {
      asked += 1;
      if (asked === 1) {
        await other.begin();
        await other.query("LOCK TABLE public.org IN ACCESS EXCLUSIVE MODE");
      } else if (asked === 2) await other.rollback();
    },
    50,
  );
  await migration.run("cutover");
  expect(asked).toBeGreaterThan(1);
  expect(await keys()).toEqual(["to_org true"]);
});

test("a parent that stays locked would not be named, nor what to type", async () => {
  const other = await db.session();
  migration.before(VALIDATES, async () => {
    await other.begin();
    await other.query("LOCK TABLE public.org IN ACCESS EXCLUSIVE MODE");
  });
  await expect(migration.run("cutover", { lockTries: 1 })).rejects.toMatchObject({
    kind: "lock-busy",
    message: expect.stringContaining("foreign key to_org could not be validated in 1 tries"),
    state: expect.stringContaining("nothing is lost"),
    next: expect.stringContaining(`partway resume ${migration.plan.id}`),
  });
  await other.rollback();
  expect(await orphan()).toBe("23503");
  await migration.run("cutover");
  expect(await keys()).toEqual(["to_org true"]);
});

test.each(["cutover", "retain", "drop"] as const)(
  "a machine lost right after the swap would leave a foreign key unchecked: %s",
  async (phase) => {
    migration.before(VALIDATES, async () => {
      throw new Error("the machine is gone");
    });
    await expect(migration.run("cutover")).rejects.toThrow("the machine is gone");
    expect(await orphan()).toBe("23503");
    expect(await keys()).not.toEqual(["to_org true"]);
    await migration.run(phase, phase === "drop" ? { forceDrop: true } : {});
    expect(await keys()).toEqual(["to_org true"]);
    expect(await orphan()).toBe("23503");
  },
);
