/** A real PgBouncer (Debian package pgbouncer) in front of a test database: once a mode, as `<database>_<mode>`. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.js";

const PROGRAM = "/usr/sbin/pgbouncer";

/** Why a test of it has to be skipped; null: it is installed. */
export const PGBOUNCER_MISSING = existsSync(PROGRAM) ? null : "apt-get install pgbouncer";

export interface PgBouncer {
  /** `direct` through the pool of that mode. */
  url(mode: "transaction" | "session"): string;
  stop(): Promise<void>;
}

export async function startPgBouncer(direct: string): Promise<PgBouncer> {
  const { hostname, port, pathname, username, password } = new URL(direct);
  const database = pathname.slice(1);
  const dir = mkdtempSync(join(tmpdir(), "partway-pgbouncer-"));
  const listen = await freePort();
  const pool = (mode: string) =>
    `${database}_${mode} = host=${hostname} port=${port} dbname=${database} user=${username} password=${password} pool_mode=${mode}`;
  const file = join(dir, "pgbouncer.ini");
  writeFileSync(
    file,
    `[databases]\n${pool("transaction")}\n${pool("session")}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${listen}\nunix_socket_dir =\nauth_type = any\n`,
  );
  // It refuses to run as root.
  const root = process.getuid?.() === 0;
  const uid = root ? Number(spawnSync("id", ["-u", "postgres"]).stdout.toString()) : undefined;
  chmodSync(dir, 0o755);
  const child = spawn(PROGRAM, ["-q", file], {
    stdio: ["ignore", "ignore", "inherit"],
    ...(uid === undefined ? {} : { uid }),
  });
  await untilListening(child, listen);
  return {
    url: (mode) => {
      const through = new URL(direct);
      through.port = String(listen);
      through.pathname = `/${database}_${mode}`;
      return through.href;
    },
    stop: async () => {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended with ${child.exitCode}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, "127.0.0.1");
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("close", () => socket.destroy());
      socket.once("connect", () => socket.end());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
