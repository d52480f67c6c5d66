/**
 * One fixture, three ways (DESIGN 6): a server by URL (PARTWAY_TEST_URL_14 to PARTWAY_TEST_URL_18), a container
 * (PARTWAY_TEST_PG=container), else the embedded binaries.
 */
import { startEmbedded } from "../../src/demo/server.js";
import { packageOf, type ServerVersion } from "./versions.js";

export type { ServerVersion };

export interface ServerOptions {
  /** Further postgres flags, for example ["-c", "wal_level=logical"]. Not possible with a server by URL. */
  flags?: string[];
  /** Default false: tests survive a killed process, not a power cut. */
  fsync?: boolean;
}

export interface RunningServer {
  version: ServerVersion;
  host: string;
  port: number;
  superuserUrl: string;
  /** null unless embedded. */
  dataDir: string | null;
  /** initdb, pg_ctl and postgres; null unless embedded. */
  binDir: string | null;
  stop(): Promise<void>;
  /** Crash: every connection cut, no checkpoint. */
  kill(): Promise<void>;
  /** Starts again after kill(), or stops and starts. Same port, same data. */
  restart(): Promise<void>;
}

const MODE = "PARTWAY_TEST_PG";

/** What every test server has: logical decoding for publications and subscriptions, prepared transactions. */
const TEST_FLAGS = ["-c", "wal_level=logical", "-c", "max_prepared_transactions=20"];

/** Starts a server of its own. For kill() and restart() use `startOwnServer`, which is always embedded. */
export async function startServer(
  version: ServerVersion,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const url = process.env[`PARTWAY_TEST_URL_${version}`];
  if (url !== undefined && url !== "") return existing(version, url);
  if (process.env[MODE] === "container") return container(version, options);
  return startOwnServer(version, options);
}

/** An embedded server whatever the environment says: for tests that crash it. */
export async function startOwnServer(
  version: ServerVersion,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const server = await startEmbedded({
    packageName: packageOf(version),
    flags: [...TEST_FLAGS, ...(options.flags ?? [])],
    fsync: options.fsync ?? false,
  });
  return { ...server, version };
}

function existing(version: ServerVersion, url: string): RunningServer {
  const notOurs = async () => {
    throw new Error("a server given by URL is not the tests' to stop or restart: use startOwnServer");
  };
  const { hostname, port } = new URL(url);
  return {
    version,
    host: hostname,
    port: Number(port || 5432),
    superuserUrl: url,
    dataDir: null,
    binDir: null,
    stop: async () => undefined,
    kill: notOurs,
    restart: notOurs,
  };
}

async function container(version: ServerVersion, options: ServerOptions): Promise<RunningServer> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const fsync = options.fsync === true ? [] : ["-c", "fsync=off"];
  const started = await new GenericContainer(`postgres:${version}`)
    .withEnvironment({ POSTGRES_PASSWORD: "partway" })
    .withCommand(["postgres", "-c", "max_connections=200", ...TEST_FLAGS, ...fsync, ...(options.flags ?? [])])
    .withExposedPorts(5432)
    // The image starts a first server for its own set-up: the second "ready" is the real one.
    .withWaitStrategy(Wait.forLogMessage(/database system is ready to accept connections/, 2))
    .start();
  const notPossible = async () => {
    throw new Error("a container gets another port when it restarts: use startOwnServer");
  };
  const host = started.getHost();
  const port = started.getMappedPort(5432);
  return {
    version,
    host,
    port,
    superuserUrl: `postgres://postgres:partway@${host}:${port}/postgres`,
    dataDir: null,
    binDir: null,
    stop: async () => {
      await started.stop();
    },
    kill: notPossible,
    restart: notPossible,
  };
}
