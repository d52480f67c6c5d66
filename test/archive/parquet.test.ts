/**
 * What an operator would lose: a leaf that is written as Parquet and does not come back as it was, or a damaged file that
 * is taken for it.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { archive, archives, restoreLeaf } from "../../src/archive.js";
import { PARTIAL } from "../../src/backup/files.js";
import { maintain } from "../../src/care.js";
import { ident } from "../../src/pg/quote.js";
import { asAdmin } from "../support/database.js";
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
  vi.stubEnv("ARCHIVE_KEY", randomBytes(32).toString("hex"));
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  scene = await openArchiveScene();
  url = scene.db.ownerUrl;
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await scene.drop();
});

describe("an expired leaf archived as Parquet to", () => {
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
      format: "parquet",
    });
    expect(await maintain({ url, apply: true, now: NOW })).toMatchObject({
      exitCode: 0,
      tables: [{ retired: [{ name: LEAF, fate: "archived" }] }],
    });
    expect(await scene.tables()).toEqual(GONE);
    const [made] = await archives({ url, table: TABLE });
    expect(made).toMatchObject({ state: "archived", rows: 404, isSealed });
    expect(await restoreLeaf({ url, archive: LEAF })).toMatchObject({ rows: 404, hash: made?.hash });
    expect(await scene.sum()).toEqual(before);
    expect(await scene.tables()).toEqual(ATTACHED);
  });
});

/** Every type that has a way of its own, and values at its ends; `c` alone is NULL in one row, and has a name to quote. */
const TYPES: [type: string, values: string[], as: string][] = [
  ["boolean", ["true", "false"], "boolean"],
  ["smallint", ["-32768", "32767"], "int16"],
  ["integer", ["-2147483648", "2147483647"], "int32"],
  ["bigint", ["-9223372036854775808", "9007199254740993"], "int64"],
  ["real", ["'-0'", "'NaN'", "'-Infinity'", "1e-45", "3.4028235e38", "0.1", "0"], "float"],
  ["double precision", ["'-0'", "0", "'NaN'", "'Infinity'", "5e-324", "0.1", "1e22"], "double"],
  ["numeric(12,4)", ["-99999999.9999", "0.0001", "0", "-0.5", "12340000"], "decimal"],
  ["numeric(38,10)", ["-9999999999999999999999999999.9999999999", "0.0000000001", "-1", "0"], "decimal"],
  ["numeric(5,0)", ["-99999", "10000"], "decimal"],
  ["numeric(12,4)", ["1.5", "'NaN'"], "text"],
  ["numeric(5,-2)", ["12300"], "text"],
  ["numeric(3,5)", ["0.00123"], "text"],
  ["numeric(38,38)", ["-0.99999999999999999999999999999999999999", "1e-38"], "decimal"],
  ["public.price", ["1.10"], "text"],
  ["money", ["'-92233720368547758.08'", "'1.10'"], "text"],
  ["name", ["'x'"], "text"],
  ["oid", ["4294967295"], "text"],
  ["timestamptz", ["'294246-12-31 23:59:59.999999+00'"], "timestamptz"],
  ["numeric", ["'NaN'", "'Infinity'", "1234567890123456789012345678901234567890.10", "1.00"], "text"],
  ["date", ["'4713-01-01 BC'", "'0001-01-01'", "'5874897-12-31'", "'1969-12-31'"], "date"],
  ["date", ["'infinity'", "'2024-02-29'"], "text"],
  ["time", ["'00:00'", "'23:59:59.999999'"], "time"],
  ["time", ["'24:00'"], "text"],
  ["timetz", ["'12:00:00.5+05:30'"], "text"],
  [
    "timestamp",
    ["'4713-01-01 00:00:00.000001 BC'", "'1969-12-31 23:59:59.999999'", "'12024-02-29'"],
    "timestamp",
  ],
  ["timestamptz", ["'0001-12-31 23:59:59.999999+00 BC'", "'2024-02-29 12:00:00.000001+02'"], "timestamptz"],
  ["timestamptz", ["'-infinity'"], "text"],
  ["timestamp", ["'294276-12-31 23:59:59.999999'"], "text"],
  ["interval", ["'1 mon -1 day 00:00:00.000001'", "'-178000000 years'"], "text"],
  ["uuid", ["'00000000-0000-0000-0000-00000000000f'", "'ffeeddcc-bbaa-9988-7766-554433221100'"], "uuid"],
  ["bytea", ["''", "'\\x005c0a0d09'"], "bytes"],
  ["json", [`'{ "b" : 1,  "b" : 2 }'`, "'null'"], "text"],
  ["jsonb", [`'{"a": 1.00, "b": "\\u00fc\\n"}'`, "'null'"], "text"],
  ["character(5)", ["'a'", "''"], "text"],
  ['"char"', ["'x'", "''"], "text"],
  ["inet", ["'1.2.3.4'", "'::1/64'"], "text"],
  ["text[]", [`'{}'`, `'{NULL,"NULL",""}'`, `'[0:1]={a,b}'`], "text"],
  ["tsrange", ["'empty'", "'[2024-01-01,)'"], "text"],
  ["public.spot", ["'(,)'", `'(-0,"a""b")'`], "text"],
  ["public.mood", [`'so, so "so"'`], "text"],
  ["public.whole", ["7", "-7"], "int32"],
  ["xml", ["'<a>&amp;</a>'", "'text'"], "text"],
  ["bit(3)", ["B'101'"], "text"],
  ["text", ["''", `E'\\\\N\\t\\\\.\\n\\r'`, `'NULL'`, `U&'\\FFFD\\+01F418\\0301\\FEFF'`], "text"],
];

const Stored = z.object({
  data: z.object({ stored: z.array(z.object({ name: z.string(), as: z.string() })) }),
});

async function stored(id: string) {
  const [text = ""] = await scene.texts(
    `SELECT manifest::text AS text FROM partway.partition_archive WHERE id = '${id}'`,
  );
  return Stored.parse(JSON.parse(text)).data.stored;
}

/** A leaf of `columns`, filled by `fill`, away and back; gives the archive's id. */
async function throughParquet(columns: string, fill: string): Promise<string> {
  await scene.session.query(`CREATE TABLE public.t (k int NOT NULL, ${columns}) PARTITION BY RANGE (k)`);
  await scene.session.query("CREATE TABLE public.t_1 PARTITION OF public.t FOR VALUES FROM (0) TO (1000000)");
  await scene.session.query(fill);
  const before = await scene.sum("t_1");
  const { archive: made, fate } = await archive({
    ...{ url, table: "t", leaf: "t_1", to: scene.dir, format: "parquet", apply: true },
  });
  expect(fate).toBe("archived");
  await restoreLeaf({ url, archive: "t_1" });
  expect(await scene.sum("t_1")).toEqual(before);
  return made?.id ?? "";
}

test("a value of some type would come back as another, or be no number to those who read the file", async () => {
  await scene.session.query("CREATE DOMAIN public.whole AS int");
  await scene.session.query("CREATE DOMAIN public.price AS numeric(5,2)");
  const quoted = TYPES.map((_, at) => (at % 2 === 0 ? `"A.${at} ""x"""` : `c${at}`));
  const columns = TYPES.map(([type], at) => `${quoted[at]} ${type}`).join(", ");
  const rows = Math.max(...TYPES.map(([, values]) => values.length)) + 1;
  const row = (n: number) => [n, ...TYPES.map(([, values]) => values[n] ?? "NULL")].join(", ");
  const id = await throughParquet(
    columns,
    `INSERT INTO public.t VALUES ${Array.from({ length: rows }, (_, n) => `(${row(n)})`).join(", ")}`,
  );
  const as = await stored(id);
  expect(as.slice(1).map((column) => column.as)).toEqual(TYPES.map(([, , one]) => one));
});

test("an archive by hand would be of the other format, or of one that was begun in it", async () => {
  const before = await scene.sum();
  await scene.adopt({ to: scene.dir });
  let isFirst = true;
  afterEachProof(async () => {
    if (isFirst) throw new Error("gone");
  });
  const byHand = { url, table: TABLE, leaf: LEAF, apply: true };
  await expect(archive(byHand)).rejects.toThrow("gone");
  isFirst = false;
  // What a kill would have left of it.
  const [begun = ""] = scene.files().filter((name) => name.endsWith(".csv.gz"));
  writeFileSync(begun + PARTIAL, "");
  await archive({ ...byHand, format: "parquet" });
  expect(
    scene
      .files()
      .map((name) => name.replace(/.*?\./, ""))
      .filter((end) => end.includes("parquet")),
  ).toHaveLength(1);
  expect(scene.files().filter((name) => name.endsWith(PARTIAL))).toEqual([]);
  await restoreLeaf({ url, archive: (await archives({ url, table: TABLE })).at(-1)?.id ?? "" });
  expect(await scene.sum()).toEqual(before);
});

test("a text that is none of UTF-8 would be refused without the way that is left", async () => {
  const name = `${scene.db.name}_win`;
  const made = `CREATE DATABASE ${ident(name)} OWNER ${ident(scene.db.role)} TEMPLATE template0 ENCODING 'WIN1252' LOCALE 'C'`;
  await asAdmin(scene.db.superuserUrl, (admin) => admin.query(made));
  const other = url.replace(`/${scene.db.name}`, `/${name}`);
  try {
    await asAdmin(other, async (owner) => {
      await owner.query("CREATE TABLE public.t (k int NOT NULL, note text) PARTITION BY RANGE (k)");
      await owner.query("CREATE TABLE public.t_1 PARTITION OF public.t FOR VALUES FROM (0) TO (9)");
      await owner.query("INSERT INTO public.t VALUES (1, chr(129)), (2, chr(233))");
    });
    const byHand = { url: other, table: "t", leaf: "t_1", to: scene.dir, apply: true } as const;
    await expect(archive({ ...byHand, format: "parquet" })).rejects.toMatchObject({
      ...{ kind: "refused", message: expect.stringContaining("cannot be written as UTF-8") },
      next: expect.stringContaining("--format csv"),
    });
    expect(scene.files()).toEqual([]);
    expect(await archive({ ...byHand, format: "csv" })).toMatchObject({ fate: "archived" });
    // What can be written comes back as the database's own bytes.
    await restoreLeaf({ url: other, archive: "t_1" });
    await asAdmin(other, (owner) => owner.query("DELETE FROM public.t WHERE k = 1"));
    await archive({ ...byHand, format: "parquet" });
    const listed = await archives({ url: other, table: "t" });
    expect(await restoreLeaf({ url: other, archive: listed.at(-1)?.id ?? "" })).toMatchObject({ rows: 1 });
  } finally {
    await asAdmin(scene.db.superuserUrl, (admin) => admin.query(`DROP DATABASE ${ident(name)}`));
  }
});

/** Whole, and of one value less or another; what no sum of its pages says. */
const DAMAGES: Record<string, (bytes: Buffer) => Buffer> = {
  "cut off": (bytes) => bytes.subarray(0, bytes.length - 20),
  "with its first page changed": (bytes) => flipped(bytes, 60),
  "with a byte in its middle changed": (bytes) => flipped(bytes, Math.floor(bytes.length / 2)),
  "with its end changed": (bytes) => flipped(bytes, bytes.length - 200),
  empty: () => Buffer.alloc(0),
};

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = (changed[at] ?? 0) ^ 0x40;
  return changed;
}

test.each([undefined, "ARCHIVE_KEY"])(
  "a damaged file would be taken for the leaf (key: %s)",
  async (keyEnv) => {
    const sealed = keyEnv === undefined ? {} : { keyEnv };
    const made = await archive({
      ...{ url, table: TABLE, leaf: LEAF, to: scene.dir, format: "parquet", apply: true, ...sealed },
    });
    const data = scene.files().find((name) => name.includes(".parquet")) ?? "";
    const bytes = readFileSync(data);
    for (const [how, damage] of Object.entries(DAMAGES)) {
      writeFileSync(data, damage(bytes));
      await expect(restoreLeaf({ url, archive: LEAF }), how).rejects.toMatchObject({
        kind: expect.stringMatching(/^(bad-input|difference)$/),
        message: expect.stringMatching(/damaged|not the file|cannot be opened/),
      });
      expect(await scene.tables()).toEqual(GONE);
    }
    writeFileSync(data, bytes);
    await restoreLeaf({ url, archive: made.archive?.id ?? "" });
    expect(await scene.tables()).toEqual(ATTACHED);
  },
);
