/** pg_repack of the source (Debian package postgresql-15-repack, on Debian's own server): rows move, no trigger sees it. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import type { TestDatabase } from "../support/database.js";
import { type Debian, missingFor, startDebian } from "../support/debian.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";

const PROGRAM = "/usr/lib/postgresql/15/bin/pg_repack";
const missing = missingFor("pg_repack").length > 0 || !existsSync(PROGRAM);
const skipped = missing || inject("server").version !== "15";
const why = missing ? " (skipped: apt-get install postgresql-15 postgresql-15-repack)" : "";

describe.skipIf(skipped)(`pg_repack${why}`, () => {
  let debian: Debian;
  let db: TestDatabase;
  let session: Session;

  beforeAll(async () => {
    debian = await startDebian();
    db = await debian.database();
    session = await db.session();
    await (await db.session(db.superuserUrl)).query("CREATE EXTENSION pg_repack SCHEMA public");
  });
  afterAll(async () => {
    try {
      await db.drop();
    } finally {
      debian.stop();
    }
  });

  /** As a superuser types it; it needs the table for itself for a moment, twice. */
  async function repack(name: string): Promise<void> {
    const args = [
      "-h",
      "127.0.0.1",
      "-p",
      new URL(debian.superuserUrl).port,
      "-U",
      "postgres",
      "-d",
      db.name,
      "--no-kill-backend",
      "-t",
    ];
    const child = spawn(PROGRAM, [...args, `public.${name}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect(code, said).toBe(0);
    expect(said).not.toMatch(/ERROR/);
  }

  async function start(name: string): Promise<TestMigration> {
    await createOrders(session, 300);
    await session.query(`ALTER TABLE public.orders RENAME TO ${name}`);
    return startMigration(db, { table: `public.${name}`, by: "created_at", every: "year", ahead: "1" });
  }

  test("during the copy it would move rows past it", async () => {
    const migration = await start("first");
    await migration.run("shadow");
    // Measured, and no transaction open: pg_repack waits for every transaction that is older than it.
    migration.before(/^\s*SELECT from_block::text AS from/, () => repack("first"));
    await migration.through("cutover");
    expect(migration.seen("copy-restarted")).toMatchObject([
      { reason: expect.stringContaining("pg_repack") },
    ]);
    expect(await migration.difference("reverse")).toEqual(SAME);
    expect(await value(session, "SELECT count(*)::text FROM public.first")).toBe("300");
  });

  test("after the validation it would cost rows, or more than another validation", async () => {
    const migration = await start("second");
    await migration.through("validate");
    await repack("second");
    await expect(migration.through("cutover")).rejects.toMatchObject({
      kind: "drift",
      next: expect.stringContaining("validates again"),
    });
    await migration.through("cutover");
    expect(migration.seen("copy-restarted")).toEqual([]);
    expect(await migration.difference("reverse")).toEqual(SAME);
  });

  test("of a leaf and of the retired table, in the window: it would close the way back, or cost rows on it", async () => {
    const migration = await start("third");
    await migration.through("cutover");
    await session.query("UPDATE public.third SET note = 'before' WHERE id % 3 = 0");
    for (const leaf of migration.plan.leaves) await repack(leaf.name);
    await session.query("UPDATE public.third SET note = 'between' WHERE id % 5 = 0");
    await repack("third_retired");
    await session.query("DELETE FROM public.third WHERE id % 7 = 0");
    await migration.run("retain");
    expect(migration.seen("window").at(-1)).toMatchObject({ safe: true });
    const rows = () =>
      value(session, "SELECT md5(string_agg(t::text, ',' ORDER BY id)) || count(*) FROM public.third t");
    const before = await rows();
    await migration.run("rollback");
    expect(await rows()).toBe(before);
    expect(
      await value(session, "SELECT relkind::text FROM pg_class WHERE oid = 'public.third'::regclass"),
    ).toBe("r");
  });
});
