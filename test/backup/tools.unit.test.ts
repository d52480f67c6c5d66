import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findTools, toolDirs, toolEnv } from "../../src/backup/tools.js";
import { Secret, type Target } from "../../src/pg/target.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "partway-tools-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A directory with programs that answer --version. */
async function programs(name: string, version: string, which = ["pg_dump", "pg_restore"]): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir, { recursive: true });
  for (const program of which) {
    await writeFile(join(dir, program), `#!/bin/sh\necho "${program} (PostgreSQL) ${version}"\n`);
    await chmod(join(dir, program), 0o755);
  }
  return dir;
}

test("a pg_dump older than the server would be tried and fail", async () => {
  const dirs = [await programs("old", "15.18"), await programs("older", "9.6.24")];
  expect(await findTools(16, dirs)).toBeNull();
  expect(await findTools(15, dirs)).toMatchObject({ version: "15.18", major: 15 });
});

test("not the newest pg_dump would be used", async () => {
  const dirs = [
    await programs("a", "16.9"),
    await programs("b", "16.10 (Debian 16.10-1)"),
    await programs("c", "15.18"),
  ];
  expect(await findTools(15, dirs)).toMatchObject({ version: "16.10", dump: join(root, "b", "pg_dump") });
  expect(await findTools(15, [...dirs, await programs("d", "18beta1")])).toMatchObject({ major: 18 });
});

test("a pg_dump that cannot be verified or run would be used", async () => {
  const alone = await programs("alone", "18.1", ["pg_dump"]);
  const wrapped = await programs("wrapped", "18.1", ["pg_wrapper"]);
  for (const name of ["pg_dump", "pg_restore"])
    await symlink(join(wrapped, "pg_wrapper"), join(wrapped, name));
  const broken = await programs("broken", "18.1");
  await writeFile(join(broken, "pg_dump"), "#!/bin/sh\nexit 1\n");
  expect(await findTools(15, [alone, wrapped, broken, join(root, "nowhere")])).toBeNull();
});

test("a pg_dump that is only in Debian's directory, or only on PATH, would not be found", async () => {
  const dirs = await toolDirs(`/one:${root}::/two`);
  expect(dirs.slice(0, 3)).toEqual(["/one", root, "/two"]);
  expect(dirs.slice(3).every((dir) => /^\/usr\/lib\/postgresql\/[^/]+\/bin$/.test(dir))).toBe(true);
});

test("a setting meant for another connection would reach pg_dump, or the password would be lost", () => {
  process.env["PGOPTIONS"] = "-c statement_timeout=1";
  process.env["PGSERVICE"] = "elsewhere";
  const target: Target = {
    host: "db",
    port: 5433,
    database: "postgres://x",
    user: "u",
    password: new Secret("geheim"),
    sslMode: "verify-full",
    sslRootCert: "/ca.pem",
    sslCert: null,
    sslKey: null,
    connectTimeoutMs: 2500,
  };
  try {
    const env = toolEnv(target);
    expect(Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith("PG")))).toEqual({
      PGHOST: "db",
      PGPORT: "5433",
      PGDATABASE: "postgres://x",
      PGUSER: "u",
      PGPASSWORD: "geheim",
      PGSSLMODE: "verify-full",
      PGSSLROOTCERT: "/ca.pem",
      PGAPPNAME: "partway",
      PGCONNECT_TIMEOUT: "3",
    });
    expect(Object.keys(toolEnv(null)).filter((name) => name.startsWith("PG"))).toEqual([]);
  } finally {
    delete process.env["PGOPTIONS"];
    delete process.env["PGSERVICE"];
  }
});
