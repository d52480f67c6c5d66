/** Two processes on one journal, and processes that are killed. */
import { rmSync } from "node:fs";
import { hostname } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { Journal } from "../../state/journal.js";
import { type Child, startChild, temporaryDirectory } from "./journal-support.js";

const AT = "2026-01-01T00:00:00.000Z";
const directory = temporaryDirectory();
const children: Child[] = [];

function start(task: string, argument = ""): Child {
  const child = startChild(task, directory.file(), argument);
  children.push(child);
  return child;
}

afterEach(async () => {
  for (const child of children.splice(0)) await child.kill();
});

/** Opens what a killed process left; gives how far it got after checking that nothing in it disagrees. */
function standing(): number | null {
  const journal = Journal.open(directory.file(), "write");
  const migration = journal.migration("m");
  const transitions = journal.transitions("m");
  journal.close();
  if (migration === null) {
    expect(transitions).toEqual([]);
    return null;
  }
  const reached = transitions.length;
  expect(migration.state).toBe(`s${reached}`);
  expect(migration.snapshot).toMatchObject({ value: `s${reached}` });
  expect(transitions.map((t) => `${t.from}>${t.to}`)).toEqual(transitions.map((_, n) => `s${n}>s${n + 1}`));
  return reached;
}

describe("kill -9", () => {
  /** Write 1 is `create`, 2-4 are the transitions to s1-s3. Inside a transaction nothing of it may stay. */
  const points = [1, 2, 4].flatMap((n) => [
    { at: `${n}:before`, stands: n - 2 },
    { at: `${n}:inside`, stands: n - 2 },
    { at: `${n}:after`, stands: n - 1 },
  ]);

  test.each(points)("at write $at leaves the snapshot and the phase row agreeing", async ({ at, stands }) => {
    const said = await start("killed-at", at).rest();
    expect(said).toHaveLength(at.endsWith("after") ? stands : stands + 1);
    expect(standing()).toBe(stands < 0 ? null : stands);
  });

  test("in the middle of writing loses no acknowledged step and tears none", async () => {
    for (let round = 0; round < 8; round += 1) {
      const child = startChild("write-forever", `${directory.file()}`);
      const wanted = 3 + round * 2;
      let acknowledged = 0;
      while (acknowledged < wanted) acknowledged = Number(await child.next());
      await child.kill();
      for (const line of await child.rest()) acknowledged = Number(line);
      const reached = standing();
      expect(reached === acknowledged || reached === acknowledged + 1).toBe(true);
      for (const suffix of ["", "-wal", "-shm"]) rmSync(`${directory.file()}${suffix}`, { force: true });
    }
  }, 60_000);
});

describe("one orchestrator", () => {
  test("of six started at once on a journal that is not there yet, exactly one drives the migration", async () => {
    const rivals = Array.from({ length: 6 }, () => start("claim", "make"));
    for (const rival of rivals) expect(await rival.next()).toBe("ready");
    for (const rival of rivals) rival.tell("go");
    const results: unknown[] = [];
    for (const rival of rivals) {
      await rival.next();
      results.push(await rival.next());
    }
    const winner = rivals.findIndex((_, n) => JSON.stringify(results[n]) === '{"claimed":true}');
    const owner = { pid: rivals[winner]?.pid, host: hostname(), startedAt: AT };
    expect(results.filter((_, n) => n !== winner)).toEqual(
      Array.from({ length: 5 }, () => ({ claimed: false, owner })),
    );
  }, 60_000);

  test("a second one is refused while the first lives and takes over once it is dead", async () => {
    const journal = Journal.open(directory.file(), "write");
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
    const first = start("claim");
    await first.next();
    first.tell("go");
    expect(await first.next()).toEqual({ claimed: true });
    const me = { pid: process.pid, host: hostname(), startedAt: AT };
    const other = { pid: first.pid, host: hostname(), startedAt: AT };
    expect(journal.claim("m", me)).toEqual({ claimed: false, owner: other });
    await first.kill();
    expect(journal.migration("m")?.owner).toEqual(other);
    expect(journal.claim("m", me)).toEqual({ claimed: true });
    expect(journal.migration("m")?.owner).toEqual(me);
    journal.close();
  });

  test("one on another host is never presumed dead, only forced out, and cannot release what it lost", () => {
    const journal = Journal.open(directory.file(), "write");
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
    const remote = { pid: 4_000_000, host: "elsewhere", startedAt: AT };
    const me = { pid: process.pid, host: hostname(), startedAt: AT };
    expect(journal.claim("m", remote)).toEqual({ claimed: true });
    expect(journal.claim("m", me)).toEqual({ claimed: false, owner: remote });
    expect(journal.claim("m", me, { force: true })).toEqual({ claimed: true });
    journal.release("m", remote);
    expect(journal.migration("m")?.owner).toEqual(me);
    journal.release("m", me);
    expect(journal.migration("m")?.owner).toBeNull();
    journal.close();
  });

  test("a container restarted with the same pid is not locked out by its former self", () => {
    const journal = Journal.open(directory.file(), "write");
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
    const before = { pid: process.pid, host: hostname(), startedAt: AT };
    const after = { ...before, startedAt: "2026-01-02T00:00:00.000Z" };
    expect(journal.claim("m", before)).toEqual({ claimed: true });
    expect(journal.claim("m", after)).toEqual({ claimed: true });
    expect(journal.migration("m")?.owner).toEqual(after);
    journal.close();
  });
});

describe("a second terminal", () => {
  test("reads whole steps while another process writes them", async () => {
    const child = start("write-forever");
    await child.next();
    const reader = Journal.open(directory.file(), "read");
    const seen = new Set<string>();
    while (seen.size < 20) {
      const migration = reader.migration("m");
      expect(migration?.snapshot).toMatchObject({ value: migration?.state });
      seen.add(migration?.state ?? "");
    }
    reader.close();
  }, 60_000);

  test("can look at any moment, also while the journal is opened and closed under it", async () => {
    const journal = Journal.open(directory.file(), "write");
    journal.create({
      id: "m",
      server: "s",
      table: "t",
      plan: {},
      settings: {},
      snapshot: {},
      state: "s0",
      at: AT,
    });
    journal.close();
    const child = start("churn", "40");
    const done = child.next();
    let finished: unknown = null;
    void done.then((line) => {
      finished = line;
    });
    let looks = 0;
    while (finished === null) {
      const reader = Journal.open(directory.file(), "read");
      expect(reader.migration("m")?.state).toMatch(/^s\d+$/);
      reader.close();
      looks += 1;
      await new Promise((resume) => setImmediate(resume));
    }
    expect(finished).toBe("done");
    expect(looks).toBeGreaterThan(1);
    expect(standing()).toBe(40);
  }, 60_000);
});
