/** Debian's own server, where its packages of extensions are: a throw-away cluster on a port of its own. */
import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freshDatabase, type TestDatabase } from "./database.js";
import { freePort } from "./free-port.js";

const BIN = "/usr/lib/postgresql/15/bin";

/** The packages that are missing for these extensions. */
export function missingFor(...extensions: string[]): string[] {
  const files = [
    [`${BIN}/initdb`, "postgresql-15"],
    ...extensions.map((name) => [
      `/usr/share/postgresql/15/extension/${name}.control`,
      `postgresql-15-${name.replace("pg_", "")}`,
    ]),
  ] as const;
  return files.flatMap(([file = "", name = ""]) => (existsSync(file) ? [] : [name]));
}

export interface Debian {
  superuserUrl: string;
  database(): Promise<TestDatabase>;
  stop(): void;
}

/** `settings` as for `postgres -c`. */
export async function startDebian(...settings: string[]): Promise<Debian> {
  const root = process.getuid?.() === 0;
  const id = (flag: string) => Number(spawnSync("id", [flag, "postgres"]).stdout.toString());
  const as = root ? { uid: id("-u"), gid: id("-g") } : {};
  const dir = mkdtempSync(join(tmpdir(), "partway-debian-"));
  if (as.uid !== undefined) chownSync(dir, as.uid, as.gid);
  const run = (program: string, args: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(BIN, program), args, {
      ...as,
      cwd: "/",
      env: { LC_ALL: "C" },
    });
    if (status !== 0) throw new Error(`${program}: ${stdout}${stderr}`);
  };
  const data = join(dir, "data");
  run("initdb", ["-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"]);
  const port = await freePort();
  const all = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", ...settings];
  const flags = [`-p ${port}`, ...all.map((one) => `-c ${one}`)].join(" ");
  run("pg_ctl", ["-D", data, "-o", flags, "-l", join(dir, "log"), "-w", "start"]);
  const superuserUrl = `postgres://postgres@127.0.0.1:${port}/postgres`;
  return {
    superuserUrl,
    database: () => freshDatabase({ version: "15", superuserUrl }),
    stop: () => {
      run("pg_ctl", ["-D", data, "-m", "immediate", "stop"]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
