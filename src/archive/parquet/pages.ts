/**
 * Looks at the pages of a column before hyparquet does: a manifest and a file that agree may be somebody's who means
 * harm, and a run of values that is said to be of another length keeps hyparquet 1.31.5 in a loop that no Ctrl-C ends.
 * Pure.
 */
import type { PageHeader } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";

/** `size`: bytes that are expected of it. */
export type Unpack = (bytes: Uint8Array, size: number) => Uint8Array;

/**
 * `chunk`: the pages of one column of a row group of `rows` rows. Errors: a RangeError where they are not as they are
 * written here (write.ts: data pages V2 of an optional column, plain or with a dictionary); what `unpack` throws.
 */
export function assertPages(chunk: Uint8Array, rows: number, unpack: Unpack): void {
  const reader = { view: new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength), offset: 0 };
  for (let left = rows; left > 0; ) {
    const header = parquetHeader(reader);
    const size = within(header.compressed_page_size, 0, chunk.length - reader.offset);
    const page = chunk.subarray(reader.offset, reader.offset + size);
    reader.offset += size;
    if (header.type === "DICTIONARY_PAGE") within(header.dictionary_page_header?.num_values, 0, rows);
    else left -= valuesOf(header, page, left, unpack);
  }
}

function valuesOf(header: PageHeader, page: Uint8Array, most: number, unpack: Unpack): number {
  const { type, data_page_header_v2: about } = header;
  if (type !== "DATA_PAGE_V2" || about === undefined) throw new RangeError(`a page of type ${type}`);
  const values = within(about.num_values, 1, most);
  const nulls = within(about.num_nulls, 0, values);
  within(about.repetition_levels_byte_length, 0, 0);
  const levels = within(about.definition_levels_byte_length, 0, page.length);
  assertRuns(page.subarray(0, levels), 1, values);
  if (about.encoding === "PLAIN") return values;
  if (about.encoding !== "RLE_DICTIONARY" || about.is_compressed === false)
    throw new RangeError(`a page of encoding ${about.encoding}`);
  const indexes = unpack(page.subarray(levels), header.uncompressed_page_size - levels);
  assertRuns(indexes.subarray(1), within(indexes[0], 0, 31), values - nulls);
  return values;
}

/**
 * Runs of one value and of packed ones, of `width` bits each, in turn:
 * https://parquet.apache.org/docs/file-format/data-pages/encodings/ (RLE)
 */
function assertRuns(bytes: Uint8Array, width: number, values: number): void {
  let at = 0;
  for (let left = values; left > 0; ) {
    let head = 0;
    let shift = 0;
    for (let isOpen = true; isOpen; shift += 7) {
      const byte = within(bytes[at++], 0, 255);
      head += (byte & 0x7f) * 2 ** within(shift, 0, 28);
      isOpen = byte >= 0x80;
    }
    const isPacked = head % 2 === 1;
    const half = Math.floor(head / 2);
    // The last of the packed come in eights, whether there are as many or not.
    const count = within(isPacked ? 8 * half : half, 1, isPacked ? left + 7 : left);
    at += isPacked ? half * width : Math.ceil(width / 8);
    left -= Math.min(left, count);
  }
  if (at > bytes.length) throw new RangeError("a run of values that ends too early");
}

function within(number: number | undefined, least: number, most: number): number {
  if (number !== undefined && number >= least && number <= most) return number;
  throw new RangeError(`a page says ${number} where it can be ${least} to ${most}`);
}
