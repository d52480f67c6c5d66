/**
 * What an operator would lose: the only copy of an expired leaf. An archive must give the very rows back, be proven before
 * the leaf goes, and be noticed where it was changed; a leaf that was written into must stay.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { archive, archives, restoreLeaf } from "../../src/archive.js";
import { adopt, health, maintain } from "../../src/care.js";
import { type S3Server, startS3 } from "./s3.js";
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

const KEY = randomBytes(32).toString("hex");

let s3: S3Server;
beforeAll(async () => {
  s3 = await startS3();
});
afterAll(() => s3.stop());

let scene: ArchiveScene;
let url: string;
beforeEach(async () => {
  for (const [name, value] of Object.entries({ ...s3.env, ARCHIVE_KEY: KEY })) vi.stubEnv(name, value);
  scene = await openArchiveScene();
  url = scene.db.ownerUrl;
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await scene.drop();
});

const apply = async () => maintain({ url, apply: true, now: NOW });

/** Archives the leaf into the scene's folder, by hand. */
async function archived(keyEnv?: string): Promise<{ id: string; data: string; manifest: string }> {
  const sealed = keyEnv === undefined ? {} : { keyEnv };
  const report = await archive({ url, table: TABLE, leaf: LEAF, to: scene.dir, apply: true, ...sealed });
  expect(report).toMatchObject({ fate: "archived", archive: { state: "archived", rows: 404 } });
  const [data = "", manifest = ""] = scene.files();
  return { id: report.archive?.id ?? "", data, manifest };
}

describe("an expired leaf archived to", () => {
  test.each([
    ["a folder", false, false],
    ["a folder, sealed", false, true],
    ["a bucket", true, false],
    ["a bucket, sealed", true, true],
  ])("%s would not come back as it was", async (_where, isBucket, isSealed) => {
    const before = await scene.sum();
    await scene.adopt({
      ...(isBucket ? { to: `s3://archive/${scene.db.name}`, endpoint: s3.endpoint } : { to: scene.dir }),
      ...(isSealed ? { keyEnv: "ARCHIVE_KEY" } : {}),
    });
    expect(await maintain({ url, now: NOW })).toMatchObject({
      tables: [{ retired: [{ fate: "would-archive" }] }],
    });
    expect(await scene.tables()).toEqual(ATTACHED);
    expect(await apply()).toMatchObject({
      exitCode: 0,
      tables: [{ retired: [{ name: LEAF, fate: "archived" }] }],
    });
    expect(await scene.tables()).toEqual(GONE);
    expect(await scene.texts("SELECT leaf_name AS text FROM partway.partition_leaving")).toEqual([]);
    const [made] = await archives({ url, table: TABLE });
    expect(made).toMatchObject({ state: "archived", rows: 404, isSealed });

    expect(await restoreLeaf({ url, archive: LEAF })).toMatchObject({ rows: 404, hash: made?.hash });
    expect(await scene.sum()).toEqual(before);
    expect(await scene.tables()).toEqual(ATTACHED);
    const indexes = `SELECT count(*)::text AS text FROM pg_index WHERE indrelid = 'public."Odd 2024_01"'::regclass AND indisvalid`;
    expect(await scene.texts(indexes)).toEqual(["2"]);
    const checks = `SELECT conname::text AS text FROM pg_constraint WHERE conrelid = 'public."Odd 2024_01"'::regclass AND contype = 'c'`;
    expect(await scene.texts(checks)).toEqual([]);
    // It is as old as before, and must not be gone tomorrow.
    expect(await apply()).toMatchObject({ exitCode: 0, tables: [{ retired: [] }] });
    expect(await scene.tables()).toEqual(ATTACHED);
    expect((await health({ url, now: NOW }))[0]?.findings.map(({ code }) => code)).not.toContain("expired");
  });

  test("a place that does not take it would be out of the application's sight, or lost", async () => {
    const wrong = [
      [{ to: "s3://nobucket/x", endpoint: s3.endpoint }, /no bucket nobucket/],
      [{ to: "s3://archive/x", endpoint: "http://127.0.0.1:1" }, /does not answer/],
      [{ to: join(scene.dir, "file", "archive") }, /cannot be read or written/],
      [{ to: scene.dir, keyFile: "/nowhere/key" }, /archive key .* cannot be read/],
    ] as const;
    writeFileSync(join(scene.dir, "file"), "");
    for (const [place, why] of wrong) {
      await scene.adopt(place);
      const { tables, exitCode } = await apply();
      expect(exitCode).not.toBe(0);
      expect(tables).toMatchObject([{ error: { message: expect.stringMatching(why) } }]);
      expect(await scene.tables()).toEqual(ATTACHED);
    }
    await scene.adopt({ to: scene.dir });
    expect(await apply()).toMatchObject({ exitCode: 0, tables: [{ retired: [{ fate: "archived" }] }] });
  });
});

test("rows that come while the leaf is archived would be dropped with it", async () => {
  let isFirst = true;
  afterEachProof(async () => {
    if (isFirst)
      await scene.session.query(`UPDATE public.${TABLE} SET note = 'late' WHERE "createdAt" = '2024-01-02'`);
    isFirst = false;
  });
  await archive({ url, table: TABLE, leaf: LEAF, to: scene.dir, apply: true });
  expect(isFirst).toBe(false);
  expect(await scene.tables()).toEqual(GONE);
  await restoreLeaf({ url, archive: LEAF });
  expect(await scene.texts(`SELECT id::text AS text FROM public.${TABLE} WHERE note = 'late'`)).toHaveLength(
    1,
  );
});

test("a leaf that somebody keeps writing into by its name would be dropped", async () => {
  afterEachProof(() =>
    scene.session.query(`INSERT INTO public."Odd 2024_01" (id, "createdAt") OVERRIDING SYSTEM VALUE
    SELECT 1000 + count(*), '2024-01-20' FROM public."Odd 2024_01"`),
  );
  const archiving = archive({ url, table: TABLE, leaf: LEAF, to: scene.dir, apply: true });
  await expect(archiving).rejects.toMatchObject({
    kind: "difference",
    message: expect.stringMatching(/written into/),
  });
  vi.restoreAllMocks();
  expect(await scene.tables()).toEqual(["Odd 2024_01", ...GONE]);
  expect((await scene.sum()).rows).toBe("406");
  // The same again, where nobody writes any more.
  const again = await archive({ url, table: TABLE, leaf: LEAF, apply: true });
  expect(again).toMatchObject({ fate: "archived", archive: { rows: 406 } });
});

test("nothing would be shown before it is done", async () => {
  const shown = await archive({ url, table: TABLE, leaf: LEAF, to: scene.dir });
  expect(shown).toMatchObject({ fate: "would-archive", archive: null });
  expect([await scene.tables(), scene.files()]).toEqual([ATTACHED, []]);
  await expect(
    archive({ url, table: TABLE, leaf: "none", to: scene.dir, apply: true }),
  ).rejects.toMatchObject({
    kind: "bad-input",
  });
  await scene.session.query(`CREATE TABLE public.rest PARTITION OF public.${TABLE} DEFAULT`);
  await expect(
    archive({ url, table: TABLE, leaf: "rest", to: scene.dir, apply: true }),
  ).rejects.toMatchObject({
    kind: "refused",
    state: "Nothing was touched.",
  });
  expect(scene.files()).toEqual([]);
});

const DAMAGES: Record<string, (bytes: Buffer) => Buffer> = {
  "cut off": (bytes) => bytes.subarray(0, bytes.length - 20),
  "with bytes changed": (bytes) =>
    Buffer.concat([bytes.subarray(0, 900), Buffer.from("XY"), bytes.subarray(902)]),
  empty: () => Buffer.alloc(0),
};

/** Whole gzip, whole CSV, and a row less. */
const rowLess = (bytes: Buffer) =>
  gzipSync(gunzipSync(bytes).toString().trimEnd().split("\n").slice(0, -1).join("\n"));

describe("an archive", () => {
  test.each([
    ["not sealed", undefined, { ...DAMAGES, "with a row less": rowLess }],
    ["sealed", "ARCHIVE_KEY", DAMAGES],
  ])("that is %s would be taken for the leaf, damaged", async (_what, keyEnv, damages) => {
    const { data } = await archived(keyEnv);
    const bytes = readFileSync(data);
    for (const [how, damage] of Object.entries(damages)) {
      writeFileSync(data, damage(bytes));
      await expect(restoreLeaf({ url, archive: LEAF }), how).rejects.toMatchObject({
        kind: expect.stringMatching(/^(bad-input|difference)$/),
        message: expect.stringMatching(/damaged|not the file|cannot be opened/),
      });
      expect(await scene.tables()).toEqual(GONE);
    }
    writeFileSync(data, bytes);
    await restoreLeaf({ url, archive: LEAF });
    expect(await scene.tables()).toEqual(ATTACHED);
  });

  test("would be opened without its key, or its manifest be believed when it was changed", async () => {
    const { data, manifest } = await archived("ARCHIVE_KEY");
    expect(readFileSync(data).includes("quoted")).toBe(false);
    expect(readFileSync(manifest, "utf8")).not.toContain(KEY);
    vi.stubEnv("ARCHIVE_KEY", randomBytes(32).toString("hex"));
    const open = (more = {}) => restoreLeaf({ url, archive: manifest, ...more });
    await expect(open({ keyEnv: "ARCHIVE_KEY" })).rejects.toMatchObject({
      message: expect.stringMatching(/another key/),
    });
    await expect(open()).rejects.toMatchObject({ message: expect.stringMatching(/is sealed/) });
    vi.stubEnv("ARCHIVE_KEY", KEY);
    const text = readFileSync(manifest, "utf8");
    writeFileSync(manifest, text.replace('"rows": 404', '"rows": 403'));
    await expect(open({ keyEnv: "ARCHIVE_KEY" })).rejects.toMatchObject({ kind: "difference" });
    writeFileSync(manifest, text.replace('"version": 1', '"version": 2'));
    await expect(open({ keyEnv: "ARCHIVE_KEY" })).rejects.toMatchObject({ kind: "bad-input" });
    writeFileSync(manifest, text);
    expect(await scene.tables()).toEqual(GONE);
    await open({ keyEnv: "ARCHIVE_KEY" });
    expect(await scene.tables()).toEqual(ATTACHED);
  });

  test.each(["data", "manifest"] as const)(
    "whose %s has gone before the leaf was dropped would be counted on",
    async (which) => {
      const made = await archived();
      const { id } = made;
      await restoreLeaf({ url, archive: id });
      // As a run leaves it that was killed after the proof, and before the drop.
      await scene.session.query(
        `UPDATE partway.partition_archive SET dropped_at = NULL, restored_at = NULL, leaf = '"public"."Odd 2024_01"'::regclass::oid`,
      );
      renameSync(made[which], join(scene.dir, "elsewhere"));
      const again = await archive({ url, table: TABLE, leaf: LEAF, to: scene.dir, apply: true });
      // Under another name: what is there is not written over.
      expect(again.archive?.id).not.toBe(id);
      await restoreLeaf({ url, archive: again.archive?.id ?? "" });
      expect(await scene.tables()).toEqual(ATTACHED);
    },
  );
});

const CHANGES: [sql: string, back: string, why: RegExp][] = [
  [
    `ALTER TABLE public.${TABLE} ADD COLUMN more int`,
    `ALTER TABLE public.${TABLE} DROP COLUMN more`,
    /column more is new/,
  ],
  [
    `ALTER TABLE public.${TABLE} RENAME COLUMN span TO length`,
    `ALTER TABLE public.${TABLE} RENAME COLUMN length TO span`,
    /column span is not there any more/,
  ],
  [
    `ALTER TABLE public.${TABLE} ALTER COLUMN small TYPE float8`,
    `ALTER TABLE public.${TABLE} ALTER COLUMN small TYPE real`,
    /type of column small was real/,
  ],
  [
    `CREATE TABLE public.wide PARTITION OF public.${TABLE} FOR VALUES FROM ('2023-12-15') TO ('2024-01-02')`,
    "DROP TABLE public.wide",
    /overlaps that of the leaf wide/,
  ],
  [
    `CREATE TABLE public.rest PARTITION OF public.${TABLE} DEFAULT; INSERT INTO public.${TABLE} ("createdAt") VALUES ('2024-01-20')`,
    "DROP TABLE public.rest",
    /DEFAULT leaf rest has rows/,
  ],
  [
    `ALTER TABLE public.${TABLE} ADD CONSTRAINT low CHECK (amount < 100)`,
    `ALTER TABLE public.${TABLE} DROP CONSTRAINT low`,
    /refuses it/,
  ],
];

test("a table that has changed since would take the leaf as it is not, or its rows be out of reach", async () => {
  const before = await scene.sum();
  const { id } = await archived();
  for (const [sql, back, why] of CHANGES) {
    await scene.session.query(sql);
    const tables = await scene.tables();
    const refused = { kind: "refused", message: expect.stringMatching(why) };
    await expect(restoreLeaf({ url, archive: id }), sql).rejects.toMatchObject(refused);
    expect(await scene.tables()).toEqual(tables);
    expect(await restoreLeaf({ url, archive: id, detached: true })).toMatchObject({ rows: 404, table: null });
    expect(await scene.sum()).toEqual(before);
    const taken = { kind: "refused", message: expect.stringMatching(/already/) };
    await expect(restoreLeaf({ url, archive: id, detached: true })).rejects.toMatchObject(taken);
    await scene.session.query(`DROP TABLE public."Odd 2024_01"`);
    await scene.session.query(back);
  }
  await restoreLeaf({ url, archive: id });
  expect(await scene.sum()).toEqual(before);
});

test("two archives of one leaf would be mixed up", async () => {
  const first = await archived();
  await restoreLeaf({ url, archive: first.id });
  await scene.session.query(`DELETE FROM public.${TABLE} WHERE note IS NULL`);
  const second = await archive({ url, table: TABLE, leaf: LEAF, to: scene.dir, apply: true });
  expect(second).toMatchObject({ fate: "archived", archive: { rows: 403 } });
  await expect(restoreLeaf({ url, archive: LEAF })).rejects.toMatchObject({
    message: expect.stringMatching(/2 archives/),
  });
  expect(await restoreLeaf({ url, archive: first.id })).toMatchObject({ rows: 404 });
});

test("another database, which has never heard of the archive, could not have it", async () => {
  const before = await scene.sum();
  const { manifest } = await archived();
  const other = await openArchiveScene();
  try {
    await other.session.query(`DROP TABLE public."Odd 2024_01"`);
    await restoreLeaf({ url: other.db.ownerUrl, archive: manifest });
    expect(await other.sum()).toEqual(before);
    // Old enough to go there, too, and just brought back.
    const policy = { retention: "1w", expired: "drop", ahead: 0 } as const;
    await adopt({ url: other.db.ownerUrl, tables: [`public.${TABLE}`], policy });
    const kept = await maintain({ url: other.db.ownerUrl, apply: true, now: NOW });
    expect(kept).toMatchObject({ exitCode: 0, tables: [{ retired: [] }] });
    expect(await other.tables()).toEqual(ATTACHED);
    expect(await archives({ url: other.db.ownerUrl, table: TABLE })).toMatchObject([{ state: "restored" }]);
  } finally {
    await other.drop();
  }
});
