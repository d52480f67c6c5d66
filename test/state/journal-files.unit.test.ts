/** A journal that is damaged, foreign or out of reach: the operator is told which file, and no byte of it changes. */
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { PartwayError } from "../../src/errors.js";
import { Journal, type JournalMode } from "../../state/journal.js";
import { VERSION } from "../../state/journal-schema.js";
import { canMount, inNamespace, temporaryDirectory } from "./journal-support.js";

const AT = "2026-01-01T00:00:00.000Z";
const MODES: readonly JournalMode[] = ["write", "read"];
const PAGE = 4096;
const directory = temporaryDirectory();

/** Writes a sound journal of a few dozen pages and leaves it open. */
function sound(file: string): Journal {
  const journal = Journal.open(file, "write");
  journal.create({
    id: "m",
    server: "s",
    table: "t",
    plan: {},
    settings: {},
    snapshot: {},
    state: "a",
    at: AT,
  });
  for (let n = 0; n < 150; n += 1) {
    journal.batch("m", { generation: 1, batch: n, rows: n, ms: n, at: AT });
    journal.event({ event: "log", level: "info", message: "x".repeat(400), at: AT, migration: "m" });
  }
  return journal;
}

/** Opening `file` must fail as bad input that names it, says nothing was overwritten, and changes no byte of it. */
function refused(file: string, mode: JournalMode): PartwayError {
  const before = readFileSync(file);
  let caught: unknown = null;
  try {
    Journal.open(file, mode).close();
  } catch (error) {
    caught = error;
  }
  if (!(caught instanceof PartwayError))
    throw new Error(`opened to ${mode}, or failed otherwise: ${String(caught)}`);
  expect(caught.exitCode).toBe(2);
  expect(caught.message).toContain(file);
  expect(caught.state).toContain("Nothing was overwritten");
  expect(readFileSync(file).equals(before)).toBe(true);
  return caught;
}

describe.each(MODES)("opened to %s", (mode) => {
  test("a journal with any one page overwritten is refused and kept", () => {
    const whole = join(directory.path(), "whole");
    sound(whole).close();
    const content = readFileSync(whole);
    const pages = content.length / PAGE;
    expect(pages).toBeGreaterThan(25);
    for (let page = 0; page < pages; page += 1) {
      const file = join(directory.path(), `page${page}`);
      const broken = Buffer.from(content);
      randomBytes(PAGE).copy(broken, page * PAGE);
      writeFileSync(file, broken);
      const error = refused(file, mode);
      if (page > 0) expect(error.next).toContain("partway recover");
    }
  });

  test("a journal cut short anywhere is refused and kept", () => {
    const whole = join(directory.path(), "whole");
    sound(whole).close();
    const content = readFileSync(whole);
    const { length } = content;
    for (const size of [
      0,
      1,
      50,
      99,
      100,
      512,
      PAGE - 1,
      PAGE,
      PAGE + 1,
      length / 2,
      length - PAGE,
      length - 1,
    ]) {
      const file = join(directory.path(), `size${size}`);
      writeFileSync(file, content.subarray(0, size));
      refused(file, mode);
    }
  });

  test("a crashed journal with a bad page keeps its write-ahead log too", () => {
    const running = join(directory.path(), "running");
    sound(running).close();
    const journal = Journal.open(running, "write");
    journal.measurement("m", { name: "only in the log", value: 1, at: AT });
    for (const suffix of ["", "-wal"]) copyFileSync(`${running}${suffix}`, `${directory.file()}${suffix}`);
    journal.close();
    const log = readFileSync(`${directory.file()}-wal`);
    expect(log.length).toBeGreaterThan(PAGE);
    const main = readFileSync(directory.file());
    randomBytes(PAGE).copy(main, main.length - PAGE);
    writeFileSync(directory.file(), main);
    refused(directory.file(), mode);
    expect(readFileSync(`${directory.file()}-wal`).equals(log)).toBe(true);
  });

  test("a file that is not SQLite is refused", () => {
    writeFileSync(directory.file(), "the shopping list\n".repeat(500));
    expect(refused(directory.file(), mode).message).toContain("not a SQLite file");
  });

  test.each(["DELETE", "WAL"])("another program's SQLite file (%s) is refused", (style) => {
    const db = new Sqlite(directory.file());
    db.pragma(`journal_mode = ${style}`);
    db.pragma("application_id = 42");
    db.exec("CREATE TABLE migration (id TEXT)");
    db.close();
    expect(refused(directory.file(), mode).message).toContain("another program");
  });

  test("a journal of a newer Partway is refused by version", () => {
    sound(directory.file()).close();
    const db = new Sqlite(directory.file());
    db.pragma(`user_version = ${VERSION + 1}`);
    db.close();
    const error = refused(directory.file(), mode);
    expect(error.message).toContain(`journal version ${VERSION + 1}; this program knows ${VERSION}`);
    expect(error.next).toContain("npm install");
  });

  test("a path that cannot be a journal says so", () => {
    const parent = join(directory.path(), "a-file");
    writeFileSync(parent, "");
    const folder = join(directory.path(), "folder");
    mkdirSync(folder);
    const dangling = join(directory.path(), "dangling");
    symlinkSync(join(directory.path(), "nowhere", "at-all"), dangling);
    for (const path of [
      join(parent, "journal.sqlite"),
      folder,
      `${directory.file()} `,
      "",
      "/dev/null",
      dangling,
    ]) {
      let caught: unknown = null;
      try {
        Journal.open(path, mode);
      } catch (error) {
        caught = error;
      }
      expect(caught).toBeInstanceOf(PartwayError);
      expect(caught).toMatchObject({ kind: "bad-input", message: expect.stringContaining(path) });
    }
    expect(readdirSync(directory.path()).sort()).toEqual(["a-file", "dangling", "folder"]);
  });

  test("a write-ahead log without its journal is not mixed into a new one", () => {
    writeFileSync(`${directory.file()}-wal`, randomBytes(PAGE));
    expect(() => Journal.open(directory.file(), mode)).toThrow(directory.file());
    expect(readdirSync(directory.path())).toEqual(["journal.sqlite-wal"]);
  });
});

test("looking for a journal that is not there makes nothing and says which command would", () => {
  const file = join(directory.path(), "deeper", "journal.sqlite");
  let caught: unknown = null;
  try {
    Journal.open(file, "read");
  } catch (error) {
    caught = error;
  }
  expect(caught).toMatchObject({
    kind: "bad-input",
    message: `there is no journal at ${file}`,
    next: expect.stringContaining("partway run"),
  });
  expect(readdirSync(directory.path())).toEqual([]);
});

/** Root ignores permissions, so the limits are real ones: file systems mounted for the test alone. */
describe.runIf(canMount)("on a disk that", () => {
  test("fills up, the step that failed is said, the steps before it stand, and with room it goes on", () => {
    const dir = directory.path();
    const [write, atFailure, after, atEnd] = inNamespace(
      `mount -t tmpfs -o size=2m tmpfs ${dir}; $CHILD fill-disk ${directory.file()}`,
    );
    expect(write).toMatchObject({
      error: {
        kind: "unexpected",
        exitCode: 1,
        message: expect.stringContaining(`the disk is full: cannot write the journal ${directory.file()}`),
        state: expect.stringContaining("The database still holds what is needed"),
        next: expect.stringContaining("`partway resume` continues"),
      },
    });
    expect(atFailure).toMatchObject({ moved: expect.any(Number) });
    const { moved } = atFailure as { moved: number };
    expect(atFailure).toEqual({ moved, state: `s${moved}`, transitions: moved });
    expect(after).toEqual({ label: "after making room", error: null });
    expect(atEnd).toEqual({ state: `s${moved + 1}`, transitions: moved + 1 });
  });

  test("is full, a new journal is refused and no piece of one is left", () => {
    const dir = directory.path();
    const [opened, left] = inNamespace(`mount -t tmpfs -o size=64k tmpfs ${dir}
      $CHILD open ${directory.file()} write
      ls -A ${dir} | wc -l`);
    expect(opened).toMatchObject({
      error: {
        kind: "bad-input",
        exitCode: 2,
        message: `the disk is full: cannot write the journal ${directory.file()}`,
      },
    });
    expect(left).toBe(0);
  });

  test.each(MODES)("is read-only, opening to %s says that the place is the problem", (mode) => {
    sound(directory.file()).close();
    const before = readFileSync(directory.file());
    const dir = directory.path();
    const [opened] = inNamespace(`mount --bind ${dir} ${dir}; mount -o remount,ro,bind ${dir}
      $CHILD open ${directory.file()} ${mode}`);
    expect(opened).toMatchObject({
      error: {
        kind: "bad-input",
        exitCode: 2,
        message: expect.stringContaining(directory.file()),
        next: expect.stringContaining("permissions"),
      },
    });
    expect(readFileSync(directory.file()).equals(before)).toBe(true);
  });

  test("is read-only, a new journal is refused by name", () => {
    const dir = directory.path();
    const [opened] = inNamespace(`mount --bind ${dir} ${dir}; mount -o remount,ro,bind ${dir}
      $CHILD open ${directory.file()} write`);
    expect(opened).toMatchObject({
      error: { kind: "bad-input", message: expect.stringMatching(/cannot write the journal .*EROFS/) },
    });
  });
});
