/**
 * A leaf that somebody renames or alters while it is on its way out. What an operator would lose: another table, which has
 * its name by now; or the leaf itself, out of the application's sight and of everybody's mind.
 */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { archive, archives, restoreLeaf } from "../../src/archive.js";
import { adopt, maintain } from "../../src/care.js";
import { Session } from "../../src/pg/session.js";
import {
  type ArchiveScene,
  ATTACHED,
  afterEachProof,
  GONE,
  LEAF,
  NOW,
  openArchiveScene,
  TABLE,
} from "./scene.js";

let scene: ArchiveScene;
let url: string;
beforeEach(async () => {
  scene = await openArchiveScene();
  url = scene.db.ownerUrl;
});
afterEach(async () => {
  vi.restoreAllMocks();
  await scene.drop();
});

const RENAME = `ALTER TABLE public."${LEAF}" RENAME TO elsewhere`;
/** Another leaf takes its name: the wrong one would go. */
const SWAP = [RENAME, `ALTER TABLE public."Odd 2024_02" RENAME TO "${LEAF}"`].join(";");

const byHand = (leaf = LEAF) => archive({ url, table: TABLE, leaf, to: scene.dir, apply: true });
const apply = () => maintain({ url, apply: true, now: NOW });

/** The first lock of the drop, and of nothing else where there is no DEFAULT leaf. */
const DROPS = /LOCK TABLE .*"Odd 2024_01".* SHARE UPDATE EXCLUSIVE/;

/** Has `late` run once, right before the first statement that matches. */
function before(statement: RegExp, late: () => Promise<unknown>): void {
  const original = Session.prototype.query;
  let isFirst = true;
  vi.spyOn(Session.prototype, "query").mockImplementation(async function (
    this: Session,
    ...asked: Parameters<Session["query"]>
  ) {
    if (isFirst && statement.test(asked[0])) {
      isFirst = false;
      await late();
    }
    return original.apply(this, asked);
  });
}

const refused = (what: RegExp) => ({ kind: "refused", message: expect.stringMatching(what) });

test("renamed once its archive is proven, a leaf would be looked for in vain, and another one of its name be detached", async () => {
  const rows = await scene.sum();
  afterEachProof(() => scene.session.query(SWAP));
  await expect(byHand()).rejects.toMatchObject({
    ...refused(/"Odd 2024_01" of .* is called "public"\."elsewhere" by now/),
    state: expect.stringContaining("attached as before"),
    next: expect.stringContaining("--leaf 'elsewhere'"),
  });
  vi.restoreAllMocks();
  expect(await scene.tables()).toEqual([`${LEAF} *`, "Odd Orders", "elsewhere *"]);
  // It expires as ever, under its new name, in one archive.
  const done = await byHand("elsewhere");
  expect(done).toMatchObject({ fate: "archived" });
  expect(await archives({ url, table: TABLE })).toMatchObject([{ state: "archived", leaf: "elsewhere" }]);
  await restoreLeaf({ url, archive: "elsewhere" });
  expect(await scene.sum("elsewhere")).toEqual(rows);
});

test("renamed right before its detach, another leaf of its name would go in its place", async () => {
  before(/DETACH PARTITION/, () => scene.session.query(SWAP));
  await expect(byHand()).rejects.toMatchObject(
    refused(/another leaf of that name was detached in its place/),
  );
  expect(await scene.tables()).toEqual([LEAF, "Odd Orders", "elsewhere *"]);
});

test("renamed once it is noted, another leaf of its name would be detached", async () => {
  before(/INSERT INTO partway\.partition_leaving/, () => scene.session.query(SWAP));
  await expect(byHand()).rejects.toMatchObject(refused(/is called "public"\."elsewhere" by now/));
  expect(await scene.tables()).toEqual([`${LEAF} *`, "Odd Orders", "elsewhere *"]);
});

test("renamed right before it is read, another table's rows would be in its archive, or the reason be a riddle", async () => {
  before(/LOCK TABLE .* ACCESS SHARE/, () =>
    scene.session.query(`${RENAME}; CREATE TABLE public."${LEAF}" (precious int)`),
  );
  await expect(byHand()).rejects.toMatchObject(refused(/is called "public"\."elsewhere" by now/));
  expect(await archives({ url, table: TABLE })).toMatchObject([{ state: "unfinished" }]);
  expect(await scene.tables()).toEqual([LEAF, "Odd 2024_02 *", "Odd Orders", "elsewhere *"]);
});

test("beside a DEFAULT leaf, the same", async () => {
  await scene.session.query(`CREATE TABLE public.rest PARTITION OF public.${TABLE} DEFAULT`);
  before(/LOCK TABLE .*SHARE UPDATE/, () => scene.session.query(SWAP));
  await expect(byHand()).rejects.toMatchObject(refused(/is called "public"\."elsewhere" by now/));
  expect(await scene.tables()).toEqual([`${LEAF} *`, "Odd Orders", "elsewhere *", "rest *"]);
});

test.each(["archive", "drop"] as const)(
  "renamed once it is detached, under a policy that says %s, a leaf would be forgotten, or another table be dropped",
  async (expired) => {
    const policy = {
      retention: "1w",
      ahead: 0,
      expired,
      ...(expired === "archive" ? { archive: { to: scene.dir } } : {}),
    };
    await adopt({ url, tables: [`public.${TABLE}`], policy });
    const rows = await scene.sum();
    const swap = `${RENAME}; CREATE TABLE public."${LEAF}" (precious int)`;
    // The lock of the drop is the first on a table by itself.
    before(DROPS, () => scene.session.query(swap));
    const renamed = {
      exitCode: 3,
      tables: [{ error: { message: expect.stringContaining(`is called "public"."elsewhere" by now`) } }],
    };
    expect(await apply()).toMatchObject(renamed);
    vi.restoreAllMocks();
    // It is told until somebody has decided, and neither is touched.
    const again = await apply();
    expect(again).toMatchObject(renamed);
    expect(await scene.tables()).toEqual([LEAF, ...GONE, "elsewhere"]);
    expect(await scene.sum("elsewhere")).toEqual(rows);
    const next = again.tables.map((one) => ("error" in one ? one.error.next : "")).join();
    await scene.session.query(`DROP TABLE public."${LEAF}"`);
    await scene.session.query(/ALTER TABLE [^;]*;/.exec(next)?.[0] ?? "");
    expect(await apply()).toMatchObject({ exitCode: 0, tables: [{ finished: [{ name: LEAF }] }] });
    expect(await scene.tables()).toEqual(GONE);
  },
);

test("told that it is to stay, a renamed leaf would be asked about for ever", async () => {
  await scene.adopt({ to: scene.dir });
  before(DROPS, () => scene.session.query(RENAME));
  const { tables } = await apply();
  vi.restoreAllMocks();
  const next = tables.map((one) => ("error" in one ? one.error.next : "")).join();
  for (const sql of next.match(/DELETE FROM [^;]*;/g) ?? []) await scene.session.query(sql);
  expect(await apply()).toMatchObject({ exitCode: 0, tables: [{ finished: [], retired: [] }] });
  expect(await scene.tables()).toEqual([...GONE, "elsewhere"]);
});

test("a column renamed or widened meanwhile would be in an archive that the table does not take back", async () => {
  for (const alter of ["RENAME COLUMN note TO remark", "ALTER COLUMN remark TYPE varchar"]) {
    let isFirst = true;
    afterEachProof(async () => {
      if (isFirst) await scene.session.query(`ALTER TABLE public.${TABLE} ${alter}`);
      isFirst = false;
    });
    expect(await byHand()).toMatchObject({ fate: "archived" });
    vi.restoreAllMocks();
    const made = (await archives({ url, table: TABLE })).at(-1);
    await restoreLeaf({ url, archive: made?.id ?? "" });
    expect(await scene.tables()).toEqual(ATTACHED);
  }
});
