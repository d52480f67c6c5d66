/** Where pg_dump and pg_restore are, and how they are called: nothing secret in argv, nothing inherited by accident. */
import { readdir, realpath } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { messageOf } from "../errors.js";
import type { Target } from "../pg/target.js";
import { errnoOf } from "./files.js";

export interface Tools {
  dump: string;
  restore: string;
  /** e.g. `15.18`. */
  version: string;
  major: number;
}

/** Debian's /usr/bin/pg_dump is a script that chooses a version by itself; the real ones are in DEBIAN_ROOT. */
const WRAPPER = /pg_wrapper$/;
const DEBIAN_ROOT = "/usr/lib/postgresql";

/** The directories to look into: PATH, then those where Debian's packages put each version. */
export async function toolDirs(path: string | undefined = process.env["PATH"]): Promise<string[]> {
  const onPath = (path ?? "").split(delimiter).filter((dir) => dir !== "");
  const versions = await readdir(DEBIAN_ROOT).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  });
  return [...onPath, ...versions.map((version) => join(DEBIAN_ROOT, version, "bin"))];
}

/**
 * The newest pg_dump, with the pg_restore beside it, that can read a server of `major`: pg_dump refuses a server newer
 * than itself. Null when there is none.
 */
export async function findTools(major: number, dirs: readonly string[]): Promise<Tools | null> {
  const found = await Promise.all(dirs.map(toolsIn));
  const usable = found.filter((tools) => tools !== null).filter((tools) => tools.major >= major);
  return usable.sort((a, b) => b.version.localeCompare(a.version, "en", { numeric: true }))[0] ?? null;
}

async function toolsIn(dir: string): Promise<Tools | null> {
  const dump = await realFile(join(dir, "pg_dump"));
  const restore = await realFile(join(dir, "pg_restore"));
  if (dump === null || restore === null) return null;
  const { execa } = await import("execa");
  const { stdout, failed } = await execa(dump, ["--version"], {
    reject: false,
    stdin: "ignore",
    timeout: 10_000,
  });
  const version = /(\d+(?:\.\d+)?)/.exec(stdout)?.[1];
  if (failed || version === undefined) return null;
  return { dump, restore, version, major: Number.parseInt(version, 10) };
}

/** The file behind a path, or null when there is none or it is Debian's wrapper. */
async function realFile(path: string): Promise<string | null> {
  try {
    const real = await realpath(path);
    return WRAPPER.test(real) ? null : real;
  } catch (error) {
    if (errnoOf(error) !== null) return null;
    throw new Error(`cannot look for ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * The environment of a child: this process's without any PG variable (a PGSERVICE or PGOPTIONS meant for something
 * else must not reach it), with the target's. The password is here and nowhere else.
 * https://www.postgresql.org/docs/current/libpq-envars.html
 */
export function toolEnv(target: Target | null): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith("PG"),
  );
  const env: Record<string, string> = { ...Object.fromEntries(inherited), LC_ALL: "C" };
  if (target === null) return env;
  const given: Record<string, string | null> = {
    PGHOST: target.host,
    PGPORT: String(target.port),
    PGDATABASE: target.database,
    PGUSER: target.user,
    PGPASSWORD: target.password?.reveal() ?? null,
    PGSSLMODE: target.sslMode,
    PGSSLROOTCERT: target.sslRootCert,
    PGSSLCERT: target.sslCert,
    PGSSLKEY: target.sslKey,
    PGAPPNAME: "partway",
    PGCONNECT_TIMEOUT: String(Math.max(2, Math.ceil(target.connectTimeoutMs / 1000))),
  };
  for (const [name, value] of Object.entries(given)) if (value !== null) env[name] = value;
  return env;
}
