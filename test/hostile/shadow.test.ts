/** The new table before cutover: nobody but Partway has business there, but its name is open to everybody who may. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { SAME, type TestMigration } from "../support/migration.js";
import { type Hostile, openHostile } from "./scene.js";

let scene: Hostile;
let migration: TestMigration;
let before: string | null;

beforeEach(async () => {
  scene = await openHostile();
  migration = await scene.start();
  await migration.through("validate");
  before = await scene.rows();
});
afterEach(() => scene.db.drop());

const SHADOW = "public.orders_partitioned";
const leaf = () => `public.${migration.plan.leaves[0]?.name}`;

/** What the application sees, and what a rollback would give it, is what it was. */
async function whole(): Promise<void> {
  expect(await scene.kind()).toBe("p");
  expect(await scene.rows()).toBe(before);
  await migration.run("retain");
  expect(await scene.rows("public.orders_retired")).toBe(before);
  expect(await migration.difference("reverse")).toEqual(SAME);
}

test.each([
  ["a leaf dropped", () => `DROP TABLE ${leaf()}`],
  ["an index dropped", () => "DROP INDEX public.orders_note_idx_partitioned"],
  ["a CHECK dropped", () => `ALTER TABLE ${SHADOW} DROP CONSTRAINT amount_positive`],
  ["the whole of it dropped", () => `DROP TABLE ${SHADOW}`],
])("%s between validation and cutover would go live missing", async (_what, sql) => {
  const index = migration.plan.indexes.find((i) => i.finalName === "orders_note_idx")?.shadowName ?? "";
  await scene.session.query(sql().replace("orders_note_idx_partitioned", index));
  await migration.through("cutover");
  expect(migration.seen("copy-restarted")).toMatchObject([
    { reason: expect.stringMatching(/^somebody (changed|dropped) the new table/) },
  ]);
  await whole();
});

test.each([
  ["rows deleted", () => `DELETE FROM ${SHADOW} WHERE id < 20`],
  ["rows changed in a leaf", () => `UPDATE ${leaf()} SET note = 'not the application'`],
  ["a leaf truncated", () => `TRUNCATE ${leaf()}`],
])("%s by the new table's name between validation and the lock would go live", async (_what, sql) => {
  migration.before(/^SET LOCAL lock_timeout/, async () => {
    await scene.session.query(sql());
  });
  await expect(migration.through("cutover")).rejects.toMatchObject({
    kind: "drift",
    message: expect.stringMatching(
      /somebody wrote to the new table under its name public\.orders_partitioned/,
    ),
    next: expect.stringContaining("validates again"),
  });
  expect(await scene.kind()).toBe("r");
  await expect(migration.through("cutover")).rejects.toMatchObject({ kind: "difference" });
  await migration.through("cutover", { repair: true });
  await whole();
});
