/**
 * What an operator would lose: values at the seams of chunks, pages and row groups, the memory of the machine, and, of a
 * file that somebody has touched, the certainty that this is noticed.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parquetMetadata } from "hyparquet";
import { expect, test, vi } from "vitest";
import type { StoredColumn } from "../../src/archive/parquet/columns.js";
import { NotReadable, rowsOfParquet } from "../../src/archive/parquet/read.js";
import { BOUNDS, type Bounds, writtenAsParquet } from "../../src/archive/parquet/write.js";

/** What is packed instead of the page that it is given. */
const harm = vi.hoisted(() => ({ in: (page: Uint8Array) => page }));
vi.mock("node:zlib", async (original) => {
  const zlib = await original<typeof import("node:zlib")>();
  return { ...zlib, gzipSync: (page: Uint8Array) => zlib.gzipSync(harm.in(page)) };
});

const COLUMNS: StoredColumn[] = [
  { name: "n", as: "int64" },
  { name: "d", as: "double" },
  { name: "amount", as: "decimal", precision: 30, scale: 3 },
  { name: "at", as: "timestamptz" },
  { name: "is", as: "boolean" },
  { name: "note", as: "text" },
];

/** One value: as COPY's binary format has it, and as its text format does. */
type Cell = { sent: Buffer; text: string } | null;

/** Numbers that are the same in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

/** numeric_send of a value in thousandths. */
function numeric(thousandths: bigint): Buffer {
  const isNegative = thousandths < 0n;
  // A group of four digits begins at the point: three of its digits are there.
  let rest = (isNegative ? -thousandths : thousandths) * 10n;
  const groups: number[] = [];
  for (; rest > 0n; rest /= 10_000n) groups.unshift(Number(rest % 10_000n));
  const weight = groups.length - 2;
  while (groups.at(-1) === 0) groups.pop();
  const bytes = Buffer.alloc(8 + 2 * groups.length);
  bytes.writeInt16BE(groups.length, 0);
  bytes.writeInt16BE(weight, 2);
  bytes.writeUInt16BE(isNegative ? 0x4000 : 0, 4);
  bytes.writeInt16BE(3, 6);
  for (const [at, group] of groups.entries()) bytes.writeUInt16BE(group, 8 + 2 * at);
  return bytes;
}

const TEXTS = [
  "",
  "a",
  "\\N",
  "\\.",
  "tab\there",
  "line\nline\r",
  "ü🐘\u0301",
  "NULL",
  "\0".slice(1),
  "x".repeat(900),
];
const DOUBLES = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, 5e-324, 0.1, -1e300];

function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll("\t", "\\t")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r");
}

function cells(below: (end: number) => number): Cell[] {
  const n = (BigInt(below(2 ** 31)) << 32n) - (1n << 61n);
  const d = DOUBLES[below(DOUBLES.length)] ?? 0;
  const thousandths = (BigInt(below(2 ** 31)) - (1n << 30n)) * 10n ** BigInt(below(18));
  const digits = (thousandths < 0n ? -thousandths : thousandths).toString().padStart(4, "0");
  const day = below(3_000_000) - 1_000_000;
  const micros = BigInt(below(86_400)) * 1_000_000n + BigInt(below(1_000_000));
  const is = below(2) === 0;
  const note = TEXTS[below(TEXTS.length)] ?? "";
  const all: Cell[] = [
    { sent: int64(n), text: String(n) },
    { sent: double(d), text: Object.is(d, -0) ? "-0" : String(d) },
    {
      sent: numeric(thousandths),
      text: `${thousandths < 0n ? "-" : ""}${digits.slice(0, -3)}.${digits.slice(-3)}`,
    },
    { sent: int64(BigInt(day) * 86_400_000_000n + micros), text: stamp(day, micros) },
    { sent: Buffer.from([is ? 1 : 0]), text: is ? "t" : "f" },
    { sent: Buffer.from(note), text: escaped(note) },
  ];
  return all.map((cell) => (below(4) === 0 ? null : cell));
}

/** Days after 2000 and microseconds after midnight, by JavaScript's own calendar. */
function stamp(day: number, micros: bigint): string {
  const date = new Date(Date.UTC(2000, 0, 1) + day * 86_400_000);
  const year = date.getUTCFullYear();
  const rest =
    new Date(Number(micros / 1000n)).toISOString().slice(11, 23) + String(micros % 1000n).padStart(3, "0");
  const shown = String(year > 0 ? year : 1 - year).padStart(4, "0");
  const [month, on] = [date.getUTCMonth() + 1, date.getUTCDate()].map((part) =>
    String(part).padStart(2, "0"),
  );
  return `${shown}-${month}-${on} ${rest}+00${year > 0 ? "" : " BC"}`;
}

function texts(...values: string[]): Cell[] {
  return values.map((text) => ({ sent: Buffer.from(text), text }));
}

function binary(rows: readonly Cell[][]): Buffer {
  const short = (value: number) => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
  const long = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const head = Buffer.concat([Buffer.from("PGCOPY\n\u00ff\r\n\0", "latin1"), long(0), long(0)]);
  const body = rows.flatMap((row) => [
    short(row.length),
    ...row.flatMap((cell) => (cell === null ? [long(-1)] : [long(cell.sent.length), cell.sent])),
  ]);
  return Buffer.concat([head, ...body, short(-1)]);
}

async function* cut(bytes: Buffer, below: (end: number) => number, most: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + below(most);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function whole(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

async function write(rows: readonly Cell[][], bounds: Bounds, below = numbers(1), most = 4000) {
  const tooLong = () => new Error("too long");
  const writing = { columns: COLUMNS, isUtf8: true, about: "{}", bounds, tooLong };
  const written = writtenAsParquet(cut(binary(rows), below, most), writing);
  const chunks: Buffer[] = [];
  for await (const chunk of written.chunks) chunks.push(chunk);
  const file = Buffer.concat(chunks);
  return { file, chunks, footer: file.subarray(-written.footer().bytes) };
}

async function read(file: Buffer, footer: Buffer, below = numbers(2), most = 4000): Promise<string> {
  const reading = { columns: COLUMNS, isUtf8: true, footer };
  const chunks: Buffer[] = [];
  for await (const chunk of rowsOfParquet(cut(file, below, most), reading)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function textOf(rows: readonly Cell[][]): string {
  return rows.map((row) => `${row.map((cell) => cell?.text ?? "\\N").join("\t")}\n`).join("");
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])("rows would come back as others (seed %i)", async (seed) => {
  const below = numbers(seed);
  const rows = Array.from({ length: below(600) }, () => cells(below));
  const bounds = { rows: 1 + below(200), bytes: 1000 + below(100_000), rowBytes: 100_000 };
  const { file, footer } = await write(rows, bounds, below, 1 + below(2000));
  expect(await read(file, footer, below, 1 + below(2000))).toBe(textOf(rows));
});

test("a leaf would be held in memory whole", async () => {
  const below = numbers(9);
  const rows = Array.from({ length: 3000 }, () => cells(below));
  const bounds = { rows: 100, bytes: 40_000, rowBytes: 100_000 };
  const { file, footer, chunks } = await write(rows, bounds);
  const groups = parquetMetadata(footer).row_groups;
  expect(groups.length).toBeGreaterThanOrEqual(30);
  expect(Math.max(...groups.map(({ num_rows }) => Number(num_rows)))).toBeLessThanOrEqual(100);
  expect(Math.max(...groups.map(({ total_byte_size }) => Number(total_byte_size)))).toBeLessThan(60_000);
  // Each is handed on when it is full; the last with the file's end.
  expect(chunks.length).toBeGreaterThanOrEqual(groups.length);
  expect(await read(file, footer)).toBe(textOf(rows));
  // A row that is more than fits ends it before it is waited for.
  await expect(write(rows, { ...bounds, rowBytes: 500 })).rejects.toThrow("too long");
  expect(BOUNDS.rowBytes + BOUNDS.bytes).toBeLessThan(512 * 1024 * 1024);
});

test("an empty leaf would not come back", async () => {
  const { file, footer } = await write([], BOUNDS);
  expect(await read(file, footer)).toBe("");
});

const TWO: StoredColumn[] = [
  { name: "a", as: "text" },
  { name: "b", as: "text" },
];

test("a row would be too long because of the one before it", async () => {
  const rows = [texts("x".repeat(800), "y"), texts("x".repeat(800), "y")];
  const bounds = { rows: 10, bytes: 100_000, rowBytes: 1000 };
  const tooLong = () => new Error("too long");
  const writing = { columns: TWO, isUtf8: true, about: "{}", bounds, tooLong };
  expect(await whole(writtenAsParquet(cut(binary(rows), numbers(1), 90), writing).chunks)).not.toHaveLength(
    0,
  );
  const longer = cut(binary([texts("x".repeat(800), "y".repeat(201))]), numbers(1), 90);
  await expect(whole(writtenAsParquet(longer, writing).chunks)).rejects.toThrow("too long");
});

test("what the server has sent would stay in memory until the file's end", async () => {
  setFlagsFromString("--expose_gc");
  const collect: () => void = runInNewContext("gc");
  const sent: WeakRef<ArrayBufferLike>[] = [];
  let held = 0;
  async function* source(): AsyncGenerator<Buffer> {
    const all = binary(Array.from({ length: 40 }, (_, n) => texts(`${n}`, `${n} `.repeat(10_000))));
    for (let at = 0; at < all.length; at += 10_000) {
      // Not of a pool: as sockets give it.
      const chunk = Buffer.from(new Uint8Array(all.subarray(at, at + 10_000)).buffer);
      sent.push(new WeakRef(chunk.buffer));
      yield chunk;
      await new Promise((resolve) => setImmediate(resolve));
    }
    collect();
    held = sent.filter((one) => one.deref() !== undefined).length;
  }
  const bounds = { rows: 1, bytes: 100_000, rowBytes: 100_000 };
  const writing = { columns: TWO, isUtf8: true, about: "{}", bounds, tooLong: () => new Error("too long") };
  const file = await whole(writtenAsParquet(source(), writing).chunks);
  expect(parquetMetadata(file).row_groups).toHaveLength(40);
  expect(sent.length).toBeGreaterThan(60);
  expect(held).toBeLessThan(10);
});

test("rows of which the server has not sent the end would be taken for all", async () => {
  const below = numbers(10);
  const sent = binary([cells(below), cells(below)]);
  for (const size of [0, 10, 25, sent.length - 30, sent.length - 2, sent.length - 1]) {
    const writing = { columns: COLUMNS, isUtf8: true, about: "{}", tooLong: () => new Error("too long") };
    const { chunks } = writtenAsParquet(cut(sent.subarray(0, size), below, 50), writing);
    await expect(whole(chunks), String(size)).rejects.toThrow("in the middle");
  }
});

test("a file with a byte changed would be given to whoever takes it for whole", async () => {
  const below = numbers(11);
  const rows = Array.from({ length: 60 }, () => cells(below));
  const { file, footer } = await write(rows, { rows: 25, bytes: 100_000, rowBytes: 100_000 });
  const text = textOf(rows);
  const last = parquetMetadata(footer).row_groups.at(-1)?.columns.at(-1)?.meta_data;
  const end =
    Number(last?.dictionary_page_offset ?? last?.data_page_offset) + Number(last?.total_compressed_size);
  expect(end).toBeGreaterThan(2000);
  for (let at = 4; at < file.length; at += 7) {
    const changed = Buffer.from(file);
    changed[at] = (changed[at] ?? 0) ^ (1 << below(8));
    const result = read(changed, footer, below);
    // Between the rows and the file's end are the pages' places, which the whole file's sha256 holds.
    if (at >= end && at < file.length - footer.length) expect(await result).toBe(text);
    else await expect(result, `byte ${at}`).rejects.toBeInstanceOf(NotReadable);
  }
  await expect(read(file.subarray(0, -footer.length - 1), footer)).rejects.toBeInstanceOf(NotReadable);
  const other = await write(rows.slice(0, 59), { rows: 25, bytes: 100_000, rowBytes: 100_000 });
  await expect(read(file, other.footer)).rejects.toBeInstanceOf(NotReadable);
});

/** A page of the numbers of two texts, which begins with their width: 1. */
const HARMS: Record<string, (page: Uint8Array) => number[]> = {
  "a run of less than none, of no width": () => [0, 0xff, 0xff, 0xff, 0xff, 0x0f],
  "a run of more values than there are": () => [1, 0xfe, 0xff, 0xff, 0xff, 0x0f],
  "a length without an end": ({ length }) => Array.from({ length }, (_, at) => (at === 0 ? 1 : 0xff)),
  "a run of none": () => [1, 0, 0],
  "a width of 200": ([, ...rest]) => [200, ...rest],
};

test.each(Object.entries(HARMS))(
  "%s, in a file whose sums agree, would keep Partway for ever",
  async (_, page) => {
    const rows = Array.from({ length: 200 }, (_value, at) =>
      texts(at % 3 === 0 ? "left".repeat(9) : "right".repeat(9)),
    );
    const columns: StoredColumn[] = [{ name: "a", as: "text" }];
    const writing = { columns, isUtf8: true, about: "{}", tooLong: () => new Error("too long") };
    let harmed = 0;
    harm.in = (bytes) => {
      if (bytes[0] !== 1) return bytes;
      harmed += 1;
      const harmful = new Uint8Array(bytes.length);
      harmful.set(page(bytes));
      return harmful;
    };
    const written = writtenAsParquet(cut(binary(rows), numbers(3), 4000), writing);
    const file = await whole(written.chunks).finally(() => {
      harm.in = (bytes) => bytes;
    });
    expect(harmed).toBe(1);
    const footer = file.subarray(-written.footer().bytes);
    const back = whole(rowsOfParquet(cut(file, numbers(4), 4000), { columns, isUtf8: true, footer }));
    await expect(back).rejects.toThrow(/a page says/);
  },
);
