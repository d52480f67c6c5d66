/** Who may write in the journal: a process that was taken over, and one whose file was taken away, record nothing more. */
import { renameSync } from "node:fs";
import { expect, test } from "vitest";
import { EXIT } from "../../src/errors.js";
import type { RunEvent } from "../../state/events.js";
import { Journal } from "../../state/journal.js";
import { temporaryDirectory } from "../state/journal-support.js";

const at = "2026-01-01T00:00:00.000Z";
const directory = temporaryDirectory();
const OLD = { pid: 4_000_001, host: "here", startedAt: at };
const NEW = { pid: 4_000_002, host: "here", startedAt: at };

function begun(): Journal {
  const journal = Journal.open(directory.file(), "write");
  const nothing = { plan: {}, settings: {}, snapshot: {} };
  for (const id of ["m", "other"])
    journal.create({ id, server: "s", table: "t", state: "backup", at, ...nothing });
  return journal;
}

const move = (to: string) => ({
  ...{ migration: "m", from: "x", to, event: "E", snapshot: { value: to }, at },
  outcome: null,
});
const log: RunEvent = { at, migration: "m", event: "log", level: "info", message: "from beyond" };

/** Everything that the process which drives a migration writes. */
const DRIVEN: [string, (journal: Journal) => unknown][] = [
  ["its position", (journal) => journal.transition(move("halted"))],
  ["an event", (journal) => journal.event(log)],
  ["a batch", (journal) => journal.batch("m", { generation: 1, batch: 1, rows: 1, ms: 1, at })],
  ["an index", (journal) => journal.indexBuilt("m", { leaf: "l", index: "i", ms: 1, at })],
  [
    "a validation",
    (journal) =>
      journal.validation("m", {
        ...{ direction: "forward", result: "equal", rows: 1, sourceHash: "1", shadowHash: "1", ms: 1, at },
      }),
  ],
  [
    "a cutover",
    (journal) =>
      journal.cutover("m", { direction: "forward", tries: 1, waitedMs: 1, heldMs: 1, longestStallMs: 1, at }),
  ],
  ["a measurement", (journal) => journal.measurement("m", { name: "n", value: 1, at })],
  ["the commands", (journal) => journal.takeCommands("m")],
  ["the end of all commands", (journal) => journal.expireCommands("m", "ended", at)],
];

test.each(DRIVEN)(
  "a process that was taken over would overwrite or take %s of the other one",
  (_what, write) => {
    const zombie = begun();
    expect(zombie.claim("m", OLD)).toEqual({ claimed: true });
    write(zombie);
    const taker = Journal.open(directory.file(), "write");
    taker.claim("m", NEW, { force: true });
    taker.transition(move("copy"));
    const command = taker.command("m", "pause", at);
    const before = [taker.migration("m"), taker.transitions("m"), taker.events("m")];
    expect(() => write(zombie)).toThrow(
      expect.objectContaining({
        kind: "fenced",
        exitCode: EXIT.unexpected,
        message: "another Partway process has taken over migration m (process 4000002 on here)",
      }),
    );
    zombie.release("m", OLD);
    expect([taker.migration("m"), taker.transitions("m"), taker.events("m")]).toEqual(before);
    expect(taker.takeCommands("m")).toEqual([{ rowid: command, name: "pause", at }]);
    taker.close();
    zombie.close();
  },
);

test("a process that was taken over in one migration would be stopped in another, or after it gave one up", () => {
  const journal = begun();
  journal.claim("m", OLD);
  journal.claim("other", OLD);
  const taker = Journal.open(directory.file(), "write");
  taker.claim("other", NEW, { force: true });
  journal.transition(move("copy"));
  journal.release("m", OLD);
  // Whoever drives nothing may write what no driver has to: how it ended, read from the database.
  journal.transition(move("done"));
  expect(taker.migration("m")).toMatchObject({ state: "done", owner: null });
  taker.close();
  journal.close();
});

test("an answer given too late would replace the one that the other terminal has read", () => {
  const journal = begun();
  const row = journal.command("m", "rollback", at);
  expect(journal.takeCommands("m")).toHaveLength(1);
  journal.expireCommands("m", "the process it was meant for has ended", at);
  journal.answer(row, true, "rollback: done", at);
  expect(journal.commandAnswer(row)).toEqual({
    ...{ ok: false, message: "the process it was meant for has ended" },
  });
  journal.close();
});

test("a rollback typed for a stopped process would be carried out when it goes on, hours later", () => {
  const journal = begun();
  const untaken = journal.command("m", "rollback", at);
  expect(journal.withdraw(untaken, at)).toBe(true);
  expect(journal.takeCommands("m")).toEqual([]);
  expect(journal.commandAnswer(untaken)).toMatchObject({ ok: false });
  // One that was taken may be carried out: nobody may say that it was not.
  const taken = journal.command("m", "rollback", at);
  journal.takeCommands("m");
  expect(journal.withdraw(taken, at)).toBe(false);
  expect(journal.commandAnswer(taken)).toBeNull();
  journal.close();
});

test.each(["deleted", "replaced"])(
  "a journal that was %s would be written on where nobody can read it",
  (how) => {
    const journal = begun();
    journal.claim("m", OLD);
    journal.transition(move("copy"));
    for (const suffix of ["", "-wal", "-shm"])
      renameSync(`${directory.file()}${suffix}`, `${directory.file()}.away${suffix}`);
    const recovered = how === "replaced" ? begun() : null;
    expect(() => journal.transition(move("index"))).toThrow(
      expect.objectContaining({
        kind: "unexpected",
        message: `the journal ${directory.file()} was deleted or replaced while this process was using it (transition)`,
        next: expect.stringContaining("partway recover"),
      }),
    );
    // Nor may its end take away what belongs to the new file.
    recovered?.transition(move("validate"));
    journal.close();
    if (recovered === null) return;
    const reader = Journal.open(directory.file(), "read");
    expect(reader.migration("m")?.state).toBe("validate");
    reader.close();
    recovered.close();
  },
);
