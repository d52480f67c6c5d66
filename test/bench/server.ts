/** The server that is measured, and the machine it runs on. */
import { execFileSync } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { startEmbedded } from "../../src/demo/server.js";
import { packageOf, type ServerVersion } from "../support/versions.js";
import { connected } from "./database.js";

/**
 * Settings of a server that somebody has set up for its machine; all else, autovacuum and fsync too, is PostgreSQL's
 * default. WAL enough that no run meets a forced checkpoint: when it came would decide who wins.
 */
export const SETTINGS = [
  "shared_buffers=1GB",
  "maintenance_work_mem=256MB",
  "max_wal_size=12GB",
  "min_wal_size=2GB",
  "checkpoint_timeout=30min",
  // For the profile of the lock: epoch and process id before each line.
  "log_line_prefix=%n [%p] ",
] as const;

const SHOWN = [
  ...[
    "server_version",
    "shared_buffers",
    "maintenance_work_mem",
    "max_wal_size",
    "checkpoint_timeout",
    "fsync",
  ],
  ...["synchronous_commit", "full_page_writes", "wal_level", "autovacuum", "max_parallel_workers"],
  ...["max_parallel_maintenance_workers", "max_connections"],
];

export interface BenchServer {
  superuserUrl: string;
  logFile: string;
  stop(): Promise<void>;
}

/** `more`: further settings, for what is asked to be measured. */
export async function startServer(
  version: ServerVersion,
  more: readonly string[] = [],
): Promise<BenchServer> {
  const flags = [...SETTINGS, ...more].flatMap((setting) => ["-c", setting]);
  return startEmbedded({ packageName: packageOf(version), flags });
}

/** The settings as the server has them. */
export async function settingsOf(superuserUrl: string): Promise<Record<string, string>> {
  return connected(superuserUrl, async (client) => {
    const { rows } = await client.query<{ name: string; setting: string }>(
      "SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name = ANY ($1)",
      [SHOWN],
    );
    return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
  });
}

const GIB = 2 ** 30;

export function describeMachine(): Record<string, string> {
  const cores = cpus();
  const { bavail, bsize } = statfsSync(tmpdir());
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: String(cores.length),
    memory: `${(totalmem() / GIB).toFixed(1)} GiB`,
    disk: `${fileSystemOf(tmpdir())}, ${Math.round((bavail * bsize) / GIB)} GiB free`,
    kernel: `${process.platform} ${release()}`,
    node: process.version,
    load: readFileSync("/proc/loadavg", "utf8").split(" ").slice(0, 3).join(" "),
  };
}

/** `ext4 on /dev/vda`, of the longest mount that holds `path`. */
function fileSystemOf(path: string): string {
  const [device, type] = execFileSync("df", ["--output=source,fstype", path], { encoding: "utf8" })
    .trim()
    .split("\n")
    .at(-1)
    ?.split(/\s+/) ?? ["?", "?"];
  return `${type} on ${device}`;
}
