import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { z } from "zod";
import { PartwayError } from "../../src/errors.js";
import { ident, literal } from "../../src/pg/quote.js";
import { resolveTarget } from "../../src/pg/resolve.js";
import { Session } from "../../src/pg/session.js";
import { Secret, type Target } from "../../src/pg/target.js";
import { asAdmin } from "../support/database.js";
import { type RunningServer, startOwnServer } from "../support/server.js";

const PASSWORD = "p@ss/w:rd %'\\é";
const WRONG = "tippfehler-42";

/** Roles of this server and who may come in how; `stranger` has a role and no line. */
const HBA = `
local all postgres scram-sha-256
local all app scram-sha-256
host all postgres,app,limited,nologin,nobody 127.0.0.1/32 scram-sha-256
host all ghost 127.0.0.1/32 trust
`;

let server: RunningServer;
let sockets = "";

beforeAll(async () => {
  sockets = mkdtempSync(join(tmpdir(), "partway-sock-"));
  chmodSync(sockets, 0o777); // the server may run as another user than the test
  const flags = [
    "max_connections=8",
    "superuser_reserved_connections=3",
    `unix_socket_directories=${sockets}`,
  ];
  server = await startOwnServer(inject("server").version, { flags: flags.flatMap((flag) => ["-c", flag]) });
  await asAdmin(server.superuserUrl, async (admin) => {
    for (const role of ["app", "limited", "nologin", "stranger"]) {
      const login =
        role === "nologin" ? "NOLOGIN" : role === "limited" ? "LOGIN CONNECTION LIMIT 0" : "LOGIN";
      await admin.query(`CREATE ROLE ${ident(role)} ${login} PASSWORD ${literal(PASSWORD)}`);
    }
    await admin.query(`CREATE DATABASE closed`);
    await admin.query(`REVOKE CONNECT ON DATABASE closed FROM public`);
    writeFileSync(join(server.dataDir ?? "", "pg_hba.conf"), HBA);
  });
  await server.restart();
});

afterAll(async () => {
  await server.stop();
  rmSync(sockets, { recursive: true, force: true });
});

const at = (change: Partial<Target> = {}): Target => ({
  host: "127.0.0.1",
  port: server.port,
  database: "postgres",
  user: "app",
  password: new Secret(PASSWORD),
  sslMode: "prefer",
  sslRootCert: null,
  sslCert: null,
  sslKey: null,
  connectTimeoutMs: 10_000,
  ...change,
});

/** The explanation an operator gets; fails when there is a connection, and when any part of it holds a password. */
async function failure(change: Partial<Target>): Promise<PartwayError> {
  const opened = await Session.open(at(change)).then(
    async (session) => {
      await session.end();
      return "connected";
    },
    (thrown: unknown) => thrown,
  );
  if (!(opened instanceof PartwayError)) throw new Error(`no PartwayError: ${inspect(opened)}`);
  expect(opened).toMatchObject({ kind: "bad-input", exitCode: 2, state: "Nothing was touched." });
  expect(opened.next).toMatch(/[a-z]/i);
  const all = [
    opened.message,
    opened.stack,
    opened.next,
    JSON.stringify(opened),
    inspect(opened, { depth: 20 }),
  ];
  for (const text of all) {
    expect(text).not.toContain(PASSWORD);
    expect(text).not.toContain(WRONG);
  }
  return opened;
}

const User = z.object({ user: z.string(), database: z.string(), setting: z.string().nullable() });
async function whoAmI(target: Target) {
  const session = await Session.open(target);
  try {
    return await session.one(
      User,
      `SELECT current_user AS user, current_database() AS database, current_setting('my.setting', true) AS setting`,
    );
  } finally {
    await session.end();
  }
}

describe("an operator who cannot connect is told why and what to do", () => {
  test("wrong password", async () => {
    const error = await failure({ password: new Secret(WRONG) });
    expect(error.message).toContain(`app@127.0.0.1:${server.port}/postgres`);
    expect(error.message).toContain("password authentication failed");
    expect(error.next).toContain("PGPASSWORD");
  });

  test("no password, although this machine's environment and home have one for somebody else", async () => {
    vi.stubEnv("PGPASSWORD", PASSWORD);
    try {
      const error = await failure({ password: null });
      expect(error.message).toContain("asks for a password");
      expect(error.next).toContain(".pgpass");
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test("unknown database", async () => {
    const error = await failure({ database: "nowhere" });
    expect(error.message).toBe(`there is no database "nowhere" on 127.0.0.1:${server.port}`);
    expect(error.next).toContain("PGDATABASE");
  });

  test("unknown role, where the server says so and where it hides it behind the password", async () => {
    const open = await failure({ user: "ghost" });
    expect(open.message).toContain('role "ghost" does not exist');
    expect(open.next).toContain("PGUSER");
    const hidden = await failure({ user: "nobody" });
    expect(hidden.message).toContain("user or password");
    expect(hidden.next).toContain("role's name");
  });

  test("a role that may not log in", async () => {
    const error = await failure({ user: "nologin" });
    expect(error.message).toContain("not permitted to log in");
    expect(error.next).toContain("LOGIN");
  });

  test("no pg_hba.conf entry", async () => {
    const error = await failure({ user: "stranger" });
    expect(error.message).toContain("no pg_hba.conf entry");
    expect(error.next).toContain("pg_hba.conf");
  });

  test("no right to connect to the database", async () => {
    const error = await failure({ database: "closed" });
    expect(error.message).toContain('permission denied for database "closed"');
    expect(error.next).toContain("GRANT CONNECT");
  });

  test("a role at its connection limit", async () => {
    const error = await failure({ user: "limited" });
    expect(error.message).toContain('too many connections for role "limited"');
    expect(error.next).toContain("--workers");
  });

  test("a server without a free connection", async () => {
    const held: Session[] = [];
    try {
      for (let i = 0; i < 5; i++) held.push(await Session.open(at()));
      const error = await failure({});
      expect(error.message).toContain("no connection left");
      expect(error.next).toContain("--workers");
    } finally {
      await Promise.all(held.map((session) => session.end()));
    }
  });

  test("wrong port", async () => {
    const error = await failure({ port: 1 });
    expect(error.message).toContain("cannot reach app@127.0.0.1:1/postgres");
    expect(error.message).toContain("ECONNREFUSED");
    expect(error.next).toContain("PGPORT");
  });

  test("wrong port of a host with several addresses: the reasons are not lost", async () => {
    expect((await failure({ host: "localhost", port: 1 })).message).toContain("ECONNREFUSED");
  });

  test("unknown host", async () => {
    const error = await failure({ host: "no-such-host.invalid" });
    expect(error.message).toContain("no host named no-such-host.invalid");
    expect(error.next).toContain("PGHOST");
  });

  test("no server on the unix socket", async () => {
    const error = await failure({ host: "/nowhere" });
    expect(error.message).toContain(`/nowhere/.s.PGSQL.${server.port}`);
    expect(error.next).toContain("PGHOST");
  });
});

describe("something that is not a healthy PostgreSQL answers", () => {
  let other: Server | null = null;
  /** Sends `answer` to whoever speaks first and hangs up, unless it is to `stay`. */
  const listen = (answer: string | null, stay = false): Promise<number> =>
    new Promise((resolve) => {
      const listener = createServer((socket) => {
        socket.on("error", () => socket.destroy());
        socket.once("data", () => {
          if (answer !== null && stay) socket.write(answer);
          else if (answer !== null) socket.end(answer);
        });
      });
      other = listener;
      listener.listen(0, "127.0.0.1", () => {
        const address = listener.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  afterEach(() => {
    other?.close();
  });

  test("nothing comes back: the operator gets an answer, not a hanging terminal", async () => {
    const error = await failure({ port: await listen(null), connectTimeoutMs: 100 });
    expect(error.message).toContain("did not answer in 0.1 s");
    expect(error.next).toContain("PGCONNECT_TIMEOUT");
  });

  test("it promises TLS and then says nothing", async () => {
    const error = await failure({ port: await listen("S", true), connectTimeoutMs: 100 });
    expect(error.message).toContain("did not answer in 0.1 s");
  });

  test("a web server", async () => {
    const error = await failure({ port: await listen("HTTP/1.1 400 Bad Request\r\n\r\n") });
    expect(error.message).toContain("no connection to app@127.0.0.1");
  });

  test("it hangs up at once, with and without TLS", async () => {
    const port = await listen("");
    for (const sslMode of ["disable", "prefer", "require"] as const) {
      expect((await failure({ port, sslMode })).message).toContain("no connection to app@127.0.0.1");
    }
  });
});

describe("a failed attempt leaves nothing behind", () => {
  test("no connection stays open on the server", async () => {
    for (const change of [{ password: new Secret(WRONG) }, { database: "nowhere" }, { user: "limited" }]) {
      await failure(change);
    }
    const left = await asAdmin(server.superuserUrl, (admin) =>
      admin.one(
        z.object({ count: z.string() }),
        `SELECT count(*)::text AS count FROM pg_stat_activity
          WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
      ),
    );
    expect(left.count).toBe("0");
  });
});

describe("what psql connects with, Partway connects with", () => {
  const encoded = encodeURIComponent(PASSWORD);
  const resolve = (url: string | null, env: Record<string, string> = {}) =>
    resolveTarget(url === null ? {} : { url }, { HOME: sockets, ...env });
  const app = { user: "app", database: "postgres", setting: null };

  test("a URL with a percent-encoded password", async () => {
    expect(
      await whoAmI(await resolve(`postgres://app:${encoded}@127.0.0.1:${server.port}/postgres`)),
    ).toEqual(app);
  });

  test("a key=value string with a quoted password", async () => {
    const quoted = PASSWORD.replace(/[\\']/g, "\\$&");
    const url = `host=127.0.0.1 port=${server.port} dbname=postgres user=app password='${quoted}'`;
    expect(await whoAmI(await resolve(url))).toEqual(app);
  });

  test("the PG* variables, the unix socket and server options", async () => {
    const env = {
      PGHOST: sockets,
      PGPORT: String(server.port),
      PGUSER: "app",
      PGDATABASE: "postgres",
      PGPASSWORD: PASSWORD,
      PGOPTIONS: "-c my.setting=on -c search_path=public",
      PGSSLMODE: "verify-full", // of no effect on a unix socket
    };
    const target = await resolve(null, env);
    expect(await whoAmI(target)).toEqual({ ...app, setting: "on" });
    const session = await Session.open(target);
    const { rows } = await session.query("SELECT current_setting('search_path') AS path");
    await session.end();
    expect(rows).toEqual([{ path: "" }]);
  });

  test("a password file, by the address too", async () => {
    const PGPASSFILE = join(sockets, "passfile");
    writeFileSync(PGPASSFILE, `localhost:${server.port}:*:app:${PASSWORD.replace(/[\\:]/g, "\\$&")}\n`, {
      mode: 0o600,
    });
    expect(statSync(PGPASSFILE).mode & 0o777).toBe(0o600);
    const url = `host=localhost hostaddr=127.0.0.1 port=${server.port} user=app dbname=postgres`;
    expect(await whoAmI(await resolve(url, { PGPASSFILE }))).toEqual(app);
  });
});
