import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { PartwayError } from "../src/errors.js";
import { openLog, redact, registerSecret } from "../src/log.js";
import { Secret } from "../src/pg/target.js";

const SECRET = 'S3cr3t/wört"\\ \n@x';
registerSecret(SECRET);

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "partway-log-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const Line = z.object({ level: z.string(), time: z.iso.datetime(), msg: z.string() }).loose();
const linesOf = (file: string) =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => Line.parse(JSON.parse(line)));

describe("no password reaches the log file", () => {
  /** Everything the file may not hold: the value as it is, as JSON writes it, and as a URL writes it. */
  const forms = [SECRET, JSON.stringify(SECRET).slice(1, -1), encodeURIComponent(SECRET), "S3cr3t"];

  test.each<[string, (log: ReturnType<typeof openLog>) => void]>([
    ["in the message", (log) => log.info(`connected with ${SECRET}`)],
    ["in a format argument", (log) => log.info("connected with %s and %o", SECRET, { a: SECRET })],
    ["under a known key", (log) => log.info({ password: SECRET, PGPASSWORD: SECRET }, "x")],
    ["under an unknown key, deep down", (log) => log.info({ a: [{ b: { c: `<${SECRET}>` } }] }, "x")],
    ["as a key", (log) => log.info({ [SECRET]: 1 }, "x")],
    ["in an error's message and stack", (log) => log.error(new Error(`no ${SECRET}`))],
    [
      "in an error under any name",
      (log) => log.error({ error: new Error(SECRET), err: new Error(SECRET) }, "x"),
    ],
    ["in an error's cause", (log) => log.error({ err: new Error("a", { cause: new Error(SECRET) }) }, "x")],
    ["in an error's own field", (log) => log.error(Object.assign(new Error("a"), { detail: SECRET }))],
    ["in a child logger's bindings", (log) => log.child({ at: SECRET }).warn("x")],
    ["as util.inspect writes it", (log) => log.info(inspect({ a: SECRET }))],
    ["percent-encoded in a URL", (log) => log.info(`postgres://me:${encodeURIComponent(SECRET)}@h/db`)],
    ["as a Secret", (log) => log.info({ value: new Secret(SECRET) }, "x")],
  ])("%s", (_, write) => {
    const file = join(directory, "a.ndjson");
    write(openLog(file));
    const text = readFileSync(file, "utf8");
    expect(linesOf(file)).toHaveLength(1);
    expect(text).toContain("[secret]");
    for (const form of forms) expect(text).not.toContain(form);
  });

  test("a URL whose password nobody registered is hidden too, in messages, errors and fields", () => {
    const file = join(directory, "a.ndjson");
    const log = openLog(file);
    log.info("trying postgres://me:unregistered@h:5432/db?sslmode=require");
    log.error(new Error("bad postgresql://me:unregistered@h/db"));
    log.info({ text: "password=unregistered", dsn: "unregistered", connectionString: "unregistered" }, "x");
    log.info({ databaseUrl: "unregistered", options: { url: ["unregistered"], pwd: "unregistered" } }, "x");
    expect(readFileSync(file, "utf8")).not.toContain("unregistered");
    expect(linesOf(file)[0]?.msg).toBe("trying postgres://me:[secret]@h:5432/db?sslmode=require");
  });
});

describe("redact", () => {
  test.each([
    ["postgres://u:p@h/d", "postgres://u:[secret]@h/d"],
    ["postgres://u:p@ss/w:rd@h/d", "postgres://u:[secret]@h/d"],
    ["postgres://u@h/d", "postgres://u@h/d"],
    ["host=h password=abc user=u", "host=h password=[secret] user=u"],
    ["host=h password='a b' user=u", "host=h password=[secret] user=u"],
    ["PGPASSWORD=abc psql", "PGPASSWORD=[secret] psql"],
    ["?user=u&password=abc&x=y", "?user=u&password=[secret]&x=y"],
    ["ALTER ROLE a PASSWORD 'it''s'", "ALTER ROLE a PASSWORD [secret]"],
    ['{"password":"abc"}', '{"password":[secret]}'],
    ["password authentication failed for user", "password authentication failed for user"],
    ["copied 5 rows of public.orders", "copied 5 rows of public.orders"],
  ])("%s", (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  test("a short password is hidden where it stands alone and leaves other words readable", () => {
    registerSecret("qz");
    expect(redact("the password qz, for qzar")).toBe("the password [secret], for qzar");
  });

  test("a secret within a longer secret leaves no rest behind, and an empty one hides nothing", () => {
    registerSecret("long-winter");
    registerSecret("long-winter-night");
    registerSecret("");
    expect(redact("a long-winter-night b")).toBe("a [secret] b");
  });

  test("a password that is also a word of the line does not uncover another one", () => {
    registerSecret("postgr");
    expect(redact("postgres://u:other@h")).not.toContain("other");
    registerSecret("passw");
    expect(redact("password='other one'")).not.toContain("other");
  });

  test("a secret made of pattern characters is hidden", () => {
    registerSecret("a.*+?^$1{}()|[]\\-/b");
    registerSecret("$&(");
    expect(redact("<a.*+?^$1{}()|[]\\-/b> <$&(>")).toBe("<[secret]> <[secret]>");
  });
});

describe("the log file", () => {
  test("is there when the call returns, private, one JSON object a line, appended to", () => {
    const file = join(directory, "state", "log", "orders.ndjson");
    openLog(file).info({ rows: 5, ok: true, none: null, password: null }, "first");
    openLog(file).warn("second\nline");
    expect(linesOf(file)).toMatchObject([
      { level: "info", msg: "first", rows: 5, ok: true, none: null, pid: process.pid },
      { level: "warn", msg: "second\nline" },
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, "state", "log")).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, "state")).mode & 0o777).toBe(0o700);
  });

  test("of an older, more open mode is closed to others", () => {
    const file = join(directory, "a.ndjson");
    writeFileSync(file, "");
    chmodSync(file, 0o644);
    openLog(file).info("x");
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("keeps the stack and the causes of an error", () => {
    const file = join(directory, "a.ndjson");
    openLog(file).error({ err: new Error("outer", { cause: new Error("inner") }) }, "failed");
    expect(linesOf(file)[0]?.["err"]).toMatchObject({
      message: "outer: inner",
      stack: expect.stringContaining("inner"),
    });
  });

  test.each([
    ["a directory in its place", () => directory],
    ["a file where its directory should be", () => join(directory, "file", "a.ndjson")],
  ])("that cannot be written is an error that names it: %s", (_, where) => {
    writeFileSync(join(directory, "file"), "");
    const file = where();
    const open = () => openLog(file);
    expect(open).toThrow(PartwayError);
    expect(open).toThrow(file);
    expect(existsSync(join(directory, "file", "a.ndjson"))).toBe(false);
  });

  test.skipIf(!existsSync("/dev/full"))(
    "on a full disk warns once and lets the migration go on",
    async () => {
      const warnings: Error[] = [];
      const note = (warning: Error) => warnings.push(warning);
      process.on("warning", note);
      try {
        const log = openLog("/dev/full");
        log.info("one");
        log.info("two");
        await new Promise((resolve) => setImmediate(resolve));
      } finally {
        process.off("warning", note);
      }
      expect(warnings.map((warning) => warning.message)).toEqual([expect.stringContaining("/dev/full")]);
    },
  );
});
