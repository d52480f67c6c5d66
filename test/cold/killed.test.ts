/**
 * SIGKILL while a leaf goes to another server and comes back, in a chain of runs, the real process: what an
 * operator would lose is the leaf's rows, dropped before they were proven, or a leaf that no later run takes on.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { coldLeaves, cool } from "../../src/cold.js";
import { kindOf } from "../../src/kill-switch.js";
import { type Folder, freshFolder } from "../cli/support.js";
import { bundleCli } from "../support/bundle.js";
import { type ColdScene, NEW, OLD, openColdScene, TABLE } from "./scene.js";

let built: ReturnType<typeof bundleCli>;
beforeAll(() => {
  built = bundleCli();
});
afterAll(() => built.remove());

let scene: ColdScene;
let folder: Folder;
let before: string[];
beforeEach(async () => {
  scene = await openColdScene({ unique: true });
  folder = freshFolder(built.file, scene.hot.ownerUrl);
  before = await scene.values("public.orders");
});
afterEach(async () => {
  await folder.remove();
  await scene.drop();
});

/** One run, killed at the first change of that kind. Gives what it was killed at; null: it ended by itself, and well. */
async function killed(args: string[], kill: string, kind = ""): Promise<string | null> {
  const [log, kinds] = [join(folder.dir, "points"), join(folder.dir, "kinds")];
  writeFileSync(kinds, kind);
  const run = folder.start([...args, "--apply"], {
    PARTWAY_COLD_URL: scene.cold.ownerUrl,
    PARTWAY_TEST_KILL: kill,
    PARTWAY_TEST_KILL_KINDS: kinds,
    PARTWAY_TEST_KILL_LOG: log,
  });
  const { stdout, stderr, code } = await run.ended;
  const others = `SELECT pid::text AS text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'partway'
     AND backend_type = 'client backend' AND pid <> pg_backend_pid()`;
  for (const on of [scene.session, scene.far])
    await expect.poll(() => scene.texts(others, on), { timeout: 30_000, interval: 20 }).toEqual([]);
  if (run.child.signalCode === "SIGKILL") return readFileSync(log, "utf8").trimEnd().split("\n").at(-1) ?? "";
  expect(code, stdout + stderr).toBe(0);
  return null;
}

/** The rows are where queries look for them, once. */
async function expectInSight(): Promise<void> {
  expect(await scene.values("public.orders_with_cold")).toEqual(before);
}

const COOL = ["cool", TABLE, OLD];
const WARM = ["warm", TABLE, OLD, "--drop-cold"];

/** One run after the other, each killed further on in what the one before has left. The first ones: PARTWAY_TEST_FULL. */
const EARLY: [string[], "before" | "after", RegExp][] = [
  [COOL, "after", /^INSERT INTO partway\.partition_cold/],
  [COOL, "after", /^COMMIT of: CREATE TABLE "public"."orders_\S+ .* COMMENT/],
  [COOL, "after", /SET \(rows, hash, columns, verified_at\)/],
];
const CHAIN: typeof EARLY = [
  ...(process.env["PARTWAY_TEST_FULL"] === "1" ? EARLY.slice(0, 2) : []),
  [COOL, "before", /^COMMIT of: COPY/],
  [COOL, "after", /^COMMIT of: CREATE FOREIGN TABLE/],
  ...(process.env["PARTWAY_TEST_FULL"] === "1" ? EARLY.slice(2) : []),
  [COOL, "before", /^COMMIT of: ALTER VIEW/],
  [COOL, "after", /^COMMIT of: ALTER VIEW/],
  [WARM, "before", /^COMMIT of: CREATE TABLE "public"."orders_\S+ .* RENAME/],
  [WARM, "after", /^COMMIT of: DROP TABLE "public"/],
];

test("killed again and again on its way there and back, a leaf's rows would be lost, or no run take it on", async () => {
  // With another cold leaf the view is there from the first run on: the chain meets what was counted.
  await cool({ ...scene.to, leaves: [NEW], apply: true });
  expect(await killed(COOL, "count")).toBeNull();
  expect(await killed(WARM, "count")).toBeNull();
  const points = readFileSync(join(folder.dir, "points"), "utf8").trimEnd().split("\n");
  const kinds = points.map((line) => kindOf(line.replace(/^\d+ /, "")));
  for (const [args, when, place] of CHAIN) {
    const found = kinds.filter((kind) => place.test(kind)).slice(0, 1);
    expect(found, String(place)).toHaveLength(1);
    expect(await killed(args, `${when}:listed`, found.join("\n"))).toMatch(`killed ${when}: `);
    await expectInSight();
  }
  // Back, and dropped there; what the last one did not come to note, this one does.
  expect(await killed(WARM, "count")).toBeNull();
  await expectInSight();
  expect(await scene.tables()).toEqual(["p orders", `r ${OLD} *`, `f ${NEW}`, "v orders_with_cold"]);
  expect(await scene.tables(scene.far)).toEqual([`r ${NEW}`]);
  expect(await coldLeaves(scene.to)).toMatchObject([
    { leaf: NEW, state: "cold" },
    { state: "warm", isDropped: true },
    { state: "warm", isDropped: true },
  ]);
});
