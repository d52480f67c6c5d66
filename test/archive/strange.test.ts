/**
 * What an operator would lose: a leaf whose archive cannot be read, which is forgotten half way, or dropped without; tables to
 * whoever may write a manifest; an archive to another one of its name.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { openPlace } from "../../src/archive/place.js";
import { beginArchive } from "../../src/archive/store.js";
import { archive, restoreLeaf } from "../../src/archive.js";
import { adopt, maintain } from "../../src/care.js";
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

let s3: S3Server;
beforeAll(async () => {
  s3 = await startS3();
});
afterAll(() => s3.stop());

let scene: ArchiveScene;
let url: string;
beforeEach(async () => {
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
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
async function archived(): Promise<{ id: string; manifest: string }> {
  const { archive: made } = await archive({ url, table: TABLE, leaf: LEAF, to: scene.dir, apply: true });
  const [, manifest = ""] = scene.files();
  return { id: made?.id ?? "", manifest };
}

test("a leaf of an odd name would be in an archive that cannot be read", async () => {
  const names = ["_x", "Ärger", "-1"];
  for (const [at, name] of names.entries()) {
    await scene.session.query(
      `CREATE TABLE public."${name}" PARTITION OF public.${TABLE} FOR VALUES FROM ('202${at}-01-01') TO ('202${at}-02-01')`,
    );
    await scene.session.query(`INSERT INTO public.${TABLE} ("createdAt") VALUES ('202${at}-01-05')`);
    const before = await scene.sum(name);
    const { archive: made } = await archive({ url, table: TABLE, leaf: name, to: scene.dir, apply: true });
    expect(made?.id).toMatch(/^leaf_/);
    await restoreLeaf({ url, archive: name });
    expect(await scene.sum(name)).toEqual(before);
  }
});

const Manifest = z.looseObject({ id: z.string(), columns: z.array(z.record(z.string(), z.unknown())) });

/** The manifest as a stranger's, which the database does not know: `change` is what he has made of it. */
function strangers(
  manifest: string,
  change: (column: Record<string, unknown>) => Record<string, unknown>,
): string {
  const all = Manifest.parse(JSON.parse(readFileSync(manifest, "utf8")));
  const hostile = manifest.replace(".manifest.json", "x.manifest.json");
  writeFileSync(hostile, JSON.stringify({ ...all, id: `${all.id}x`, columns: all.columns.map(change) }));
  return hostile;
}

describe("a manifest's text would be run:", () => {
  const DROP = "DROP TABLE public.precious; COMMIT";
  const hostile =
    (key: string, text: string, name = "note") =>
    (column: Record<string, unknown>) =>
      column["name"] === name ? { ...column, equalIsIdentical: false, [key]: text } : column;
  const SEND = hostile(
    "sendFunction",
    `1), 0)), 0)::text AS hash FROM ONLY public."${LEAF}" AS s; ${DROP}; SELECT 1 --`,
  );

  test("the function that hashes a column", async () => {
    await scene.session.query("CREATE TABLE public.precious ()");
    const before = await scene.sum();
    const { manifest } = await archived();
    for (const detached of [true, false]) {
      await restoreLeaf({ url, archive: strangers(manifest, SEND), detached });
      expect(await scene.sum()).toEqual(before);
      expect(await scene.tables()).toContain("precious");
      await scene.session.query(`DROP TABLE public."Odd 2024_01"`);
    }
    // Of an archive that the database knows nothing else is taken.
    const text = readFileSync(manifest, "utf8");
    writeFileSync(manifest, text.replace('"pg_catalog.textsend"', '"pg_catalog.textout"'));
    await expect(restoreLeaf({ url, archive: manifest })).rejects.toMatchObject({ kind: "difference" });
  });

  test("types, collations and expressions", async () => {
    await scene.session.query("CREATE TABLE public.precious ()");
    const { manifest } = await archived();
    const before = await scene.tables();
    const changes = [
      [hostile("type", `int; ${DROP}`), /type of its column note/],
      [hostile("type", `text); ${DROP}; CREATE TABLE public.x (a int`), /type of its column note/],
      [hostile("type", "text DEFAULT public.evil()"), /type of its column note/],
      [hostile("collation", `pg_catalog."C"); ${DROP}; --`), /collation of its column note/],
      [hostile("default", `1); ${DROP}; --`, "doubled"), /no column doubled of its expression/],
    ] as const;
    for (const [change, why] of changes) {
      const refused = { kind: "refused", message: expect.stringMatching(why) };
      const typed = { url, archive: strangers(manifest, change), detached: true };
      await expect(restoreLeaf(typed)).rejects.toMatchObject(refused);
      expect(await scene.tables()).toEqual(before);
    }
    await restoreLeaf({ url, archive: strangers(manifest, (column) => column), detached: true });
  });
});

test("a leaf whose archive was begun would be dropped without, or be out of sight, under a policy that drops", async () => {
  const lost = join(scene.dir, "lost");
  await scene.adopt({ to: lost });
  const [table = "", oid = ""] = await scene.texts(
    `SELECT unnest(ARRAY['public.${TABLE}', 'public."${LEAF}"']::regclass[])::oid::text AS text`,
  );
  const bound = "FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')";
  const row = { id: "begun", table, leaf: oid, schema: "public", name: LEAF, bound };
  await beginArchive(scene.session, row, { to: lost });
  writeFileSync(lost, "");
  const policy = { retention: "1w", expired: "drop", ahead: 0 } as const;
  await adopt({ url, tables: [`public.${TABLE}`], policy });
  const { tables, exitCode } = await apply();
  const next = tables.map((one) => ("error" in one ? one.error.next : "")).join();
  const sql = /DELETE FROM partway\.partition_archive [^;]*;/.exec(next)?.[0] ?? "";
  expect([exitCode, sql]).toEqual([3, expect.stringContaining(oid)]);
  expect(await scene.tables()).toEqual(ATTACHED);
  await scene.session.query(sql);
  expect(await apply()).toMatchObject({ exitCode: 0, tables: [{ retired: [{ fate: "dropped" }] }] });
  rmSync(lost);
});

/** Archived by hand, detached, and not dropped, because somebody wrote into it. */
async function halfway(): Promise<void> {
  afterEachProof(() =>
    scene.session.query(`INSERT INTO public."Odd 2024_01" (id, "createdAt") OVERRIDING SYSTEM VALUE
    SELECT 1000 + count(*), '2024-01-20' FROM public."Odd 2024_01"`),
  );
  const archiving = archive({ url, table: TABLE, leaf: LEAF, to: scene.dir, apply: true });
  await expect(archiving).rejects.toMatchObject({ kind: "difference" });
  vi.restoreAllMocks();
}

test("a leaf moved to another schema on its way out would be dropped unproven", async () => {
  await scene.adopt({ to: scene.dir });
  await halfway();
  await scene.session.query("CREATE SCHEMA attic");
  await scene.session.query(`ALTER TABLE public."Odd 2024_01" SET SCHEMA attic`);
  const policy = { retention: "1w", expired: "drop", ahead: 0 } as const;
  await adopt({ url, tables: [`public.${TABLE}`], policy });
  expect(await apply()).toMatchObject({ exitCode: 0, tables: [{ finished: [{ fate: "archived" }] }] });
  expect(await restoreLeaf({ url, archive: LEAF })).toMatchObject({
    rows: 406,
    leaf: '"attic"."Odd 2024_01"',
  });
});

test("a leaf archived by hand before it expires would be forgotten half way", async () => {
  await scene.adopt({ to: scene.dir });
  await halfway();
  const policy = { retention: "10y", expired: "archive", archive: { to: scene.dir }, ahead: 0 } as const;
  await adopt({ url, tables: [`public.${TABLE}`], policy });
  const next = `partway archive '"public"."Odd Orders"' --leaf 'Odd 2024_01' --apply`;
  for (let run = 0; run < 2; run++)
    expect(await apply()).toMatchObject({
      exitCode: 3,
      tables: [{ error: { next: expect.stringContaining(next) } }],
    });
  await archive({ url, table: TABLE, leaf: LEAF, apply: true });
  expect(await scene.tables()).toEqual(GONE);
  expect(await apply()).toMatchObject({ exitCode: 0, tables: [{ finished: [] }] });
});

test("a leaf brought back as a table of its own would be open to whoever may read new tables", async () => {
  const { id } = await archived();
  await scene.session.query(
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC, pg_read_all_settings",
  );
  await restoreLeaf({ url, archive: id, detached: true });
  const grantees = `SELECT a.grantee::regrole::text AS text FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'public."Odd 2024_01"'::regclass AND a.grantee <> c.relowner`;
  expect(await scene.texts(grantees)).toEqual([]);
});

test.each(["a folder", "a bucket"])("what stands in %s would be written over", async (where) => {
  const to =
    where === "a folder" ? { to: scene.dir } : { to: `s3://archive/${scene.db.name}`, endpoint: s3.endpoint };
  const place = await openPlace(to, "test");
  const write = (text: string) => place.write("a/b", chunk(text), text.length, new AbortController().signal);
  await write("first");
  await expect(write("second")).rejects.toMatchObject({ name: "PlaceFault" });
  const read: Buffer[] = [];
  for await (const part of await place.read("a/b")) read.push(part);
  expect(Buffer.concat(read).toString()).toBe("first");
  if (where === "a folder") {
    expect(scene.files()).toEqual([join(scene.dir, "a/b")]);
    // Another run's, which may still be at it.
    writeFileSync(join(scene.dir, "c.partial"), "half");
    await expect(place.write("c", chunk("x"), 1, new AbortController().signal)).rejects.toMatchObject({
      name: "PlaceFault",
    });
    expect(scene.files()).toContain(join(scene.dir, "c.partial"));
    await place.forget("c");
    expect(scene.files()).toEqual([join(scene.dir, "a/b")]);
  }
  place.close();
});

async function* chunk(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
