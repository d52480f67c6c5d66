/**
 * A leaf's rows as a Parquet file, one row group after the other, each bounded in rows and in bytes: however large the
 * leaf, one group is in memory, and of those before it what the file's end says of them.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { ColumnChunk } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { BinaryRows } from "./binary.js";
import { type StoredColumn, schemaOf } from "./columns.js";
import { fromBinary, type Value } from "./values.js";

export interface Bounds {
  /** Of a row group: it is written when either is reached. */
  rows: number;
  bytes: number;
  /** Of the values of one row: more does not fit in memory with what is made of it. */
  rowBytes: number;
}

const MB = 1024 * 1024;
export const BOUNDS: Bounds = { rows: 100_000, bytes: 32 * MB, rowBytes: 128 * MB };

/** What a value takes beside its bytes, about: a view of them in JavaScript. */
const VALUE_BYTES = 64;

/** How many bytes of the file's end, and their sha256. */
export interface Footer {
  bytes: number;
  sha256: string;
}

export function sha256Of(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Where the file has the sha256 of each row group: no damaged one reaches the reader of the format, or the server. */
export const GROUPS_KEY = "partway.groups";

export interface Written {
  chunks: AsyncGenerator<Buffer>;
  /** The file's end, which says where its rows are; once all chunks have passed. */
  footer: () => Footer;
}

export interface Writing {
  columns: readonly StoredColumn[];
  isUtf8: boolean;
  /** What stands in the file beside its rows, under `partway`. */
  about: string;
  bounds?: Bounds;
  /** What to throw for a row of more bytes than `bounds.rowBytes`. */
  tooLong: () => Error;
}

/** `source`: COPY's binary format. */
export function writtenAsParquet(source: AsyncIterable<Buffer>, writing: Writing): Written {
  let footer: Footer = { bytes: 0, sha256: "" };
  async function* chunks(): AsyncGenerator<Buffer> {
    const group = new Group(writing);
    yield group.head;
    for await (const chunk of source) {
      group.rows.push(chunk);
      while (group.rows.next()) if (group.isFull()) yield group.take();
    }
    group.rows.assertEnded();
    const end = group.finish();
    const bytes = end.readUInt32LE(end.length - 8) + 8;
    footer = { bytes, sha256: sha256Of(end.subarray(-bytes)) };
    yield end;
  }
  return { chunks: chunks(), footer: () => footer };
}

/** Bytes that are handed on, and not kept. */
class Drain extends ByteWriter {
  take(): Buffer {
    const bytes = Buffer.from(this.buffer, 0, this.index);
    this.buffer = new ArrayBuffer(1024);
    this.view = new DataView(this.buffer);
    this.index = 0;
    return bytes;
  }
}

class Group {
  readonly rows: BinaryRows;
  /** What every file begins with. */
  readonly head: Buffer;
  readonly #sums = { key: GROUPS_KEY, value: "" };
  readonly #columns: readonly StoredColumn[];
  readonly #bounds: Bounds;
  readonly #drain = new Drain();
  readonly #writer: ParquetWriter;
  #values: Value[][];
  #bytes = 0;

  constructor({ columns, isUtf8, about, bounds = BOUNDS, tooLong }: Writing) {
    this.#columns = columns;
    this.#bounds = bounds;
    this.#values = columns.map(() => []);
    this.#writer = new ParquetWriter({
      ...{ writer: this.#drain, schema: schemaOf(columns, isUtf8), createdBy: "partway" },
      ...{ codec: "GZIP", compressors: { GZIP: (bytes) => gzipSync(bytes) } },
      kvMetadata: [{ key: "partway", value: about }, this.#sums],
    });
    this.head = this.#drain.take();
    const read = columns.map(fromBinary);
    let rowBytes = 0;
    const take = (column: number, bytes: Buffer | null) => {
      rowBytes += bytes?.length ?? 0;
      this.#bytes += VALUE_BYTES + (bytes?.length ?? 0);
      this.#values[column]?.push(bytes === null ? null : (read[column]?.(bytes) ?? null));
    };
    this.rows = new BinaryRows(columns.length, take, (column, next) => {
      if (column === 0) rowBytes = 0;
      if (rowBytes + next > bounds.rowBytes) throw tooLong();
    });
  }

  isFull(): boolean {
    return this.#bytes >= this.#bounds.bytes || (this.#values[0]?.length ?? 0) >= this.#bounds.rows;
  }

  /** The row group, in the file's bytes. */
  take(): Buffer {
    const rows = this.#values[0]?.length ?? 0;
    const columnData = this.#columns.map(({ name, as }, at) => ({
      ...{ name, data: this.#values[at] ?? [] },
      // A dictionary takes 0 and -0 for one value, and a page of booleans in RLE is not read by everyone.
      ...(as === "float" || as === "double" || as === "boolean" ? { encoding: "PLAIN" as const } : {}),
    }));
    if (rows > 0) this.#writer.write({ columnData, rowGroupSize: rows });
    this.#writer.row_groups.at(-1)?.columns.forEach(letGo);
    this.#values = this.#columns.map(() => []);
    this.#bytes = 0;
    const group = this.#drain.take();
    if (rows > 0) this.#sums.value += `${this.#sums.value === "" ? "" : " "}${sha256Of(group)}`;
    return group;
  }

  /** What is left, and the file's end. */
  finish(): Buffer {
    const last = this.take();
    this.#writer.finish();
    return Buffer.concat([last, this.#drain.take()]);
  }
}

/** Longer ones are in no file: how far they bound a text is not worth what they take until its end is written. */
const MOST_BOUND = 64;

/** The writer keeps the least and the greatest value until the file's end, and these all that the server sent with them. */
function letGo({ meta_data }: ColumnChunk): void {
  const { statistics } = meta_data ?? {};
  if (statistics === undefined) return;
  for (const bound of ["min_value", "max_value"] as const) {
    const value = statistics[bound];
    if (!(value instanceof Uint8Array)) continue;
    if (value.length > MOST_BOUND) delete statistics[bound];
    else statistics[bound] = new Uint8Array(value);
  }
}
