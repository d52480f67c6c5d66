import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PartwayError } from "../../src/errors.js";
import { redact } from "../../src/log.js";
import { resolveTarget } from "../../src/pg/resolve.js";
import type { Target } from "../../src/pg/target.js";

let home = "";
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "partway-home-"));
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

/** A resolution in an empty home and an environment that holds nothing but `env`. */
const resolve = (url: string | null, env: Record<string, string> = {}): Promise<Target> =>
  resolveTarget(url === null ? {} : { url }, { HOME: home, ...env });

/** What a test compares: the target as psql would report it (\conninfo), with the password in the clear. */
const seen = async (url: string | null, env: Record<string, string> = {}) => {
  const target = await resolve(url, env);
  return {
    at: `${target.user}@${target.host}:${target.port}/${target.database}`,
    password: target.password?.reveal() ?? null,
    sslMode: target.sslMode,
  };
};

async function refusal(url: string | null, env: Record<string, string> = {}): Promise<PartwayError> {
  const error = await resolve(url, env).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PartwayError)) throw new Error(`not refused: ${url}`);
  expect(error.exitCode).toBe(2);
  expect(error.next).not.toBe("");
  return error;
}

describe("the server that is migrated is the one psql would have connected to", () => {
  test("--url wins over DATABASE_URL, and DATABASE_URL over the PG* variables", async () => {
    const env = {
      DATABASE_URL: "postgres://b@two/dbtwo",
      PGHOST: "three",
      PGUSER: "c",
      PGDATABASE: "dbthree",
    };
    expect((await seen("postgres://a@one/dbone", env)).at).toBe("a@one:5432/dbone");
    expect((await seen(null, env)).at).toBe("b@two:5432/dbtwo");
    expect((await seen(null, { ...env, DATABASE_URL: "" })).at).toBe("c@three:5432/dbthree");
  });

  test("PG* variables fill what a URL leaves out, and nothing that it says", async () => {
    const env = {
      PGHOST: "envhost",
      PGPORT: "6000",
      PGUSER: "envuser",
      PGPASSWORD: "envpass",
      PGSSLMODE: "require",
    };
    expect(await seen("postgres:///app", env)).toEqual({
      at: "envuser@envhost:6000/app",
      password: "envpass",
      sslMode: "require",
    });
    expect(await seen("postgres://me:mine@here:5433/app?sslmode=disable", env)).toEqual({
      at: "me@here:5433/app",
      password: "mine",
      sslMode: "disable",
    });
  });

  test("without anything, user and database are the operator's own, as in psql", async () => {
    const me = userInfo().username;
    const target = await resolve(null, { PGHOST: "h" });
    expect(target).toMatchObject({ user: me, database: me, port: 5432, sslMode: "prefer", password: null });
    expect((await seen("postgres://u@h")).at).toBe("u@h:5432/u");
  });

  test("a host of its own default is one where a server may listen: an existing socket, else localhost", async () => {
    const { host } = await resolve(null, { PGPORT: "3" }); // no server has its socket for port 3
    expect(host).toBe("localhost");
  });

  test.each([
    ["postgres://me:p%40ss%2Fw%3Ard%25@h:1234/my%20db", "me@h:1234/my db", "p@ss/w:rd%"],
    ["postgresql://me:a+b@h/db", "me@h:5432/db", "a+b"],
    ["postgres://me:a:b?c#d@h/db", "me@h:5432/db", "a:b?c#d"],
    ["postgres://me@[::1]:5433/db", "me@::1:5433/db", null],
    ["postgres://me@%2Fvar%2Frun:5433/db", "me@/var/run:5433/db", null],
    ["postgres:///db?host=/var/run&user=me&password=x%26y&port=7", "me@/var/run:7/db", "x&y"],
    ["postgres://other@h/db?user=me&application_name=ignored", "me@h:5432/db", null],
    ["host=h port=5433 dbname='my db' user = me password='a\\'b\\\\c'", "me@h:5433/my db", "a'b\\c"],
    ["host=h dbname=a\\ b user=me", "me@h:5432/a b", null],
    ["  user=me host=h\n dbname=db  ", "me@h:5432/db", null],
  ])("%s", async (url, at, password) => {
    expect(await seen(url)).toEqual({ at, password, sslMode: "prefer" });
  });

  test("an address given apart is dialled, and the name kept for the certificate", async () => {
    expect(await resolve("host=db.example hostaddr=10.0.0.7 user=me")).toMatchObject({
      host: "db.example",
      hostAddress: "10.0.0.7",
    });
    expect(await resolve("hostaddr=10.0.0.7 user=me")).toMatchObject({ host: "10.0.0.7", hostAddress: null });
    expect((await resolve("host=h user=me", { PGHOSTADDR: "10.0.0.8" })).hostAddress).toBe("10.0.0.8");
  });

  test("timeouts and server options reach the connection", async () => {
    const env = { PGCONNECT_TIMEOUT: "7", PGOPTIONS: "-c role=owner" };
    expect(await resolve("postgres://u@h", env)).toMatchObject({
      connectTimeoutMs: 7000,
      options: "-c role=owner",
    });
    expect((await resolve("postgres://u@h?connect_timeout=0", env)).connectTimeoutMs).toBe(0);
    expect((await resolve("postgres://u@h")).connectTimeoutMs).toBe(10_000);
  });
});

describe("the encryption asked for is the encryption used", () => {
  test.each(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])(
    "sslmode=%s",
    async (mode) => {
      expect((await seen(`postgres://u@h?sslmode=${mode}`)).sslMode).toBe(mode);
      expect((await seen("postgres://u@h", { PGSSLMODE: mode })).sslMode).toBe(mode);
    },
  );

  test("ssl=true and PGREQUIRESSL mean require; a public CA means verify-full and no less", async () => {
    expect((await seen("postgres://u@h?ssl=true")).sslMode).toBe("require");
    expect((await seen("postgres://u@h", { PGREQUIRESSL: "1" })).sslMode).toBe("require");
    expect((await seen("postgres://u@h?sslrootcert=system")).sslMode).toBe("verify-full");
    expect((await refusal("postgres://u@h?sslrootcert=system&sslmode=require")).message).toContain(
      "too weak",
    );
  });

  test("the certificates of ~/.postgresql are used unasked, and those named win", async () => {
    const withFiles = join(home, "with-files");
    mkdirSync(join(withFiles, ".postgresql"), { recursive: true });
    for (const name of ["root.crt", "postgresql.crt", "postgresql.key"]) {
      writeFileSync(join(withFiles, ".postgresql", name), "");
    }
    expect(await resolve("postgres://u@h?sslcert=/my.crt", { HOME: withFiles })).toMatchObject({
      sslRootCert: join(withFiles, ".postgresql", "root.crt"),
      sslCert: "/my.crt",
      sslKey: join(withFiles, ".postgresql", "postgresql.key"),
    });
    expect(await resolve("postgres://u@h")).toMatchObject({ sslRootCert: null, sslCert: null, sslKey: null });
  });

  test.each([
    ["PGCHANNELBINDING", "require"],
    ["PGGSSENCMODE", "require"],
    ["PGREQUIREAUTH", "scram-sha-256"],
    ["PGSSLCRL", "/crl.pem"],
    ["PGSSLMINPROTOCOLVERSION", "TLSv1.3"],
    ["PGSSLNEGOTIATION", "direct"],
    ["PGTARGETSESSIONATTRS", "standby"],
    ["PGSERVICE", "prod"],
  ])("%s=%s cannot be kept, so it is refused and not dropped in silence", async (name, value) => {
    const error = await refusal("postgres://u@h", { [name]: value });
    expect(`${error.message} ${error.next}`).toContain(name);
  });
});

describe("the password file", () => {
  const passfile = (text: string, mode = 0o600): string => {
    const file = join(home, "passfile");
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };
  const found = async (text: string, url = "postgres://me@h:5433/db", mode = 0o600) =>
    (await seen(url, { PGPASSFILE: passfile(text, mode) })).password;

  // Each of these was tried against psql 15.
  test.each([
    ["h:5433:db:me:plain", "plain"],
    ["# comment\n*:*:*:*:star", "star"],
    ["h:5433:db:me:a\\:b\\\\c", "a:b\\c"],
    ["h:5433:db:me:a:b", "a"],
    ["h:05433:*:*:no", null],
    ["H:*:*:*:no", null],
    [" *:*:*:*:no", null],
    ["h:*:*:other:no\nh:*:*:*:second", "second"],
    ["h:*:*:*:\nh:*:*:*:never", null],
    ["*:*:*:*:crlf\r\n", "crlf"],
    ["too:few", null],
  ])("%j", async (text, password) => {
    expect(await found(text)).toBe(password);
  });

  test("a file that others may read is ignored, as psql ignores it", async () => {
    expect(await found("*:*:*:*:open", "postgres://me@h/db", 0o640)).toBeNull();
    expect(await found("*:*:*:*:open", "postgres://me@h/db", 0o604)).toBeNull();
  });

  test("a password in the URL or PGPASSWORD comes first", async () => {
    const PGPASSFILE = passfile("*:*:*:*:file");
    expect((await seen("postgres://me:url@h", { PGPASSFILE })).password).toBe("url");
    expect((await seen("postgres://me@h", { PGPASSFILE, PGPASSWORD: "env" })).password).toBe("env");
    expect((await seen("postgres://me:@h", { PGPASSFILE, PGPASSWORD: "" })).password).toBe("file");
  });

  test("~/.pgpass is read, its line for localhost also for the default socket directory", async () => {
    const own = join(home, "own");
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, ".pgpass"), "localhost:*:*:*:local\n", { mode: 0o600 });
    expect((await seen("host=/var/run/postgresql user=me", { HOME: own })).password).toBe("local");
    expect((await seen("host=/elsewhere user=me", { HOME: own })).password).toBeNull();
    expect((await seen("host=localhost hostaddr=10.1.1.1 user=me", { HOME: own })).password).toBe("local");
  });

  test("a directory or a missing file is no password file", async () => {
    expect((await seen("postgres://me@h", { PGPASSFILE: home })).password).toBeNull();
    expect((await seen("postgres://me@h", { PGPASSFILE: join(home, "absent") })).password).toBeNull();
    const below = join(passfile("*:*:*:*:file"), "below");
    expect((await seen("postgres://me@h", { PGPASSFILE: below })).password).toBeNull();
  });
});

describe("a mistake in the connection string never prints the password", () => {
  const everything = (error: PartwayError): string =>
    [
      error.message,
      error.stack,
      error.next,
      error.state,
      JSON.stringify(error),
      inspect(error, { depth: 9 }),
    ].join("\n");

  test.each([
    ["a bad port", "postgres://me:hunter2@h:54x3/db"],
    ["a port out of range", "postgres://me:hunter2@h:70000/db"],
    ["no @ at all", "postgres://me:hunter2/db"],
    ["an unencoded @", "postgres://me:x@hunter2@h/db"],
    ["an unencoded /", "postgres://me:x/hunter2@h/db"],
    ["an unencoded / after digits", "postgres://me:12/hunter2@h/db"],
    ["an unencoded @ and /", "postgres://me:a@b/hunter2@h/db"],
    ["an unencoded @ and ?", "postgres://me:a@b?hunter2=c@h/db"],
    ["a broken % sequence", "postgres://me:hunter2%zz@h/db"],
    ["a % sequence that is not UTF-8", "postgres://me:hunter2%ff@h/db"],
    ["a NUL", "postgres://me:hunter2%00@h/db"],
    ["an unclosed bracket", "postgres://me:hunter2@[::1/db"],
    ["several hosts", "postgres://me:hunter2@a,b/db"],
    ["an unknown sslmode", "postgres://me:hunter2@h/db?sslmode=hunter2"],
    ["an unknown parameter", "postgres://me:hunter2@h/db?pasword=x"],
    ["a parameter without value", "postgres://me:x@h/db?hunter2"],
    ["a bad timeout", "postgres://me:hunter2@h/db?connect_timeout=soon"],
    ["another scheme", "mysql://me:hunter2@h/db"],
    ["no scheme", "me:hunter2@h/db"],
    ["a space in key=value", "host=h password=my hunter2 user=me"],
    ["a space before = in key=value", "host=h password=my hunter2=x"],
    ["an unclosed quote", "host=h password='hunter2"],
    ["a host with a space", "host='h hunter2' user=me"],
    ["a refused option", "host=h password=hunter2 service=prod"],
  ])("%s", async (_, url) => {
    for (const error of [await refusal(url), await refusal(null, { DATABASE_URL: url })]) {
      expect(everything(error)).not.toContain("hunter2");
    }
  });

  test("the message names where the mistake is", async () => {
    expect((await refusal("postgres://u@h:x/db")).message).toMatch(/^port in --url/);
    expect((await refusal(null, { DATABASE_URL: "postgres://u@h:x/db" })).message).toMatch(
      /^port in DATABASE_URL/,
    );
    expect((await refusal(null, { PGPORT: "54x3" })).message).toBe('PGPORT: "54x3" is not a port number');
    const mode = await refusal("postgres://u@h?sslmode=requre");
    expect(mode.message).toBe('sslmode in --url: "requre" is not an sslmode');
    expect(mode.next).toContain("verify-full");
    expect((await refusal("postgres://u@h?sslmod=require")).message).toContain('"sslmod"');
    expect((await refusal(null, { PGHOST: "a,b" })).message).toContain("PGHOST");
    expect((await refusal(null, { PGHOST: "h", PGHOSTADDR: "name" })).message).toContain("PGHOSTADDR");
    expect((await refusal("")).message).toBe("--url is empty");
    expect((await refusal(null, { PGSSLMODE: "" })).message).toContain("PGSSLMODE");
  });

  test("a target prints no password, and the log hides it from then on", async () => {
    const target = await resolve("postgres://me:correct%20horse@h/db");
    expect(`${JSON.stringify(target)} ${inspect(target, { depth: 9 })}`).not.toMatch(/correct.?(%20)?horse/);
    expect(redact("it was correct horse, or correct%20horse")).toBe("it was [secret], or [secret]");
  });
});
