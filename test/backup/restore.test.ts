import { createHash } from "node:crypto";
import { mkdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, inject, test } from "vitest";
import { z } from "zod";
import { restoreBackup } from "../../src/backup/restore.js";
import { readTable } from "../../src/catalog/read.js";
import { ident, qualified } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, targetOf } from "../support/database.js";
import {
  backupBy,
  changeManifest,
  faultOf,
  makeRichTable,
  manifestOf,
  methods,
  planFor,
  plantByte,
  RICH,
  RICH_TABLE,
  RICH_TYPES,
  workshop,
} from "./support.js";

const shop = workshop();
const usable = await methods(inject("server").version);
const Count = z.object({ n: z.coerce.number() });

const schemas = async (session: Session) =>
  (await session.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'partway%' ORDER BY 1")).rows.map(
    (row) => row["nspname"],
  );

/** A backup of the rich table in `<dir>/b`. */
async function backedUp(method: (typeof usable)[number]) {
  const session = await shop.db().session();
  await makeRichTable(session);
  const dir = join(shop.dir(), "b");
  const plan = await planFor(session, RICH_TABLE);
  const manifest = await backupBy(method, plan, shop.db().ownerUrl, dir);
  return { session, dir, plan, manifest, data: join(dir, manifest.file) };
}

describe.each(usable)("a backup made by %s", (method) => {
  test("rows would come back changed: identity, generated and dropped columns, odd names, odd values", async () => {
    const { session, dir, manifest } = await backedUp(method);
    expect(manifest).toMatchObject({ method, rows: 5001, table: RICH });
    const seen: number[] = [];
    const report = await restoreBackup({
      dir,
      target: shop.target(),
      into: { schema: 'partway "kept"', keep: true },
      onProgress: ({ rows }) => seen.push(rows),
    });
    expect(report).toEqual({
      rows: 5001,
      hash: manifest.hash,
      equal: true,
      schema: 'partway "kept"',
      kept: true,
    });
    expect(seen.at(-1)).toBe(5001);
    // Compared once more by other means than the hash: the text of each whole row, both ways.
    const restored = qualified('partway "kept"', RICH.name);
    const { n } = await session.one(
      Count,
      `SELECT count(*)::text AS n FROM (
         (SELECT whole::text FROM ${RICH_TABLE} whole EXCEPT ALL SELECT whole::text FROM ${restored} whole) UNION ALL
         (SELECT whole::text FROM ${restored} whole EXCEPT ALL SELECT whole::text FROM ${RICH_TABLE} whole)) d`,
    );
    expect(n).toBe(0);
  });

  test("proving a backup would leave a schema behind or touch the table", async () => {
    const { session, dir, manifest } = await backedUp(method);
    const before = await readTable(session, RICH_TABLE);
    const report = await restoreBackup({ dir, target: shop.target() });
    expect(report).toEqual({
      rows: 5001,
      hash: manifest.hash,
      equal: true,
      schema: "partway_restore_orders_3f9a1c",
      kept: false,
    });
    expect(await schemas(session)).toEqual([]);
    expect((await readTable(session, RICH_TABLE)).filenode).toBe(before.filenode);
    expect(await session.one(Count, `SELECT count(*)::text AS n FROM ${RICH_TABLE}`)).toEqual({ n: 5001 });
  });

  test("a changed byte in the file would go unnoticed", async () => {
    const { session, dir, data } = await backedUp(method);
    await plantByte(data);
    const fault = await faultOf(restoreBackup({ dir, target: shop.target() }));
    expect(fault).toMatchObject({ exitCode: 2, message: expect.stringContaining("has changed since") });
    expect(await schemas(session)).toEqual([]);
  });

  test("a changed byte would go unnoticed where somebody made the manifest agree", async () => {
    const { session, dir, data } = await backedUp(method);
    await plantByte(data);
    const sha256 = createHash("sha256")
      .update(await readFile(data))
      .digest("hex");
    await changeManifest(dir, { sha256 });
    const fault = await faultOf(restoreBackup({ dir, target: shop.target() }));
    expect([2, 4]).toContain(fault.exitCode);
    expect(await schemas(session)).toEqual([]);
  });

  test("a file cut short would pass for whole", async () => {
    const { dir, data } = await backedUp(method);
    const { size } = await stat(data);
    await truncate(data, Math.floor(size / 2));
    const cut = await faultOf(restoreBackup({ dir, target: shop.target() }));
    expect(cut).toMatchObject({ exitCode: 2, message: expect.stringContaining("not whole") });
    const bytes = Math.floor(size / 2);
    const sha256 = createHash("sha256")
      .update(await readFile(data))
      .digest("hex");
    await changeManifest(dir, { bytes, sha256 });
    expect(await faultOf(restoreBackup({ dir, target: shop.target() }))).toMatchObject({ exitCode: 2 });
    await truncate(data, 0);
    expect(await faultOf(restoreBackup({ dir, target: shop.target() }))).toMatchObject({ exitCode: 2 });
    await rm(data);
    expect(await faultOf(restoreBackup({ dir, target: shop.target() }))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("ENOENT"),
    });
  });

  test("a backup of other rows than the manifest's would be called equal", async () => {
    const { session, dir, manifest } = await backedUp(method);
    await changeManifest(dir, { hash: `${manifest.hash}1` });
    const fault = await faultOf(
      restoreBackup({ dir, target: shop.target(), into: { schema: "partway_look", keep: true } }),
    );
    expect(fault).toMatchObject({
      kind: "difference",
      exitCode: 4,
      state: expect.stringContaining("partway_look"),
    });
    expect(await schemas(session)).toEqual(["partway_look"]);
    await changeManifest(dir, { hash: manifest.hash, rows: 5000 });
    expect(await faultOf(restoreBackup({ dir, target: shop.target() }))).toMatchObject({ exitCode: 4 });
  });

  test("a stopped restore would leave half a table or a running statement", async () => {
    const { session, dir } = await backedUp(method);
    const abort = new AbortController();
    const fault = await faultOf(
      restoreBackup({
        dir,
        target: shop.target(),
        into: { schema: "partway_half", keep: true },
        signal: abort.signal,
        onProgress: () => abort.abort(new Error("enough")),
      }),
    );
    expect(fault).toMatchObject({ kind: "stopped", exitCode: 5 });
    expect(await schemas(session)).toEqual([]);
  });

  test("a backup would only fit the database it came from", async () => {
    const { dir, manifest } = await backedUp(method);
    const other = await freshDatabase();
    try {
      const missing = await faultOf(restoreBackup({ dir, target: targetOf(other.ownerUrl) }));
      expect(missing).toMatchObject({ exitCode: 2, message: expect.stringContaining("lacks something") });
      const session = await other.session();
      // Other OIDs than in the first database: hashes and data must not depend on them.
      await session.query("CREATE TYPE public.before AS ENUM ('x')");
      for (const statement of RICH_TYPES) await session.query(statement);
      const report = await restoreBackup({ dir, target: targetOf(other.ownerUrl) });
      expect(report).toMatchObject({ equal: true, hash: manifest.hash });
    } finally {
      await other.drop();
    }
  });
});

test("a row altered inside the file would be restored as if it were the original", async () => {
  const { dir, data } = await backedUp("copy");
  const rows = gunzipSync(await readFile(data)).toString("utf8");
  const altered = gzipSync(rows.replace("Grüße", "Grusse"));
  await writeFile(data, altered);
  await changeManifest(dir, {
    bytes: altered.length,
    sha256: createHash("sha256").update(altered).digest("hex"),
  });
  const fault = await faultOf(restoreBackup({ dir, target: shop.target() }));
  expect(fault).toMatchObject({
    kind: "difference",
    exitCode: 4,
    message: expect.stringContaining("content hash"),
  });
});

test("a row that the server refuses would end in a stack trace", async () => {
  const { session, dir, data } = await backedUp("copy");
  const altered = gzipSync(Buffer.concat([gunzipSync(await readFile(data)), Buffer.from("not a row\n")]));
  await writeFile(data, altered);
  await changeManifest(dir, {
    bytes: altered.length,
    sha256: createHash("sha256").update(altered).digest("hex"),
  });
  const fault = await faultOf(restoreBackup({ dir, target: shop.target() }));
  expect(fault).toMatchObject({ exitCode: 4, message: expect.stringContaining("refused a row") });
  expect(await schemas(session)).toEqual([]);
});

test("a wrong directory would not be explained", async () => {
  const { dir } = await backedUp("copy");
  const restore = (from: string) => faultOf(restoreBackup({ dir: from, target: shop.target() }));
  expect(await restore(join(dir, "nowhere"))).toMatchObject({
    exitCode: 2,
    message: expect.stringContaining("no directory"),
  });
  await mkdir(join(dir, "empty"));
  expect(await restore(join(dir, "empty"))).toMatchObject({
    exitCode: 2,
    message: expect.stringContaining("no manifest.json"),
  });
  await writeFile(join(dir, "empty", "manifest.json"), '{"manifest_version": 3}');
  expect(await restore(join(dir, "empty"))).toMatchObject({
    exitCode: 2,
    message: expect.stringContaining("not the manifest of a Partway backup"),
  });
  await writeFile(join(dir, "empty", "manifest.json"), "half a man");
  expect(await restore(join(dir, "empty"))).toMatchObject({ exitCode: 2 });
});

test("a manifest could make the restore read a file from somewhere else", async () => {
  const { dir } = await backedUp("copy");
  await changeManifest(dir, { file: "../data.copy.gz" });
  expect(await faultOf(restoreBackup({ dir, target: shop.target() }))).toMatchObject({ exitCode: 2 });
});

test("a schema of the operator's would be overwritten or dropped", async () => {
  const { session, dir } = await backedUp("copy");
  await session.query("CREATE SCHEMA partway_restore_orders_3f9a1c");
  const fault = await faultOf(restoreBackup({ dir, target: shop.target() }));
  expect(fault).toMatchObject({ exitCode: 2, next: expect.stringContaining("DROP SCHEMA") });
  expect(await schemas(session)).toEqual(["partway_restore_orders_3f9a1c"]);
});

test("a role without the right to make a schema would not learn what to grant", async () => {
  const { session, dir } = await backedUp("copy");
  const { db } = shop;
  await session.query(`REVOKE CREATE ON DATABASE ${ident(db().name)} FROM ${ident(db().role)}`);
  const fault = await faultOf(restoreBackup({ dir, target: shop.target() }));
  expect(fault).toMatchObject({ exitCode: 2, next: expect.stringContaining("GRANT CREATE ON DATABASE") });
});

test("the statements in the manifest would not bring the table back", async () => {
  const { session, dir } = await backedUp("copy");
  const before = await readTable(session, RICH_TABLE);
  await session.query(`DROP TABLE ${RICH_TABLE}`);
  for (const statement of (await manifestOf(dir)).ddl) await session.query(statement);
  const after = await readTable(session, RICH_TABLE);
  // A dropped column leaves a gap in the numbers; the names of NOT NULL constraints are not kept.
  const plain = (columns: typeof before.columns) =>
    columns.map(({ attnum: _number, notNullName: _name, ...column }) => column);
  expect(plain(after.columns)).toEqual(plain(before.columns));
  expect(after.checks).toEqual(before.checks);
  expect(after.sequences.map((s) => [s.name, s.column, s.kind, s.definition])).toEqual(
    before.sequences.map((s) => [s.name, s.column, s.kind, s.definition]),
  );
});
