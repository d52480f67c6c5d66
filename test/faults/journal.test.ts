/** The journal fails: a full or read-only disk, damage, a lost log, a file that belongs elsewhere. Nothing is lost by it. */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { objectsOf, openScene, RUN, type Scene } from "../cli/scene.js";
import { type Ended, jsonLines } from "../cli/support.js";
import { value } from "../support/migration.js";
import { ONCE } from "./journal-once.js";

let scene: Scene;
let untouched: string[];
beforeAll(async () => {
  scene = await openScene(3_000);
  untouched = await objectsOf(scene.session);
});
afterAll(async () => {
  unmount();
  await scene.close();
});

const START = [...RUN, "--no-backup"];
const dir = () => join(scene.folder.dir, ".partway");
const file = () => join(dir(), "journal.db");
const last = (stdout: string) => jsonLines(stdout).at(-1);

async function type(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await scene.folder.run(args);
  expect(code, `partway ${args.join(" ")}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** Refused as bad input that names the journal; neither the database nor the file has changed by it. */
async function refused(args: readonly string[], says: RegExp): Promise<Ended> {
  const row = () => value(scene.session, "SELECT m::text FROM partway.migration AS m");
  const [before, bytes] = [await row(), readFileSync(file())];
  const ended = await scene.folder.run(args);
  expect(ended).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(says) });
  expect(ended.stderr).toContain(file());
  expect(ended.stderr).toMatch(/state: Nothing was (overwritten|touched)[\s\S]*next: /);
  expect(await row()).toBe(before);
  expect(readFileSync(file()).equals(bytes)).toBe(true);
  return ended;
}

const mount = (...args: string[]) => spawnSync("mount", args).status === 0;
const unmount = () => spawnSync("umount", [dir()]);
const filler = () => join(dir(), "filler");
/** Writes until not one byte fits. Synchronous: nothing else happens meanwhile. */
function fill(): void {
  const out = openSync(filler(), "w");
  const fits = (size: number): boolean => {
    try {
      return writeSync(out, Buffer.alloc(size)) > 0;
    } catch {
      return false;
    }
  };
  for (let size = 1 << 16; size >= 1; ) if (!fits(size)) size = Math.floor(size / 2);
  closeSync(out);
}

const canMount =
  spawnSync("sh", ["-c", "d=$(mktemp -d); mount -t tmpfs t $d && umount $d; r=$?; rmdir $d; exit $r"])
    .status === 0;

describe.runIf(ONCE && canMount)("a disk (needs the right to mount)", () => {
  test("full at the start would leave something in the database, or a piece of a journal", async () => {
    const full = async () => {
      const { code, stdout } = await scene.folder.run(START);
      expect({ code, last: last(stdout) }).toMatchObject({
        code: 2,
        last: { event: "error", what: `the disk is full: cannot write the journal ${file()}` },
      });
    };
    mkdirSync(dir());
    expect(mount("-t", "tmpfs", "-o", "size=64k", "state", dir())).toBe(true);
    await full();
    expect(readdirSync(dir())).toEqual([]);
    expect(await objectsOf(scene.session)).toEqual(untouched);
    unmount();
    expect(mount("-t", "tmpfs", "-o", "size=24m", "state", dir())).toBe(true);
    // A journal is there, and has no room for one more migration.
    await scene.session.query("CREATE TABLE public.notes (id int PRIMARY KEY, created_at date NOT NULL)");
    await type("run", "notes", ...START.slice(2), "--until", "backup");
    fill();
    await full();
    rmSync(filler());
    await type("abort");
    await scene.session.query("DROP TABLE public.notes");
    expect(await objectsOf(scene.session)).toEqual(untouched);
  });

  test("full in the middle of the copy would cost a batch, and freed the run would begin again", async () => {
    const run = scene.folder.start(START);
    const armed = scene.proxy.arm({ text: /INSERT INTO partway\.ledger/, when: "at", nth: 2 }, fill);
    const { code, stdout } = await run.ended;
    expect(armed.happened()).toBe(true);
    expect({ code, last: last(stdout) }).toMatchObject({
      ...{ code: 1, last: { event: "stopped", what: expect.stringMatching(/disk is full.*journal\.db/) } },
    });
    const batches = Number(await value(scene.session, "SELECT count(*) FROM partway.ledger"));
    expect(batches).toBeGreaterThan(0);
    // It cannot be gone on with, and nothing is worse for trying.
    await refusedOrBroken(await scene.folder.run(["resume", "--json"]));
    rmSync(filler());
    await type("resume", "--until", "validate");
    expect(await value(scene.session, "SELECT max(generation)::text FROM partway.ledger")).toBe("1");
  });

  test("full between the cutover's commit and its record would hide that it happened", async () => {
    const cut = scene.folder.start(["cutover", "--json"]);
    scene.proxy.arm({ text: /RENAME TO/, when: "at" }, fill);
    const { code, stdout } = await cut.ended;
    expect({ code, last: last(stdout) }).toMatchObject({
      ...{ code: 1, last: { event: "stopped", what: expect.stringMatching(/disk is full.*journal\.db/) } },
    });
    expect(await value(scene.session, "SELECT phase FROM partway.migration")).toBe("retain");
    rmSync(filler());
    expect(last(await type("resume", "--no-hold", "--json"))).toMatchObject({ outcome: "retained" });
    await scene.proveNothingLost();
  });

  test("read-only would be found out in the middle of a rollback", async () => {
    expect(mount("-o", "remount,ro", dir())).toBe(true);
    await refused(["rollback"], /cannot write the journal/);
    expect(mount("-o", "remount,rw", dir())).toBe(true);
    expect(last(await type("rollback", "--json"))).toMatchObject({ outcome: "rolled-back" });
    await scene.proveNothingLost();
    await scene.session.query("DROP TABLE public.orders_partitioned_failed");
    unmount();
    rmSync(dir(), { recursive: true });
  });
});

/** Full when a command begins: refused as bad input, or broken off with nothing lost; never with exit code 0. */
async function refusedOrBroken({ code, stdout }: Ended): Promise<void> {
  expect([1, 2]).toContain(code);
  expect(last(stdout)).toMatchObject({ what: expect.stringMatching(/disk is full.*journal\.db/) });
}

describe.runIf(ONCE)("the file", () => {
  /** A migration that waits for its cutover, and a copy of its sound state directory. */
  beforeAll(async () => {
    await type(...START, "--until", "validate");
    cpSync(dir(), `${dir()}-sound`, { recursive: true });
  });
  const restore = () => {
    rmSync(dir(), { recursive: true, force: true });
    cpSync(`${dir()}-sound`, dir(), { recursive: true });
  };
  const PAGE = 4096;
  /** Whole pages (the first is 0): a piece of one may lie where nothing is written, and harms nothing. */
  const overwrite = (from: number, pages = 1) => {
    const out = openSync(file(), "r+");
    writeSync(out, Buffer.alloc(pages * PAGE, 0xa5), 0, pages * PAGE, from * PAGE);
    closeSync(out);
  };

  const FAULTS: [string, () => void, RegExp][] = [
    ["a page in the middle is not what was written", () => overwrite(3), /is damaged/],
    ["its header is gone", () => overwrite(0), /not a Partway journal|damaged/],
    [
      "it is cut short",
      () => writeFileSync(file(), readFileSync(file()).subarray(0, 10_000)),
      /cut short|damaged/,
    ],
    ["a newer Partway wrote it", () => pragma("user_version = 99"), /newer Partway/],
    ["another program wrote it", () => pragma("application_id = 42"), /another program/],
  ];
  function pragma(text: string): void {
    const db = new Sqlite(file());
    db.pragma(text);
    db.close();
  }

  test.each(FAULTS)(
    "when %s, resume or recover would overwrite it or go on without it",
    async (_what, harm, says) => {
      harm();
      await refused(["resume"], says);
      await refused(["recover"], says);
      restore();
    },
  );

  test("damaged while a run is going on, it would cost the migration", async () => {
    const run = scene.folder.start(["resume", "--hold", "--json"]);
    await run.event(({ event }) => event === "ready");
    // All but the header. What the run has written since stands in the log, which is read instead: the rest is gone.
    overwrite(1, statSync(file()).size / PAGE - 1);
    const { code, stderr } = await scene.folder.run(["status"]);
    run.child.kill("SIGKILL");
    await run.ended;
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(file()) });
    await refused(["resume"], /damaged/);
    renameSync(dir(), `${dir()}-damaged`);
    await type("recover");
    await type("resume", "--until", "validate");
    restore();
  });

  test.each(["lost", "torn"])(
    "with its write-ahead log %s, the migration would not be found again",
    async (how) => {
      // Where it stood is in the log alone: the process died before it was brought into the file.
      const run = scene.folder.start(["resume", "--hold", "--json"]);
      await run.event(({ event }) => event === "ready");
      run.child.kill("SIGKILL");
      await run.ended;
      const log = `${file()}-wal`;
      const content = readFileSync(log);
      expect(content.length).toBeGreaterThan(8_192);
      if (how === "lost") rmSync(log);
      else writeFileSync(log, content.subarray(0, Math.floor(content.length / 2) + 7));
      rmSync(`${file()}-shm`, { force: true });
      expect(last(await type("resume", "--no-hold", "--json"))).toMatchObject({
        outcome: "ready-for-cutover",
      });
    },
  );

  test("two processes on one journal would get in each other's way, or in that of who looks on", async () => {
    const tables = ["notes", "items"];
    for (const name of tables)
      await scene.session.query(`CREATE TABLE public.${name} AS SELECT * FROM public.orders;
        ALTER TABLE public.${name} ADD PRIMARY KEY (id)`);
    const runs = tables.map((name) =>
      scene.folder.start(["run", name, ...START.slice(2), "--until", "validate"]),
    );
    let going = true;
    const ended = Promise.all(runs.map((run) => run.ended)).finally(() => {
      going = false;
    });
    while (going) {
      const { code, stdout, stderr } = await scene.folder.run(["list", "--json"]);
      expect(code, stdout + stderr).toBe(0);
    }
    for (const { code, stdout, stderr } of await ended) expect(code, stdout + stderr).toBe(0);
    const [{ migrations: listed }] = jsonLines(await type("list", "--json")) as [
      { migrations: { id: string; table: string; outcome: string }[] },
    ];
    expect(listed.map(({ table, outcome }) => `${table} ${outcome}`).sort()).toEqual([
      "public.items ready-for-cutover",
      "public.notes ready-for-cutover",
      "public.orders ready-for-cutover",
    ]);
    const both = listed.filter(({ table }) => table !== "public.orders").map(({ id }) => id);
    const aborted = await Promise.all(both.map((id) => scene.folder.run(["abort", id, "--json"])));
    expect(aborted.map(({ code }) => code)).toEqual([0, 0]);
    const [orders] = listed.filter(({ table }) => table === "public.orders");
    expect(last(await type("cutover", `${orders?.id}`, "--json"))).toMatchObject({ outcome: "retained" });
    await scene.proveNothingLost();
  });
});
