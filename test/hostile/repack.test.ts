/** pg_repack of the source (Debian package postgresql-15-repack, on Debian's own server): rows move, no trigger sees it. */
import { spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, SAME, startMigration, type TestMigration, value } from "../support/migration.js";

const BIN = "/usr/lib/postgresql/15/bin";
const missing = [
  `${BIN}/initdb`,
  `${BIN}/pg_repack`,
  "/usr/share/postgresql/15/extension/pg_repack.control",
].some((file) => !existsSync(file));
const skipped = missing || inject("server").version !== "15";
const why = missing ? " (skipped: apt-get install postgresql-15 postgresql-15-repack)" : "";

describe.skipIf(skipped)(`pg_repack${why}`, () => {
  let dir: string;
  let port: number;
  let db: TestDatabase;
  let session: Session;
  const root = process.getuid?.() === 0;
  const id = (flag: string) => Number(spawnSync("id", [flag, "postgres"]).stdout.toString());
  const as = root ? { uid: id("-u"), gid: id("-g") } : {};
  const run = (program: string, args: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(BIN, program), args, {
      ...as,
      cwd: "/",
      env: { LC_ALL: "C" },
    });
    if (status !== 0) throw new Error(`${program}: ${stdout}${stderr}`);
  };

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "partway-debian-"));
    if (as.uid !== undefined) chownSync(dir, as.uid, as.gid);
    port = await freePort();
    run("initdb", [
      "-D",
      join(dir, "data"),
      "-U",
      "postgres",
      "-A",
      "trust",
      "--no-sync",
      "--locale=C",
      "-E",
      "UTF8",
    ]);
    const flags = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`;
    run("pg_ctl", ["-D", join(dir, "data"), "-o", flags, "-l", join(dir, "log"), "-w", "start"]);
    db = await freshDatabase({
      version: "15",
      superuserUrl: `postgres://postgres@127.0.0.1:${port}/postgres`,
    });
    session = await db.session();
    await (await db.session(db.superuserUrl)).query("CREATE EXTENSION pg_repack SCHEMA public");
  });
  afterAll(async () => {
    try {
      await db.drop();
    } finally {
      run("pg_ctl", ["-D", join(dir, "data"), "-m", "immediate", "stop"]);
      rmSync(dir, { recursive: true, force: true });
    }
  });

  /** As a superuser types it; it needs the table for itself for a moment, twice. */
  async function repack(name: string): Promise<void> {
    const args = [
      "-h",
      "127.0.0.1",
      "-p",
      String(port),
      "-U",
      "postgres",
      "-d",
      db.name,
      "--no-kill-backend",
      "-t",
    ];
    const child = spawn(join(BIN, "pg_repack"), [...args, `public.${name}`], {
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
    migration.before(/^\s*SELECT batch::text AS batch/, () => repack("first"));
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

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
