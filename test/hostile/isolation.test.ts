/**
 * REPEATABLE READ and SERIALIZABLE transactions of the application that span cutover or rollback: exactly what the plan
 * and runbooks/lock-cannot-be-had.md say of them, and never a write that is lost after COMMIT said yes.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { type TestMigration, value } from "../support/migration.js";
import { type Hostile, openHostile } from "./scene.js";

const LEVELS = ["REPEATABLE READ", "SERIALIZABLE"] as const;
type Level = (typeof LEVELS)[number];

describe.each(["cutover", "rollback"] as const)("a transaction that spans the %s", (swap) => {
  let scene: Hostile;
  let migration: TestMigration;
  /** For each level, a transaction whose snapshot is older than the swap, and that has touched nothing yet. */
  const spanning = new Map<Level, Session[]>();

  beforeAll(async () => {
    scene = await openHostile();
    migration = await scene.start();
    await migration.through(swap === "cutover" ? "validate" : "cutover");
    // Committed before the snapshots, and still in the change log: the other table has it only after them.
    await scene.session.query(
      "INSERT INTO public.orders (id, created_at, note) VALUES (900, '2025-05-05', 'young')",
    );
    await scene.session.query(
      "INSERT INTO public.orders (id, created_at, note) VALUES (901, '2025-05-06', 'young')",
    );
    for (const level of LEVELS) {
      const sessions: Session[] = [];
      for (let n = 0; n < 4; n++) {
        const session = await scene.db.session();
        await session.query(`BEGIN ISOLATION LEVEL ${level}`);
        await session.query("SELECT 1");
        sessions.push(session);
      }
      spanning.set(level, sessions);
    }
    // Committed after the snapshots.
    await scene.session.query("UPDATE public.orders SET note = 'newer' WHERE id IN (10, 11)");
    await migration.run(swap);
    expect(await scene.kind()).toBe(swap === "cutover" ? "p" : "r");
  });
  afterAll(() => scene.db.drop());

  const open = (level: Level, n: number): Session => {
    const session = spanning.get(level)?.[n];
    if (session === undefined) throw new Error("no such session");
    return session;
  };

  test.each(LEVELS)(
    "under %s a row that stood still would not be seen, or a change of it lost",
    async (level) => {
      const session = open(level, 0);
      const id = level === "SERIALIZABLE" ? 20 : 21;
      expect((await session.query("SELECT id FROM public.orders WHERE id = $1", [id])).count).toBe(1);
      expect((await session.query("UPDATE public.orders SET note = 'mine' WHERE id = $1", [id])).count).toBe(
        1,
      );
      await session.query("COMMIT");
      expect(await value(scene.session, "SELECT note FROM public.orders WHERE id = $1", [String(id)])).toBe(
        "mine",
      );
    },
  );

  test.each(LEVELS)(
    "under %s a row changed since its snapshot would be overwritten, not refused with 40001",
    async (level) => {
      const session = open(level, 1);
      const update = session.query("UPDATE public.orders SET note = 'mine' WHERE id = 10");
      await expect(update).rejects.toMatchObject({ code: "40001" });
      await session.query("ROLLBACK");
      expect(await value(scene.session, "SELECT note FROM public.orders WHERE id = 10")).toBe("newer");
    },
  );

  test.each(LEVELS)("under %s the 0 rows that the plan warns of would come as a surprise", async (level) => {
    const session = open(level, 2);
    expect((await session.query("SELECT id FROM public.orders WHERE id IN (900, 901)")).count).toBe(0);
    expect((await session.query("UPDATE public.orders SET note = 'mine' WHERE id = 900")).count).toBe(0);
    await session.query("COMMIT");
    expect(await value(scene.session, "SELECT note FROM public.orders WHERE id = 900")).toBe("young");
  });

  test.each(LEVELS)("under %s a new row would go to the table that is no longer there", async (level) => {
    const session = open(level, 3);
    const id = level === "SERIALIZABLE" ? 920 : 921;
    await session.query("INSERT INTO public.orders (id, created_at) VALUES ($1, '2025-06-06')", [id]);
    await session.query("COMMIT");
    expect(
      await value(scene.session, "SELECT count(*)::text FROM public.orders WHERE id = $1", [String(id)]),
    ).toBe("1");
  });

  test("the plan would not say so", () => {
    const said = migration.plan.consequences.find((one) => one.code === "snapshots-across-cutover");
    expect(said?.what).toMatch(/REPEATABLE READ or SERIALIZABLE.*cutover or rollback.*0 rows.*40001/);
  });
});
