/**
 * SIGKILL while a leaf is archived into a bucket, the real process: what an operator would lose is rows dropped before they
 * were proven, a leaf that no later run takes on, or money for parts of an upload that nobody knows of.
 */
import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { archives, restoreLeaf } from "../../src/archive.js";
import { type KillProxy, sent, startKillProxy, uncommitted } from "../cli/killpoint.js";
import { type Folder, freshFolder } from "../cli/support.js";
import { bundleCli } from "../support/bundle.js";
import { type S3Server, startS3 } from "./s3.js";
import { type S3Front, startS3Front } from "./s3-front.js";
import { type ArchiveScene, ATTACHED, GONE, LEAF, openArchiveScene, TABLE } from "./scene.js";

let built: ReturnType<typeof bundleCli>;
let s3: S3Server;
let front: S3Front;
beforeAll(async () => {
  built = bundleCli();
  s3 = await startS3();
  front = await startS3Front(s3);
});
afterAll(async () => {
  built.remove();
  await front.stop();
  await s3.stop();
});

let scene: ArchiveScene;
let proxy: KillProxy;
let folder: Folder;
let before: { rows: string; hash: string };
beforeEach(async () => {
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  scene = await openArchiveScene();
  proxy = await startKillProxy(scene.db.ownerUrl);
  folder = freshFolder(built.file, proxy.url(scene.db.ownerUrl));
});
afterEach(async () => {
  front.lists(true);
  vi.unstubAllEnvs();
  await folder.remove();
  await proxy.stop();
  await scene.drop();
});

/** More than one part of an upload, of what gzip makes no smaller. */
async function grow(): Promise<void> {
  for (let mb = 0; mb < 19; mb++)
    await scene.session.query(
      `INSERT INTO public.${TABLE} ("createdAt", raw) VALUES ('2024-01-20', decode($1, 'hex'))`,
      [randomBytes(2 ** 20).toString("hex")],
    );
}

type Strike = (kill: () => void) => { happened(): boolean };
const atRequest =
  (line: RegExp, nth = 1): Strike =>
  (kill) => {
    front.arm(line, kill, nth);
    return { happened: () => front.happened() };
  };
const atStatement =
  ([, point]: ReturnType<typeof sent>): Strike =>
  (kill) =>
    proxy.arm(point, kill);

/** One run of the command, killed at `strike`; without: it ends by itself, and well. Gives what it said on stderr. */
async function run(strike?: Strike): Promise<string> {
  const to = ["--to", `s3://archive/${scene.db.name}`, "--endpoint", front.endpoint];
  const one = folder.start(["archive", TABLE, "--leaf", LEAF, ...to, "--apply"], s3.env);
  const met = strike?.(() => one.child.kill("SIGKILL"));
  const { stdout, stderr, code } = await one.ended;
  proxy.disarm();
  // A killed client's backends end when the server looks at their sockets; until then they hold what they hold.
  const others = `SELECT pid::text AS text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'partway'
     AND backend_type = 'client backend' AND pid <> pg_backend_pid()`;
  await expect.poll(() => scene.texts(others), { timeout: 30_000, interval: 20 }).toEqual([]);
  if (met === undefined) expect(code, stdout + stderr).toBe(0);
  else expect([met.happened(), one.child.signalCode], stdout + stderr).toEqual([true, "SIGKILL"]);
  return stderr;
}

/** Those of this database's leaf: begun, and neither completed nor aborted. A trial that was not aborted has no part. */
const uploads = () =>
  front.uploads().filter((key) => key.startsWith(`${scene.db.name}/`) && key.includes("leaf_"));

const state = async () =>
  (await archives({ url: scene.db.ownerUrl, table: TABLE })).map((one) => `${one.state} ${one.id}`);

test("killed on its way into a bucket, a leaf would be dropped unproven, or its parts be stored for ever", async () => {
  await grow();
  await run(atRequest(/^PUT .*partNumber=2/));
  const data = uploads();
  expect(data).toEqual([expect.stringMatching(/leaf_Odd_2024_01_\w+\.csv\.gz$/)]);
  expect(await state()).toEqual([expect.stringMatching(/^unfinished/)]);
  expect(await scene.tables()).toEqual(ATTACHED);

  // A storage that neither lists nor aborts uploads: its parts are told, once.
  front.lists(false);
  const told = (await run(atRequest(/^PUT .*partNumber=2/)))
    .split("\n")
    .filter((line) => /may have left parts/.test(line));
  expect(told).toEqual([expect.stringMatching(/\(NotImplemented\).*lifecycle rule/)]);
  expect(told[0]).toContain(`s3://archive/${data[0]}`);
  front.lists(true);
  expect(uploads()).toHaveLength(2);

  // Uploaded, and not read back: nobody knows whether it is the leaf.
  await run(atRequest(/^GET [^?]*\.csv\.gz/));
  expect(uploads()).toEqual(data);
  expect(await scene.tables()).toEqual(ATTACHED);
  const [unproven = ""] = (await state()).map((line) => line.replace("unfinished ", ""));
  expect(unproven).not.toContain(" ");

  // Proven, and the manifest is not written yet.
  expect(await run(atRequest(/^PUT .*\.manifest\.json/))).toContain(
    `${unproven}.csv.gz is of a run that was`,
  );
  expect(await state()).toEqual([expect.stringMatching(/^unfinished/)]);

  // What comes now does not ask for many parts.
  await scene.session.query(`DELETE FROM public.${TABLE} WHERE length(raw) > 1000`);
  before = await scene.sum();
  await run(atStatement(sent("after the proof", /INSERT INTO partway\.partition_leaving/)));
  const [proven = ""] = await state();
  expect(proven).toMatch(/^proven/);
  expect(await scene.tables()).toEqual(ATTACHED);

  // Detached, under the lock, and not dropped: its archive is read again and kept.
  await run(atStatement(uncommitted("before the drop", /DROP TABLE/)));
  expect(await scene.tables()).toEqual([LEAF, ...GONE]);
  expect(await scene.sum()).toEqual(before);
  expect(await run()).not.toContain("leaf_");
  expect(await state()).toEqual([proven.replace("proven", "archived")]);
  expect(await scene.tables()).toEqual(GONE);
  expect(uploads()).toEqual(data);
  await restoreLeaf({ url: scene.db.ownerUrl, archive: LEAF });
  expect(await scene.sum()).toEqual(before);
});
