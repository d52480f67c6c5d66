/** A streaming replica of a test server, made without pg_basebackup: the data directory of a crashed server, copied. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { literal } from "../../src/pg/quote.js";
import { asAdmin } from "../support/database.js";
import type { RunningServer } from "../support/server.js";

export interface Standby {
  /** `direct`, on the standby. */
  url(direct: string): string;
  promote(): Promise<void>;
  stop(): Promise<void>;
}

/** Crashes `primary`, copies its data, starts both; from then on every acknowledged commit is on both. */
export async function startStandby(primary: RunningServer): Promise<Standby> {
  const { dataDir, binDir } = primary;
  if (dataDir === null || binDir === null) throw new Error("an embedded server is needed");
  const dir = `${dataDir}-standby`;
  await primary.kill();
  execFileSync("cp", ["-a", dataDir, dir]);
  await primary.restart();
  // Below the range of outgoing connections, one of which may have the port already; the primaries begin at 20000.
  const port = primary.port - 12_001;
  const { password } = new URL(primary.superuserUrl);
  rmSync(join(dir, "postmaster.pid"), { force: true });
  writeFileSync(join(dir, "standby.signal"), "");
  const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres password=${password} application_name=standby`;
  appendFileSync(join(dir, "postgresql.auto.conf"), `primary_conninfo = ${literal(conninfo)}\n`);
  const { uid, gid } = statSync(dataDir);
  const flags = [
    ...["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "fsync=off"],
    ...["wal_level=logical", "max_prepared_transactions=20"],
  ].flatMap((s) => ["-c", s]);
  const as = process.getuid?.() === 0 ? { uid, gid } : {};
  const child: ChildProcess = spawn(join(binDir, "postgres"), ["-D", dir, "-p", String(port), ...flags], {
    ...as,
    stdio: "ignore",
    cwd: dir,
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const url = (direct: string) => {
    const there = new URL(direct);
    there.port = String(port);
    return there.href;
  };
  const until = async (at: string, sql: string) => {
    for (;;) {
      const yes = await asAdmin(at, async (admin) => (await admin.query(sql)).rows.length > 0).catch(
        () => false,
      );
      if (yes) return;
      if (child.exitCode !== null) throw new Error(`the standby ended with ${child.exitCode}`);
      await sleep(50);
    }
  };
  await until(primary.superuserUrl, "SELECT FROM pg_stat_replication WHERE state = 'streaming'");
  await asAdmin(primary.superuserUrl, async (admin) => {
    await admin.query("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    await admin.query("SELECT pg_reload_conf()");
  });
  await until(primary.superuserUrl, "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'");
  return {
    url,
    promote: async () => {
      await asAdmin(url(primary.superuserUrl), (admin) => admin.query("SELECT pg_promote()"));
      await until(url(primary.superuserUrl), "SELECT WHERE NOT pg_is_in_recovery()");
    },
    stop: async () => {
      child.kill("SIGQUIT");
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
