/** sslmode against a real server, first without TLS, then with a certificate of a CA made here. */
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { z } from "zod";
import { PartwayError } from "../../src/errors.js";
import { literal } from "../../src/pg/quote.js";
import { resolveTarget } from "../../src/pg/resolve.js";
import { Session } from "../../src/pg/session.js";
import { Secret, type SslMode, type Target } from "../../src/pg/target.js";
import { tlsAttempts } from "../../src/pg/tls.js";
import { asAdmin } from "../support/database.js";
import { type RunningServer, startOwnServer } from "../support/server.js";

const PASSWORD = "tls-secret";
const WRONG = "tls-wrong";
/** `plain` may come only unencrypted, `secure` only with TLS, `card` only with a client certificate. */
const HBA = `
host all postgres,app 127.0.0.1/32 scram-sha-256
hostnossl all plain 127.0.0.1/32 scram-sha-256
hostssl all secure 127.0.0.1/32 scram-sha-256
hostssl all card 127.0.0.1/32 cert
`;

let server: RunningServer;
let directory = "";
const file = (name: string): string => join(directory, name);
const openssl = (...args: string[]): void => {
  execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
};

/** A CA `name`.crt and `name`.key. */
function makeCa(name: string): void {
  const subject = ["-subj", `/CN=${name}`, "-days", "30"];
  openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    ...subject,
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.crt`,
  );
}

/** A certificate for the common name `cn` signed by `ca`; `sans` are its subject alternative names. */
function makeCertificate(name: string, cn: string, ca: string, sans?: string): void {
  openssl(
    "req",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    `/CN=${cn}`,
    "-keyout",
    `${name}.key`,
    "-out",
    "csr.pem",
  );
  writeFileSync(file("ext"), sans === undefined ? "" : `subjectAltName=${sans}`);
  const signer = ["-CA", `${ca}.crt`, "-CAkey", `${ca}.key`, "-CAcreateserial"];
  openssl(
    "x509",
    "-req",
    "-in",
    "csr.pem",
    ...signer,
    "-days",
    "30",
    "-extfile",
    "ext",
    "-out",
    `${name}.crt`,
  );
  chmodSync(file(`${name}.key`), 0o600);
}

/** Gives the server this certificate and starts it again with TLS on. */
async function serveWith(name: string): Promise<void> {
  const data = server.dataDir ?? "";
  const owner = statSync(data);
  for (const end of ["crt", "key"]) {
    const copy = join(data, `server.${end}`);
    copyFileSync(file(`${name}.${end}`), copy);
    chmodSync(copy, 0o600);
    chownSync(copy, owner.uid, owner.gid);
  }
  await server.restart();
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "partway-tls-"));
  makeCa("ca");
  makeCa("foreign");
  makeCertificate("named", "ignored", "ca", "DNS:localhost");
  makeCertificate("addressed", "ignored", "ca", "IP:127.0.0.1");
  makeCertificate("common", "localhost", "ca");
  makeCertificate("card", "card", "ca");
  server = await startOwnServer(inject("server").version);
  await asAdmin(server.superuserUrl, async (admin) => {
    for (const role of ["app", "plain", "secure", "card"]) {
      await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${literal(PASSWORD)}`);
    }
  });
  writeFileSync(join(server.dataDir ?? "", "pg_hba.conf"), HBA);
  await server.restart();
});

afterAll(async () => {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

const at = (sslMode: SslMode, change: Partial<Target> = {}): Target => ({
  host: "localhost",
  hostAddress: "127.0.0.1",
  port: server.port,
  database: "postgres",
  user: "app",
  password: new Secret(PASSWORD),
  sslMode,
  sslRootCert: null,
  sslCert: null,
  sslKey: null,
  connectTimeoutMs: 10_000,
  ...change,
});

/** `tls` or `plain` as the server sees the connection, or the explanation of why there is none. */
async function outcome(target: Target): Promise<string> {
  let session: Session;
  try {
    session = await Session.open(target);
  } catch (error) {
    if (!(error instanceof PartwayError)) throw error;
    expect(error.exitCode).toBe(2);
    const text = `${error.message} => ${error.next}`;
    expect(`${text} ${error.stack}`).not.toMatch(/tls-secret|tls-wrong|PRIVATE KEY/);
    return text;
  }
  try {
    const Ssl = z.object({ ssl: z.string() });
    const sql = "SELECT ssl::text AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    return (await session.one(Ssl, sql)).ssl === "true" ? "tls" : "plain";
  } finally {
    await session.end();
  }
}

describe("a server without TLS", () => {
  test.each(["disable", "allow", "prefer"] as const)("sslmode=%s connects unencrypted", async (mode) => {
    expect(await outcome(at(mode))).toBe("plain");
  });

  test.each(["require", "verify-ca", "verify-full"] as const)(
    "sslmode=%s refuses to send a password",
    async (mode) => {
      const text = await outcome(at(mode, { sslRootCert: file("ca.crt") }));
      expect(text).toContain(`does not speak TLS, and sslmode=${mode} insists`);
      expect(text).toContain("ssl = on");
    },
  );
});

describe("a server with TLS", () => {
  beforeAll(async () => {
    await asAdmin(server.superuserUrl, (admin) => admin.query("ALTER SYSTEM SET ssl = on"));
    await serveWith("named");
  });

  test.each<[SslMode, string]>([
    ["disable", "plain"],
    ["allow", "plain"],
    ["prefer", "tls"],
    ["require", "tls"],
  ])("sslmode=%s without a root certificate gives %s", async (mode, expected) => {
    expect(await outcome(at(mode))).toBe(expected);
    expect(await outcome(at(mode, { sslRootCert: file("absent.crt") }))).toBe(expected);
  });

  test.each(["prefer", "require", "verify-ca", "verify-full"] as const)(
    "sslmode=%s with the right CA encrypts",
    async (mode) => {
      expect(await outcome(at(mode, { sslRootCert: file("ca.crt") }))).toBe("tls");
      // The same by name alone, without an address given apart.
      expect(await outcome(at(mode, { sslRootCert: file("ca.crt"), hostAddress: null }))).toBe("tls");
    },
  );

  test.each(["require", "verify-ca", "verify-full"] as const)(
    "sslmode=%s does not hand the password to a server of an unknown CA",
    async (mode) => {
      const text = await outcome(at(mode, { sslRootCert: file("foreign.crt") }));
      expect(text).toContain(`not signed by a CA of ${file("foreign.crt")}`);
      expect(text).toContain("PGSSLROOTCERT");
    },
  );

  test("sslmode=verify-full with public CAs does not trust a self-made one", async () => {
    expect(await outcome(at("verify-full", { sslRootCert: "system" }))).toContain("not signed by a CA");
  });

  // As psql 15 does: prefer is a wish, so a certificate that cannot be checked ends in a plain connection.
  test("sslmode=prefer with a foreign CA falls to plain, allow comes in plain at once", async () => {
    expect(await outcome(at("prefer", { sslRootCert: file("foreign.crt") }))).toBe("plain");
    expect(await outcome(at("allow", { sslRootCert: file("foreign.crt") }))).toBe("plain");
  });

  test("sslmode=verify-full refuses another host name, which verify-ca does not look at", async () => {
    const other = { sslRootCert: file("ca.crt"), host: "db.example" };
    const text = await outcome(at("verify-full", other));
    expect(text).toContain("made for another host name");
    expect(text).toContain("localhost");
    expect(text).toContain("PGHOST");
    expect(await outcome(at("verify-ca", other))).toBe("tls");
  });

  test("sslmode=verify-full refuses an address that the certificate does not hold", async () => {
    const address = { sslRootCert: file("ca.crt"), host: "127.0.0.1", hostAddress: null };
    expect(await outcome(at("verify-full", address))).toContain("made for another host name");
    expect(await outcome(at("verify-ca", address))).toBe("tls");
  });

  test.each(["verify-ca", "verify-full"] as const)(
    "sslmode=%s without a root certificate says so",
    async (mode) => {
      expect(await outcome(at(mode))).toContain("PGSSLROOTCERT");
      expect(await outcome(at(mode, { sslRootCert: file("absent.crt") }))).toContain(
        "absent.crt does not exist",
      );
    },
  );

  test("a root certificate file without a certificate is named", async () => {
    writeFileSync(file("empty.crt"), "nothing");
    expect(await outcome(at("verify-full", { sslRootCert: file("empty.crt") }))).toContain(
      "empty.crt holds no",
    );
  });

  test("NODE_TLS_REJECT_UNAUTHORIZED does not switch the check off", async () => {
    const script = `
      import { tlsAttempts } from ${JSON.stringify(new URL("../../src/pg/tls.ts", import.meta.url).href)};
      const target = { host: "h", sslMode: "verify-full", sslRootCert: "system", sslCert: null, sslKey: null };
      console.log(tlsAttempts(target)[0].rejectUnauthorized);`;
    const env = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    const args = ["--import", "tsx", "--input-type=module", "--eval", script];
    expect(execFileSync(process.execPath, args, { env, encoding: "utf8" }).trim()).toBe("true");
  });
});

describe("a server that lets some in only with TLS and some only without", () => {
  test("prefer and allow find the way that works, as psql does", async () => {
    expect(await outcome(at("prefer", { user: "plain" }))).toBe("plain");
    expect(await outcome(at("prefer", { user: "secure" }))).toBe("tls");
    expect(await outcome(at("allow", { user: "secure" }))).toBe("tls");
  });

  test("require and disable do not take the other way, and say what to change", async () => {
    expect(await outcome(at("require", { user: "plain" }))).toContain("no pg_hba.conf entry");
    const text = await outcome(at("disable", { user: "secure" }));
    expect(text).toContain("no pg_hba.conf entry");
    expect(text).toContain("sslmode=require");
  });

  test.each(["plain", "secure"])(
    "a wrong password for %s is what is reported, not the other way",
    async (user) => {
      const text = await outcome(at("prefer", { user, password: new Secret(WRONG) }));
      expect(text).toMatch(/^the server refused the user or password/);
      expect(text).toContain("PGPASSWORD");
    },
  );
});

describe("client certificates", () => {
  const card = (change: Partial<Target> = {}): Target =>
    at("verify-full", {
      user: "card",
      sslRootCert: file("ca.crt"),
      sslCert: file("card.crt"),
      sslKey: file("card.key"),
      ...change,
    });

  beforeAll(async () => {
    await asAdmin(server.superuserUrl, (admin) => admin.query("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'"));
    const copy = join(server.dataDir ?? "", "ca.crt");
    copyFileSync(file("ca.crt"), copy);
    chmodSync(copy, 0o644);
    await server.restart();
  });

  test("let a role in that has no other way", async () => {
    expect(await outcome(card())).toBe("tls");
  });

  test("that are missing are asked for by name", async () => {
    const text = await outcome(card({ sslCert: null, sslKey: null }));
    expect(text).toContain("client certificate");
    expect(text).toContain("PGSSLCERT");
  });

  test("whose key others may read are refused, as psql refuses them", async () => {
    copyFileSync(file("card.key"), file("open.key"));
    chmodSync(file("open.key"), 0o644);
    expect(await outcome(card({ sslKey: file("open.key") }))).toContain(`chmod 600 ${file("open.key")}`);
  });

  test("without a key, or with another's key, are explained", async () => {
    expect(await outcome(card({ sslKey: null }))).toContain("has no private key file");
    expect(await outcome(card({ sslKey: file("absent.key") }))).toContain("absent.key");
    expect(await outcome(card({ sslKey: file("named.key") }))).toContain("cannot be used");
  });
});

describe("other certificates a server may have", () => {
  test("one for its address is accepted under the address and refused under a name", async () => {
    await serveWith("addressed");
    const root = { sslRootCert: file("ca.crt") };
    expect(await outcome(at("verify-full", { ...root, host: "127.0.0.1", hostAddress: null }))).toBe("tls");
    expect(await outcome(at("verify-full", root))).toContain("made for another host name");
  });

  test("one that has its name only in the common name is accepted, as in PostgreSQL's own manual", async () => {
    await serveWith("common");
    expect(await outcome(at("verify-full", { sslRootCert: file("ca.crt") }))).toBe("tls");
  });

  test("the whole way from a URL: wrong CA refused, right CA encrypted", async () => {
    const url = (root: string) =>
      `postgres://app:${PASSWORD}@localhost:${server.port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=${encodeURIComponent(file(root))}`;
    const env = { HOME: directory };
    expect(await outcome(await resolveTarget({ url: url("ca.crt") }, env))).toBe("tls");
    expect(await outcome(await resolveTarget({ url: url("foreign.crt") }, env))).toContain(
      "not signed by a CA",
    );
  });
});

test("a unix socket is never encrypted, whatever sslmode says", () => {
  expect(tlsAttempts(at("verify-full", { host: "/var/run/postgresql", hostAddress: null }))).toEqual([false]);
});
