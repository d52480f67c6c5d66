/** The state directory is gone: `partway recover` rebuilds the journal in each phase, and the migration ends as it should. */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { committed, type KillPoint, sent, uncommitted } from "../cli/killpoint.js";
import { leafObjects, objectsOf, openScene, RUN, type Scene } from "../cli/scene.js";
import { type Folder, jsonLines } from "../cli/support.js";
import { freshDatabase } from "../support/database.js";
import { value } from "../support/migration.js";
import { ONCE } from "./journal-once.js";

let scene: Scene;
let untouched: string[];
beforeAll(async () => {
  scene = await openScene(3_000);
  untouched = await objectsOf(scene.session);
});
afterAll(() => scene.close());

const START = [...RUN, "--no-backup"];
const point = ([, at]: readonly [string, KillPoint]) => at;
const lose = () => rmSync(join(scene.folder.dir, ".partway"), { recursive: true });
const database = () =>
  value(scene.session, "SELECT string_agg(m::text, ',' ORDER BY id) FROM partway.migration AS m");

/** Types it and expects exit code 0; gives stdout. */
async function type(args: readonly string[], folder: Folder = scene.folder): Promise<string> {
  const { code, stdout, stderr } = await folder.run(args);
  expect(code, `partway ${args.join(" ")}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** The state directory is gone; it is rebuilt, and nothing in the database was changed by that. */
async function loseAndRecover(phase: string, ...options: string[]): Promise<string> {
  lose();
  const before = await database();
  const said = await type(["recover", ...options]);
  expect(said).toContain(`next phase ${phase}; go on with: partway `);
  expect(await database()).toBe(before);
  return said;
}

const last = (stdout: string) => jsonLines(stdout).at(-1);
const position = async () => jsonLines(await type(["status", "--json"]))[0];

describe.runIf(ONCE)("before cutover", () => {
  test("a journal without its database row would make one in another database", async () => {
    const elsewhere = await freshDatabase();
    try {
      await scene.kill(START, point(uncommitted("the row", /INSERT INTO partway\.migration/)));
      const other = await elsewhere.session();
      await other.query("CREATE TABLE public.orders (id int PRIMARY KEY, created_at timestamptz NOT NULL)");
      for (const command of ["resume", "abort"]) {
        const { code, stderr } = await scene.folder.run([command], { DATABASE_URL: elsewhere.ownerUrl });
        expect({ code, stderr }).toMatchObject({
          code: 2,
          stderr: expect.stringContaining("has no record of"),
        });
      }
      expect(await objectsOf(other)).toEqual(["r orders"]);
    } finally {
      await elsewhere.drop();
    }
  });

  test("lost in the backup, whether one is wanted would be decided without asking", async () => {
    await scene.kill(["resume"], point(committed("the row", /INSERT INTO partway\.migration/)));
    lose();
    expect(await type(["recover"])).toMatch(/not known: a backup: it is made \(again\) in .*--no-backup/);
    const said = await loseAndRecover("shadow", "--no-backup");
    expect(said).toContain("not known: a backup: none is made, as asked");
    expect(await position()).toMatchObject({ position: "backup" });
    await type(["resume", "--until", "shadow"]);
  });

  test("lost in the copy, the batches would be copied again, or the wish to stop before cutover be guessed", async () => {
    // The batch size went with the journal too.
    await scene.kill(
      ["resume", "--batch-blocks", "32"],
      point(committed("a batch", /INSERT INTO partway\.ledger/, 2)),
    );
    const copied = await value(scene.session, "SELECT count(*) FROM partway.ledger");
    const said = await loseAndRecover("copy");
    expect(said).toContain("not known: --until: resume stops before cutover");
    expect(said).toContain("not known: settings and hooks of the run");
    await type(["resume", "--until", "copy"]);
    const after =
      "SELECT count(*) FILTER (WHERE generation = 1) || ' ' || max(generation) FROM partway.ledger";
    expect(await value(scene.session, after)).toMatch(/^\d+ 1$/);
    expect(Number(copied)).toBeGreaterThan(0);
  });

  test("lost in the index builds, they would not be finished", async () => {
    await scene.kill(["resume"], point(uncommitted("attaching", /ATTACH PARTITION/)));
    await loseAndRecover("index");
    await type(["resume", "--until", "index"]);
  });

  test("lost while validating, resume would cut over unasked", async () => {
    await scene.kill(["resume"], point(sent("hashing", /hash_record_extended/)));
    await loseAndRecover("validate");
    expect(last(await type(["resume", "--no-hold", "--json"]))).toMatchObject({
      outcome: "ready-for-cutover",
    });
  });

  test("lost when ready, cutover would be done without another proof, or not at all", async () => {
    await loseAndRecover("cutover");
    const { code, stderr } = await scene.folder.run(["cutover"]);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/next: +partway resume/),
    });
    expect(last(await type(["resume", "--no-hold", "--json"]))).toMatchObject({
      outcome: "ready-for-cutover",
    });
  });

  test("recovered twice, or while another process runs it, it would be driven twice or harmed", async () => {
    expect(await type(["recover"])).toContain("nothing to recover");
    const running = scene.folder.start(["resume", "--hold", "--json"]);
    await running.event(({ event }) => event === "ready");
    const other = scene.otherFolder();
    await type(["recover"], other);
    const { code, stderr } = await other.run(["resume"]);
    expect({ code, stderr }).toMatchObject({
      ...{ code: 3, stderr: expect.stringContaining("being run by another Partway process") },
    });
    // The journal goes in the middle of the run: it is rebuilt under the process that still has the old one open.
    const dir = join(scene.folder.dir, ".partway");
    renameSync(dir, join(scene.folder.dir, "gone"));
    await type(["recover"]);
    await scene.written(50);
    running.child.kill("SIGINT");
    const ended = await running.ended;
    expect(ended.code).toBe(1);
    expect(last(ended.stdout)).toMatchObject({
      ...{ event: "stopped", what: expect.stringContaining("was deleted or replaced"), exitCode: 1 },
      next: expect.stringContaining("partway recover"),
    });
    expect(await position()).toMatchObject({ position: "validate", driver: null });
    await type(["resume", "--until", "validate"]);
  });
});

describe.runIf(ONCE)("after cutover", () => {
  test("lost between the cutover's commit and its record, the application would be said to be on the old table", async () => {
    await scene.kill(["cutover"], point(committed("the swap", /RENAME TO/)));
    const said = await loseAndRecover("retain");
    expect(said).toContain("not known: a rollback that was asked for");
    expect(await position()).toMatchObject({
      position: "retain",
      view: { safety: "The application is on the new table; the old one is kept." },
      database: { rollbackSafe: true },
    });
    expect(last(await type(["resume", "--no-hold", "--json"]))).toMatchObject({ outcome: "retained" });
  });

  test("lost after the rollback's commit, the rest of it would be left for ever", async () => {
    await scene.kill(["rollback"], point(committed("the swap back", /RENAME TO/)));
    const said = await loseAndRecover("rolled-back");
    expect(said).toContain("go on with: partway rollback ");
    expect(last(await type(["rollback", "--json"]))).toMatchObject({ outcome: "rolled-back" });
    const left = (await objectsOf(scene.session)).filter((line) => !/failed|partitioned_id_seq/.test(line));
    expect(left).toEqual(untouched);
    await scene.proveNothingLost();
  });

  test("lost in an abort, resume would go forward on what is half gone", async () => {
    await type([...START, "--until", "index"]);
    await scene.session.query("DROP TABLE public.orders_partitioned_failed");
    await scene.kill(["abort"], point(committed("the reverse triggers", /DROP TRIGGER/)));
    expect(await loseAndRecover("abort")).toContain("go on with: partway abort ");
    expect(last(await type(["resume", "--json"]))).toMatchObject({ outcome: "aborted" });
    expect(await objectsOf(scene.session)).toEqual(untouched);
    await scene.proveNothingLost();
  });

  test("lost in the drop, with another migration beside it, one of them would be forgotten", async () => {
    await scene.session.query(
      "CREATE TABLE public.notes (id int PRIMARY KEY, created_at timestamptz NOT NULL)",
    );
    await type(START);
    await type(["run", "notes", ...START.slice(2), "--until", "copy"]);
    const [orders, notes] = await Promise.all(
      ["orders", "notes"].map((name) =>
        value(scene.session, `SELECT id FROM partway.migration WHERE id LIKE '${name}%'`),
      ),
    );
    await scene.kill(
      ["finalize", `${orders}`, "--force", "orders"],
      point(committed("its first word", /SET phase = 'drop'/)),
    );
    lose();
    expect(jsonLines(await type(["recover", `${notes}`, "--json"]))).toMatchObject([
      [{ id: notes, phase: "index", next: `partway resume ${notes}, or partway abort ${notes}` }],
    ]);
    const unknown = await scene.folder.run(["resume", `${orders}`]);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining(`partway recover ${orders}`) });
    expect(jsonLines(await type(["recover", "--json"]))).toMatchObject([[{ id: orders, phase: "drop" }]]);
    expect(last(await type(["finalize", `${orders}`, "--json"]))).toMatchObject({ outcome: "done" });
    expect(last(await type(["abort", `${notes}`, "--json"]))).toMatchObject({ outcome: "aborted" });
    expect(await objectsOf(scene.session)).toEqual(
      ["S orders_id_seq", "p orders", "r notes", ...(await leafObjects(scene.session))].sort(),
    );
    await scene.proveNothingLost();
  });
});
