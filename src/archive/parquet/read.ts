/** A Parquet file back into rows, in COPY's text format: read once from its beginning, a row group in memory. */
import { gunzipSync } from "node:zlib";
import { type FileMetaData, parquetMetadata, parquetRead, type RowGroup } from "hyparquet";
import { messageOf } from "../../errors.js";
import { type StoredColumn, schemaOf } from "./columns.js";
import { assertPages } from "./pages.js";
import { RowText } from "./rowtext.js";
import { toText, type Value } from "./values.js";
import { GROUPS_KEY, sha256Of } from "./write.js";

/** The file is not one that Partway has written. */
export class NotReadable extends Error {
  override readonly name = "NotReadable";
}

/** More than any group that is written, with what is made of it. */
const MOST_BYTES = 1024 ** 3;
const MOST_ROWS = 1_000_000;

/** What every file begins with. */
const HEAD_BYTES = 4;

export interface Reading {
  columns: readonly StoredColumn[];
  isUtf8: boolean;
  /** The file's end, as `Written.footer` has measured it, and found to be that. */
  footer: Buffer;
}

/** `file`: the whole of it, from its beginning. Errors: NotReadable; what `file` throws. */
export async function* rowsOfParquet(
  file: AsyncIterable<Buffer>,
  { columns, isUtf8, footer }: Reading,
): AsyncGenerator<Buffer> {
  const metadata = readable(() => physical(parquetMetadata(footer, { geoparquet: false }), columns, isUtf8));
  const groups = extentsOf(metadata);
  const text = new RowText(columns.map(toText));
  let [at, held, size] = [0, [] as Buffer[], 0];
  const end = new Tail(footer.length);
  let next = groups.shift();
  for await (const chunk of file) {
    held.push(chunk);
    size += chunk.length;
    while (next !== undefined && at + size >= next.to) {
      const { group, from, to, sha256 } = next;
      const whole = Buffer.concat(held, size);
      const bytes = whole.subarray(from - at, to - at);
      if (sha256Of(bytes) !== sha256) throw new NotReadable("a row group is not the one that was written");
      yield* rowsOf(text, columns, metadata, group, bytes, from);
      [held, size, at] = [[whole.subarray(to - at)], at + size - to, to];
      next = groups.shift();
    }
    if (next !== undefined) continue;
    for (const one of held) end.push(one);
    [at, held, size] = [at + size, [], 0];
  }
  if (next !== undefined) throw new NotReadable("it ends too early");
  if (!end.take().equals(footer)) throw new NotReadable("its end is not the one that was read before");
}

/** The last bytes of what passes. */
class Tail {
  readonly #size: number;
  readonly #held: Buffer[] = [];
  #bytes = 0;

  constructor(size: number) {
    this.#size = size;
  }

  push(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      const [first] = this.#held;
      if (first === undefined || this.#bytes - first.length < this.#size) return;
      this.#held.shift();
      this.#bytes -= first.length;
    }
  }

  take(): Buffer {
    return Buffer.concat(this.#held).subarray(-this.#size);
  }
}

interface Extent {
  group: RowGroup;
  from: number;
  to: number;
  sha256: string;
}

function extentsOf({ row_groups, key_value_metadata = [] }: FileMetaData): Extent[] {
  const { value = "" } = key_value_metadata.find(({ key }) => key === GROUPS_KEY) ?? {};
  const sums = value.split(" ");
  // One after the other, from behind the file's mark: what lies between would be held, and nobody has its sum.
  let at = HEAD_BYTES;
  return row_groups.map((group, number) => {
    const extent = extentOf(group, sums[number] ?? "");
    if (extent.from !== at) throw new NotReadable("its row groups do not follow one another");
    at = extent.to;
    return extent;
  });
}

function extentOf(group: RowGroup, sha256: string): Extent {
  const [first] = group.columns;
  const from = Number(first?.meta_data?.dictionary_page_offset ?? first?.meta_data?.data_page_offset);
  const bytes = group.columns.reduce(
    (sum, { meta_data }) => sum + Number(meta_data?.total_compressed_size),
    0,
  );
  const rows = Number(group.num_rows);
  if (Number.isSafeInteger(from) && bytes > 0 && bytes <= MOST_BYTES && rows > 0 && rows <= MOST_ROWS)
    return { group, from, to: from + bytes, sha256 };
  throw new NotReadable(`a row group is said to have ${bytes} bytes and ${rows} rows`);
}

/** With numbers for names, and without what the types mean: the values as they are stored are wanted. */
function physical(metadata: FileMetaData, columns: readonly StoredColumn[], isUtf8: boolean): FileMetaData {
  const wanted = schemaOf(columns, isUtf8);
  const isSame =
    metadata.schema.length === wanted.length &&
    wanted.every(({ name, type, type_length }, at) => {
      const found = metadata.schema[at];
      return found?.name === name && found.type === type && found.type_length === type_length;
    });
  if (!isSame) throw new NotReadable("its columns are not those of the manifest");
  const [root, ...rest] = wanted;
  const plain = rest.map(({ type, type_length }, at) => ({
    ...{ name: nameOf(at), repetition_type: "OPTIONAL" as const },
    ...(type === undefined ? {} : { type }),
    ...(type_length === undefined ? {} : { type_length }),
  }));
  const rename = (group: RowGroup): RowGroup => {
    if (group.columns.length !== columns.length) throw new NotReadable("a row group lacks columns");
    return {
      ...group,
      columns: group.columns.map((chunk, at) =>
        chunk.meta_data === undefined
          ? chunk
          : { ...chunk, meta_data: { ...chunk.meta_data, path_in_schema: [nameOf(at)], codec: "GZIP" } },
      ),
    };
  };
  return {
    ...metadata,
    schema: [...(root === undefined ? [] : [root]), ...plain],
    row_groups: metadata.row_groups.map(rename),
  };
}

function nameOf(column: number): string {
  return `c${column}`;
}

function gunzip(bytes: Uint8Array, size: number): Uint8Array {
  // The most that is taken has to be above zero.
  return gunzipSync(bytes, { maxOutputLength: Math.max(1, Math.min(size, MOST_BYTES)) });
}

const compressors = { GZIP: gunzip };

async function* rowsOf(
  text: RowText,
  columns: readonly StoredColumn[],
  metadata: FileMetaData,
  group: RowGroup,
  bytes: Buffer,
  offset: number,
): AsyncGenerator<Buffer> {
  const file = {
    byteLength: offset + bytes.length,
    slice: (from: number, to: number = offset + bytes.length) => {
      if (from < offset || to > offset + bytes.length)
        throw new NotReadable("a page lies outside its row group");
      // One column is asked for at a time: these are all of its pages.
      const pages = new Uint8Array(bytes.subarray(from - offset, to - offset));
      assertPages(pages, Number(group.num_rows), gunzip);
      return pages.buffer;
    },
  };
  const only = { ...metadata, num_rows: group.num_rows, row_groups: [group] };
  const values: Value[][] = columns.map(() => []);
  for (const [at, held] of values.entries()) {
    const options = { file, metadata: only, columns: [nameOf(at)], utf8: false, compressors };
    const onChunk = ({ columnData }: { columnData: ArrayLike<Value> }) => {
      for (let row = 0; row < columnData.length; row++) held.push(columnData[row] ?? null);
    };
    await parquetRead({ ...options, onChunk }).catch((error: unknown) => {
      throw unreadable(error);
    });
    if (held.length !== Number(group.num_rows)) throw new NotReadable("a column lacks rows");
  }
  for (let row = 0; row < Number(group.num_rows); row++) {
    const full = readable(() => text.add(values, row));
    if (full !== null) yield full;
  }
  yield text.take();
}

/** Whatever the reader of the format says of a file, it says that it cannot be read. */
function readable<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw unreadable(error);
  }
}

function unreadable(error: unknown): NotReadable {
  return error instanceof NotReadable ? error : new NotReadable(messageOf(error), { cause: error });
}
