/** A database of its own for one test, and the check that the test gave every connection back. */
import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { z } from "zod";
import { ident, literal } from "../../src/pg/quote.js";
import { Session } from "../../src/pg/session.js";
import { Secret, type Target } from "../../src/pg/target.js";
import type { RunningServer, ServerVersion } from "./server.js";

export interface TestDatabase {
  name: string;
  /** The login role that owns the database: not a superuser, may create what an owner may. */
  role: string;
  version: ServerVersion;
  /** This database as the superuser. */
  superuserUrl: string;
  /** This database as its owner. */
  ownerUrl: string;
  /** A session that drop() closes; by default as the owner. */
  session(url?: string): Promise<Session>;
  /**
   * A copy of it as it stands: same OIDs, same rows, same owner. Closes the helper's own sessions on it for good; it
   * is only there to be copied from then on. To be dropped before it.
   */
  copy(): Promise<TestDatabase>;
  /**
   * Closes the helper's own sessions, then drops database and role. Throws, after dropping, when some other client
   * was still connected: a connection the code under test did not give back.
   */
  drop(): Promise<void>;
}

type Server = Pick<RunningServer, "superuserUrl" | "version">;

/** The server of this project (pg15 or pg18), or the one given. */
export async function freshDatabase(server: Server = inject("server")): Promise<TestDatabase> {
  const id = randomBytes(5).toString("hex");
  const name = `t_${id}`;
  const owner = { role: `owner_${id}`, password: randomBytes(9).toString("hex"), isDropped: true };
  await asAdmin(server.superuserUrl, async (admin) => {
    const password = literal(owner.password);
    await admin.query(`CREATE ROLE ${ident(owner.role)} LOGIN NOSUPERUSER PASSWORD ${password}`);
    await admin.query(createSql(server, name, owner.role, "template1"));
  });
  const db = databaseOf(server, name, owner);
  await asAdmin(db.superuserUrl, (admin) => admin.query(`ALTER SCHEMA public OWNER TO ${ident(owner.role)}`));
  return db;
}

/** Copied as files, as 14 always does: in memory half the processor time of a copy through the WAL, the default since 15. */
function createSql({ version }: Server, name: string, role: string, template: string): string {
  const strategy = version === "14" ? "" : " STRATEGY file_copy";
  return `CREATE DATABASE ${ident(name)} OWNER ${ident(role)} TEMPLATE ${ident(template)}${strategy}`;
}

interface Owner {
  role: string;
  password: string;
  /** With this database, or another one has it still. */
  isDropped: boolean;
}

function databaseOf(server: Server, name: string, owner: Owner): TestDatabase {
  const { role, password } = owner;
  const superuserUrl = withParts(server.superuserUrl, { database: name });
  const ownerUrl = withParts(server.superuserUrl, { database: name, user: role, password });
  const open: Session[] = [];
  return {
    name,
    role,
    version: server.version,
    superuserUrl,
    ownerUrl,
    session: async (url = ownerUrl) => {
      const session = await Session.open(targetOf(url));
      open.push(session);
      return session;
    },
    copy: async () => {
      await Promise.all(open.map((session) => session.end()));
      const copied = `t_${randomBytes(5).toString("hex")}`;
      await asAdmin(server.superuserUrl, (admin) => admin.query(createSql(server, copied, role, name)));
      return databaseOf(server, copied, { ...owner, isDropped: false });
    },
    drop: async () => {
      await Promise.all(open.map((session) => session.end()));
      const left = await asAdmin(server.superuserUrl, async (admin) => {
        const clients = await clientsLeft(
          admin,
          name,
          open.map((session) => session.pid),
        );
        await admin.query(`DROP DATABASE ${ident(name)} WITH (FORCE)`);
        if (owner.isDropped) await admin.query(`DROP ROLE ${ident(role)}`);
        return clients;
      });
      if (left.length > 0) throw new Error(`connections were not given back:\n${left.join("\n")}`);
    },
  };
}

/** A target for `url` without going through Partway's own resolution (environment, pgpass). */
export function targetOf(url: string): Target {
  const { hostname, port, pathname, username, password } = new URL(url);
  return {
    host: decodeURIComponent(hostname),
    port: Number(port || 5432),
    database: decodeURIComponent(pathname.slice(1)),
    user: decodeURIComponent(username),
    password: password === "" ? null : new Secret(decodeURIComponent(password)),
    sslMode: "disable",
    sslRootCert: null,
    sslCert: null,
    sslKey: null,
    connectTimeoutMs: 10_000,
  };
}

/** Runs `work` on a superuser's session that is closed afterwards. */
export async function asAdmin<T>(url: string, work: (admin: Session) => Promise<T>): Promise<T> {
  const admin = await Session.open(targetOf(url));
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

const Client = z.object({
  pid: z.string(),
  app: z.string(),
  state: z.string().nullable(),
  query: z.string(),
});

/**
 * Clients still connected to `database`. A client that has just said goodbye is listed until its backend has ended,
 * so the list is read until it is empty or has not changed for 20 readings (a quarter of a second or so).
 */
async function clientsLeft(admin: Session, database: string, own: readonly number[]): Promise<string[]> {
  let before = "";
  for (let same = 0; same < 20; ) {
    const clients = await admin.rows(
      Client,
      `SELECT pid::text, application_name AS app, state, left(query, 200) AS query, pg_catalog.pg_sleep(0.01)::text
       FROM (SELECT * FROM pg_catalog.pg_stat_activity
             WHERE datname = $1 AND backend_type = 'client backend' AND NOT pid = ANY ($2::int[]) ORDER BY pid) a`,
      [database, own.map(String)],
    );
    if (clients.length === 0) return [];
    const now = clients.map(
      (c) => `pid ${c.pid} (${c.app || "no application_name"}, ${c.state}): ${c.query}`,
    );
    same = now.join("\n") === before ? same + 1 : 0;
    before = now.join("\n");
  }
  return before.split("\n");
}

function withParts(url: string, parts: { database: string; user?: string; password?: string }): string {
  const changed = new URL(url);
  changed.pathname = `/${encodeURIComponent(parts.database)}`;
  if (parts.user !== undefined) changed.username = encodeURIComponent(parts.user);
  if (parts.password !== undefined) changed.password = encodeURIComponent(parts.password);
  return changed.href;
}
