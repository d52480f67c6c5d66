/** What an operator reads back from the journal, and what must never get into it. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, test, vi } from "vitest";
import type { PartwayError } from "../../src/errors.js";
import type { RunEvent } from "../../state/events.js";
import { Journal } from "../../state/journal.js";
import { openDatabase } from "../../state/journal-open.js";
import { upgrade, VERSION, versionOf } from "../../state/journal-schema.js";
import { temporaryDirectory } from "./journal-support.js";

const AT = "2026-01-01T00:00:00.000Z";
const LATER = "2026-01-02T00:00:00.000Z";
const directory = temporaryDirectory();

function fresh(id = "orders_3f9a1c"): Journal {
  const journal = Journal.open(directory.file(), "write");
  add(journal, id);
  return journal;
}

function add(
  journal: Journal,
  id: string,
  extra: { plan?: unknown; settings?: unknown; at?: string } = {},
): void {
  journal.create({
    id,
    server: "app@db:5432/app",
    table: "public.orders",
    plan: extra.plan ?? { version: 1, id },
    settings: extra.settings ?? { workers: 2 },
    snapshot: { value: "planned" },
    state: "planned",
    at: extra.at ?? AT,
  });
}

/** The error `work` throws; fails when it throws none. */
function failure(work: () => unknown): PartwayError {
  try {
    work();
  } catch (error) {
    return error as PartwayError;
  }
  throw new Error("nothing was thrown");
}

describe("where a migration stands", () => {
  test("is read back after a restart as it was written", () => {
    const first = fresh();
    first.transition({
      migration: "orders_3f9a1c",
      from: "planned",
      to: "copy",
      event: "CONFIRMED",
      snapshot: { value: "copy", context: { rows: "9007199254740993" } },
      outcome: null,
      at: LATER,
    });
    first.close();
    const second = Journal.open(directory.file(), "read");
    expect(second.migration("orders_3f9a1c")).toEqual({
      id: "orders_3f9a1c",
      createdAt: AT,
      updatedAt: LATER,
      server: "app@db:5432/app",
      table: "public.orders",
      state: "copy",
      outcome: null,
      plan: { version: 1, id: "orders_3f9a1c" },
      settings: { workers: 2 },
      snapshot: { value: "copy", context: { rows: "9007199254740993" } },
      owner: null,
    });
    expect(second.transitions("orders_3f9a1c")).toEqual([
      { rowid: 1, from: "planned", to: "copy", event: "CONFIRMED", outcome: null, at: LATER },
    ]);
    expect(second.migration("another")).toBeNull();
    second.close();
  });

  test("the newest migration is listed first", () => {
    const journal = fresh("first");
    add(journal, "third", { at: LATER });
    add(journal, "second");
    expect(journal.migrations().map((m) => m.id)).toEqual(["third", "second", "first"]);
    journal.close();
  });

  test("a second migration with the same id does not replace the first", () => {
    const journal = fresh("m");
    const error = failure(() => add(journal, "m", { plan: { other: true } }));
    expect(error).toMatchObject({ kind: "bad-input", exitCode: 2, state: "Nothing was overwritten." });
    expect(error.message).toContain(directory.file());
    expect(journal.migration("m")?.plan).toEqual({ version: 1, id: "m" });
    journal.close();
  });

  test("a step of an unknown migration is an error that names the journal, not a lost step", () => {
    const journal = fresh("m");
    const step = { migration: "x", from: "a", to: "b", event: "E", snapshot: {}, outcome: null, at: AT };
    for (const work of [
      () => journal.transition(step),
      () => journal.claim("x", { pid: 1, host: "h", startedAt: AT }),
      () => journal.command("x", "pause", AT),
      () => journal.event({ event: "paused", at: AT, migration: "x" }),
    ]) {
      const error = failure(work);
      expect(error).toMatchObject({ kind: "bad-input", exitCode: 2 });
      expect(error.message).toContain(directory.file());
      expect(error.next).toContain("partway status");
    }
    journal.close();
  });

  test("what was measured and proven is kept in order", () => {
    const journal = fresh("m");
    journal.batch("m", { generation: 1, batch: 1, rows: 10, ms: 1.5, at: AT });
    journal.batch("m", { generation: 1, batch: 0, rows: 9, ms: 2, at: AT });
    journal.batch("m", { generation: 1, batch: 0, rows: 11, ms: 3, at: LATER });
    journal.batch("m", { generation: 2, batch: 0, rows: 12, ms: 4, at: LATER });
    expect(journal.batches("m", 1)).toEqual([
      { generation: 1, batch: 0, rows: 11, ms: 3, at: LATER },
      { generation: 1, batch: 1, rows: 10, ms: 1.5, at: AT },
    ]);
    journal.indexBuilt("m", { leaf: "o_2026_01", index: "o_2026_01_pkey", ms: 7, at: AT });
    journal.indexBuilt("m", { leaf: "o_2026_01", index: "o_2026_01_pkey", ms: 8, at: LATER });
    expect(journal.indexBuilds("m")).toEqual([
      { leaf: "o_2026_01", index: "o_2026_01_pkey", ms: 8, at: LATER },
    ]);
    const validation = {
      direction: "forward",
      result: "equal",
      rows: 3,
      sourceHash: "-1",
      shadowHash: "-1",
      ms: 4,
      at: AT,
    };
    journal.validation("m", validation);
    journal.validation("m", { ...validation, result: "different", at: LATER });
    expect(journal.validations("m")).toEqual([validation, { ...validation, result: "different", at: LATER }]);
    const cutover = { direction: "forward", tries: 2, waitedMs: 3.5, heldMs: 60, longestStallMs: 69, at: AT };
    journal.cutover("m", cutover);
    expect(journal.cutovers("m")).toEqual([cutover]);
    journal.measurement("m", { name: "copy seconds", value: 5.8, at: AT });
    journal.measurement("m", { name: "other", value: 1, at: AT });
    expect(journal.measurements("m", "copy seconds")).toEqual([{ name: "copy seconds", value: 5.8, at: AT }]);
    journal.close();
  });
});

describe("events", () => {
  const log = (message: string): RunEvent => ({
    event: "log",
    level: "info",
    message,
    at: AT,
    migration: "m",
  });
  const copy = (rowsDone: number): RunEvent => ({
    event: "copy",
    rowsDone,
    rowsEstimated: 10,
    batchesDone: 1,
    batchesTotal: 2,
    rowsPerSecond: null,
    secondsLeft: null,
    workers: 2,
    at: AT,
    migration: "m",
  });
  const window = (secondsLeft: number): RunEvent => ({
    event: "window",
    deadline: LATER,
    secondsLeft,
    safe: true,
    verdict: "rollback is safe, 0 keys behind",
    keysBehind: 0,
    at: AT,
    migration: "m",
  });

  test("a watcher that bookmarks the last rowid misses none and sees none twice", () => {
    const journal = fresh("m");
    const seen: RunEvent[] = [];
    let bookmark = 0;
    const look = () => {
      for (const { rowid, event } of journal.events("m", bookmark)) {
        seen.push(event);
        bookmark = rowid;
      }
    };
    const written = [log("a"), copy(1), copy(2), log("b"), copy(3)];
    for (const event of written) {
      journal.event(event);
      look();
    }
    expect(seen).toEqual(written);
    journal.close();
  });

  test("a day of progress lines does not grow the file: only the newest of each kind is kept", () => {
    const journal = fresh("m");
    add(journal, "other");
    journal.event({ ...copy(0), migration: "other" });
    journal.event(log("kept"));
    for (let n = 1; n <= 300; n += 1) {
      journal.event(copy(n));
      journal.event(window(n));
    }
    journal.event(log("kept too"));
    expect(journal.events("m").map((row) => row.event)).toEqual([
      log("kept"),
      copy(300),
      window(300),
      log("kept too"),
    ]);
    expect(journal.events("other")).toHaveLength(1);
    journal.close();
    expect(statSync(directory.file()).size).toBeLessThan(200_000);
  });

  test("an event that is not one any more names the journal and the row instead of misleading a screen", () => {
    const journal = fresh("m");
    journal.event(log("x"));
    const db = new Sqlite(directory.file());
    const spoiled = ['{"event":"log"}', "not json"];
    for (const body of spoiled) {
      db.prepare("UPDATE event SET body = ?").run(body);
      const error = failure(() => journal.events("m"));
      expect(error).toMatchObject({ kind: "bad-input", exitCode: 2 });
      expect(error.message).toContain(directory.file());
      expect(error.message).toContain("row 1");
    }
    db.prepare("UPDATE event SET kind = 'toString'").run();
    expect(failure(() => journal.events("m")).message).toContain("unknown kind of event: toString");
    db.prepare("UPDATE migration SET snapshot = '{'").run();
    expect(failure(() => journal.migration("m")).message).toContain("not JSON");
    db.close();
    journal.close();
  });
});

describe("commands from another terminal", () => {
  test("each is carried out once, in the order typed, and its answer reaches the terminal that asked", () => {
    const running = fresh("m");
    const terminal = Journal.open(directory.file(), "write");
    const pause = terminal.command("m", "pause", AT);
    const stop = terminal.command("m", "stop", AT);
    expect(terminal.commandAnswer(pause)).toBeNull();
    expect(running.takeCommands("m")).toEqual([
      { rowid: pause, name: "pause", at: AT },
      { rowid: stop, name: "stop", at: AT },
    ]);
    expect(running.takeCommands("m")).toEqual([]);
    expect(terminal.commandAnswer(pause)).toBeNull();
    running.answer(pause, true, "paused after batch 7", LATER);
    running.answer(stop, false, "cutover is under way", LATER);
    expect(terminal.commandAnswer(pause)).toEqual({ ok: true, message: "paused after batch 7" });
    expect(terminal.commandAnswer(stop)).toEqual({ ok: false, message: "cutover is under way" });
    terminal.close();
    running.close();
  });

  test("a rollback typed for a process that died is answered no, not carried out by the next one", () => {
    const journal = fresh("m");
    const taken = journal.command("m", "pause", AT);
    journal.takeCommands("m");
    const pending = journal.command("m", "rollback", AT);
    const answered = journal.command("m", "continue", AT);
    journal.answer(answered, true, "continued", AT);
    journal.expireCommands("m", "the process ended before it answered", LATER);
    const no = { ok: false, message: "the process ended before it answered" };
    expect([taken, pending, answered].map((rowid) => journal.commandAnswer(rowid))).toEqual([
      no,
      no,
      { ok: true, message: "continued" },
    ]);
    expect(journal.takeCommands("m")).toEqual([]);
    journal.close();
  });
});

describe("secrets", () => {
  const URL_WITH_PASSWORD = "postgres://app:hunter2@db/app";

  test.each([
    [
      "plan",
      { source: { columns: [{ name: "a" }, { default: `'${URL_WITH_PASSWORD}'` }] } },
      "plan.source.columns.1.default",
    ],
    ["settings", { backupDir: URL_WITH_PASSWORD }, "settings.backupDir"],
    ["settings", { notify: "amqps://u:p@ss@host" }, "settings.notify"],
    ["settings", { notify: "redis://:hunter2@host" }, "settings.notify"],
    ["plan", { [URL_WITH_PASSWORD]: 1 }, "a field name in plan"],
  ])("a URL with a password in the %s is refused by place, and nothing is written", (where, value, place) => {
    const journal = Journal.open(directory.file(), "write");
    const error = failure(() => add(journal, "m", { [where]: value }));
    expect(error).toMatchObject({ kind: "bad-input", exitCode: 2 });
    expect(error.message).toContain(place);
    expect(`${error.message}${error.state}${error.next}`).not.toContain("hunter2");
    expect(journal.migrations()).toEqual([]);
    journal.close();
  });

  test.each([
    "https://wiki:8080/~me@home",
    "http://host/a:b@c",
    "mail me@example.com",
    "postgres://app:***@db/app",
    "a::text@b",
  ])("a plan that says %s holds no secret and is not refused", (comment) => {
    const journal = fresh("m");
    add(journal, "n", { plan: { comment } });
    expect(journal.migration("n")?.plan).toEqual({ comment });
    journal.close();
  });

  test("a password in an error message, a snapshot or an answer does not reach the disk", () => {
    const journal = fresh("m");
    const message = `cannot reach ${URL_WITH_PASSWORD}`;
    journal.event({ event: "log", level: "error", message, at: AT, migration: "m" });
    const step = { migration: "m", from: "planned", to: "failed", event: "FAULT", outcome: null, at: AT };
    journal.transition({ ...step, snapshot: { error: { message } } });
    journal.answer(journal.command("m", "stop", AT), false, message, AT);
    const onDisk = Buffer.concat([readFileSync(directory.file()), readFileSync(`${directory.file()}-wal`)]);
    expect(onDisk.includes("hunter2")).toBe(false);
    expect(onDisk.includes("postgres://app:***@db/app")).toBe(true);
    expect(journal.events("m")[0]?.event).toMatchObject({
      message: "cannot reach postgres://app:***@db/app",
    });
    journal.close();
  });
});

describe("the file", () => {
  test("only its owner may read it, in a directory only its owner may enter", () => {
    const file = join(directory.path(), "new", "deeper", "journal.sqlite");
    const journal = Journal.open(file, "write");
    add(journal, "m");
    expect(journal.file).toBe(file);
    for (const path of [file, `${file}-wal`, `${file}-shm`]) expect(statSync(path).mode & 0o777).toBe(0o600);
    for (const path of ["new", "new/deeper"])
      expect(statSync(join(directory.path(), path)).mode & 0o777).toBe(0o700);
    journal.close();
  });

  test("a commit survives a power cut: synchronous is FULL on every connection that writes", () => {
    for (const _ of ["made", "opened again"]) {
      const db = openDatabase(directory.file(), "write");
      expect(db.pragma("synchronous", { simple: true })).toBe(2);
      expect(db.pragma("journal_mode", { simple: true })).toBe("wal");
      expect(db.pragma("foreign_keys", { simple: true })).toBe(1);
      db.close();
    }
  });

  test("what is only told is not waited for, and nothing else would be lost in a power cut for it", () => {
    const pragma = vi.spyOn(Sqlite.prototype, "pragma");
    const synchronous = () =>
      pragma.mock.calls
        .findLast(([text]) => text.startsWith("synchronous = "))?.[0]
        .split(" ")
        .at(-1);
    const seen: string[] = [];
    const journal = Journal.open(directory.file(), "write", {
      onWrite: ({ label, point }) => {
        if (point === "inside") seen.push(`${label} ${synchronous()}`);
      },
    });
    const paused: RunEvent = { event: "paused", at: AT, migration: "x" };
    add(journal, "x");
    journal.event(paused);
    journal.command("x", "pause", AT);
    journal.measurement("x", { name: "a", value: 1, at: AT });
    const { message } = failure(() => journal.event({ ...paused, migration: "nobody" }));
    journal.command("x", "pause", AT);
    journal.close();
    pragma.mockRestore();
    expect(message).toContain("no such migration");
    expect(seen).toEqual([
      "create FULL",
      "event paused NORMAL",
      "command FULL",
      "measurement NORMAL",
      "command FULL",
    ]);
  });

  test.each([
    ["told", (journal: Journal) => journal.event({ event: "paused", at: AT, migration: "x" })],
    ["lasting", (journal: Journal) => journal.command("x", "pause", AT)],
  ])("a write (%s) to a journal that was closed names the file and the write", (_, write) => {
    const journal = fresh("x");
    journal.close();
    const error = failure(() => write(journal));
    expect(error).toMatchObject({ kind: "unexpected" });
    expect(error.message).toContain(directory.file());
    expect(error.message).toContain("not open");
  });

  test("an older journal is brought forward whole or not at all", () => {
    const db = openDatabase(directory.file(), "write");
    const next = [...Array.from({ length: VERSION }, () => "SELECT"), "CREATE TABLE added (a TEXT) STRICT"];
    expect(() => upgrade(db, [...next, "CREATE TABLE added (a TEXT)"])).toThrow("already exists");
    expect(versionOf(db)).toBe(VERSION);
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE name = 'added'").get()).toBeUndefined();
    upgrade(db, next);
    upgrade(db, next);
    expect(versionOf(db)).toBe(VERSION + 1);
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE name = 'added'").get()).toEqual({
      name: "added",
    });
    db.close();
  });

  test("closing twice is no error, and a journal opened for reading does not write", () => {
    fresh("m").close();
    const reader = Journal.open(directory.file(), "read");
    expect(() => reader.command("m", "pause", AT)).toThrow("opened for reading");
    expect(reader.takeCommands("m")).toEqual([]);
    reader.close();
    reader.close();
  });
});
