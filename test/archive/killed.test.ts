/**
 * SIGKILL while a leaf is archived, at every numbered change from the first to the drop, the real process: what an operator
 * would lose is the leaf's rows, dropped before they were proven, or a leaf that no later run takes on.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { restoreLeaf } from "../../src/archive.js";
import { type Folder, freshFolder } from "../cli/support.js";
import { bundleCli } from "../support/bundle.js";
import { type ArchiveScene, LEAF, openArchiveScene, TABLE } from "./scene.js";

let built: ReturnType<typeof bundleCli>;
beforeAll(() => {
  built = bundleCli();
});
afterAll(() => built.remove());

let scene: ArchiveScene;
let folder: Folder;
let before: { rows: string; hash: string };
beforeEach(async () => {
  scene = await openArchiveScene();
  folder = freshFolder(built.file, scene.db.ownerUrl);
  before = await scene.sum();
});
afterEach(async () => {
  await folder.remove();
  await scene.drop();
});

/** One run, killed there. Gives what it was killed at; null: it ended by itself, and well. */
async function archiveKilled(kill: string): Promise<string | null> {
  const log = join(folder.dir, "points");
  const run = folder.start(["archive", TABLE, "--leaf", LEAF, "--to", scene.dir, "--apply"], {
    PARTWAY_TEST_KILL: kill,
    PARTWAY_TEST_KILL_LOG: log,
  });
  const { stdout, stderr, code } = await run.ended;
  // A killed client's backends end when the server looks at their sockets; until then they hold what they hold.
  const others = `SELECT pid::text AS text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'partway'
     AND backend_type = 'client backend' AND pid <> pg_backend_pid()`;
  await expect.poll(() => scene.texts(others), { timeout: 30_000, interval: 20 }).toEqual([]);
  if (run.child.signalCode === "SIGKILL") return readFileSync(log, "utf8").trimEnd().split("\n").at(-1) ?? "";
  expect(code, stdout + stderr).toBe(0);
  return null;
}

/** The rows are in the database, or in an archive that gives them back. */
async function expectKept(): Promise<void> {
  const tables = await scene.tables();
  if (tables.some((name) => name.startsWith(LEAF))) expect(await scene.sum()).toEqual(before);
  else {
    await restoreLeaf({ url: scene.db.ownerUrl, archive: LEAF, detached: true });
    expect(await scene.sum()).toEqual(before);
    await scene.session.query(`DROP TABLE public."${LEAF}"`);
  }
}

/** The dangerous places, in the order in which a leaf comes to them. */
const PLACES = [
  /INSERT INTO partway\.partition_archive/,
  /file: an archive's file is written/,
  /csv.gz gets its name/,
  /SET \(manifest, verified_at\)/,
  /INSERT INTO partway\.partition_leaving/,
  /DETACH PARTITION/,
  /DROP TABLE/,
  /COMMIT of: (DROP TABLE|UPDATE partway\.partition_archive)/,
];

/** One run after the other, each killed further on in what the one before has left: when, at which change, and what that is. */
const CHAIN: ["before" | "after", number, RegExp | undefined][] = [
  ["before", 7, PLACES[0]],
  ["before", 3, PLACES[1]],
  ["before", 4, PLACES[2]],
  ["before", 9, PLACES[3]],
  ["after", 9, PLACES[3]],
  ["after", 2, PLACES[4]],
  ["before", 3, PLACES[5]],
  ["after", 3, PLACES[5]],
  ["after", 2, PLACES[6]],
  ["before", 5, PLACES[7]],
  ["after", 5, PLACES[7]],
];

test("killed again and again on its way, a leaf's rows would be lost, or no run take it on", async () => {
  for (const [when, n, place] of CHAIN) {
    const at = await archiveKilled(`${when}:${n}`);
    expect(at).toMatch(`killed ${when}: `);
    expect(at).toMatch(place ?? "");
    await expectKept();
  }
  expect(await scene.tables()).toEqual(["Odd 2024_02 *", "Odd Orders"]);
  expect(scene.files().filter((name) => name.endsWith(".partial"))).toEqual([]);
  expect(await scene.texts("SELECT leaf_name AS text FROM partway.partition_leaving")).toEqual([]);
  await restoreLeaf({ url: scene.db.ownerUrl, archive: LEAF });
  expect(await scene.sum()).toEqual(before);
});

test.skipIf(process.env["PARTWAY_TEST_FULL"] !== "1")(
  "killed at any change of a first run, the next one would not end it",
  { timeout: 900_000 },
  async () => {
    const met: string[] = [];
    for (let n = 1; ; n++)
      for (const when of ["before", "after"]) {
        const at = await archiveKilled(`${when}:${n}`);
        if (at === null) {
          for (const place of PLACES) expect(met.join("\n")).toMatch(place);
          return;
        }
        met.push(at);
        await expectKept();
        if ((await scene.tables()).some((name) => name.startsWith(LEAF)))
          expect(await archiveKilled("count")).toBeNull();
        await restoreLeaf({ url: scene.db.ownerUrl, archive: LEAF });
        expect(await scene.sum()).toEqual(before);
        await scene.session.query("TRUNCATE partway.partition_archive");
      }
  },
);
