/**
 * How many bytes rows and index entries take in a fresh table and a fresh btree, by PostgreSQL's own layout
 * (storage/bufpage.h, access/htup_details.h, access/nbtree.h of 14 to 18). Pure.
 */
import type { SampledColumn } from "./sample.js";

export const PAGE = 8192;
const PAGE_HEADER = 24;
const LINE_POINTER = 4;
/** Header of a heap tuple without its bitmap of NULLs. */
const TUPLE_HEADER = 23;
/** A varlena up to so many bytes has a header of one byte and no alignment. */
const SHORT_VARLENA = 127;
/** TOAST_TUPLE_TARGET: longer rows have their largest values moved out, each leaving a pointer. */
const TOAST_TARGET = 2032;
const TOAST_POINTER = 18;
const TOAST_CHUNK = 1996;
const TOAST_CHUNK_HEADER = 36;

/** A btree page's room: 8192 less header and the 16 bytes at its end. */
const BTREE_ROOM = PAGE - PAGE_HEADER - 16;
const BTREE_FILL = 90;
/** Pages above the leaves are filled so far (BTREE_NONLEAF_FILLFACTOR). */
const BTREE_INNER = 0.7;
/** A posting list of a fresh build is a tenth of a page at most. */
const POSTING_LIST = 812;
const ROW_POINTER = 6;

export const align = (bytes: number, to = 8): number => Math.ceil(bytes / to) * to;

export interface RowSize {
  /** The heap tuple, without padding at its end. */
  tuple: number;
  /** Bytes of each of its values that goes to the TOAST table. */
  moved: number[];
}

/** A row as INSERT would store it. `sizes`: bytes of each column, null for NULL. */
export function rowSize(columns: readonly SampledColumn[], sizes: readonly (number | null)[]): RowSize {
  const moved = new Set<number>();
  const lengthNow = () =>
    tupleLength(
      columns,
      sizes.map((size, at) => (moved.has(at) ? TOAST_POINTER : size)),
    );
  const movable = columns
    .map(({ storage, length }, at) => ({ at, storage, size: length === -1 ? (sizes[at] ?? 0) : 0 }))
    .filter(({ storage, size }) => storage !== "p" && size > TOAST_POINTER)
    .toSorted((a, b) => Number(a.storage === "m") - Number(b.storage === "m") || b.size - a.size);
  let tuple = lengthNow();
  const out: number[] = [];
  for (const { at, size } of movable) {
    if (align(tuple) <= TOAST_TARGET) break;
    moved.add(at);
    out.push(size);
    tuple = lengthNow();
  }
  return { tuple, moved: out };
}

/** Chunks of a value in a TOAST table. */
export const chunksOf = (bytes: number): number => Math.ceil(bytes / TOAST_CHUNK);

/** Pages of a TOAST table that takes these values one behind the other: a chunk that does not fit begins the next page. */
export function toastPages(values: readonly number[]): number {
  const room = PAGE - PAGE_HEADER;
  let pages = 0;
  let used = room;
  const place = (chunk: number) => {
    const needed = align(TOAST_CHUNK_HEADER + chunk) + LINE_POINTER;
    if (used + needed > room) {
      pages += 1;
      used = 0;
    }
    used += needed;
  };
  for (const value of values) {
    const whole = Math.floor(value / TOAST_CHUNK);
    // Four whole chunks fill a page, and where on the page they begin is as it was.
    pages += Math.floor(whole / 4);
    for (let n = 0; n < whole % 4; n++) place(TOAST_CHUNK);
    if (value % TOAST_CHUNK > 0) place(value % TOAST_CHUNK);
  }
  return pages;
}

function tupleLength(columns: readonly SampledColumn[], sizes: readonly (number | null)[]): number {
  const bitmap = sizes.includes(null) ? Math.ceil(columns.length / 8) : 0;
  return align(TUPLE_HEADER + bitmap) + dataLength(columns, sizes);
}

/** The values one behind the other, each aligned as its type wants. */
function dataLength(columns: readonly SampledColumn[], sizes: readonly (number | null)[]): number {
  let at = 0;
  for (const [i, { length, align: to }] of columns.entries()) {
    const size = sizes[i] ?? null;
    if (size === null) continue;
    const isShort = length === -1 && size <= SHORT_VARLENA;
    at = (isShort ? at : align(at, to)) + size;
  }
  return at;
}

/** Rows that fit on a page of the heap on average, when these rows come one behind the other. */
export function rowsPerPage(tuples: readonly number[], fillfactor = 100): number {
  const kept = Math.floor((PAGE * (100 - fillfactor)) / 100);
  const room = PAGE - PAGE_HEADER;
  let pages = 0;
  let used = Number.POSITIVE_INFINITY;
  for (const tuple of tuples) {
    const needed = align(tuple) + LINE_POINTER;
    // What the fillfactor keeps free is not kept from a row that comes to an empty page.
    if (used + needed > room - kept) {
      pages += 1;
      used = 0;
    }
    used += needed;
  }
  if (pages === 0) return 1;
  return tuples.length / Math.max(1, pages - 1 + Math.min(1, used / (room - kept)));
}

/** An entry of an index: its header (with a bitmap where a value is NULL) and the values, padded. */
export function entrySize(columns: readonly SampledColumn[], sizes: readonly (number | null)[]): number {
  return align((sizes.includes(null) ? 16 : 8) + dataLength(columns, sizes));
}

export interface BtreeInput {
  rows: number;
  /** Bytes of an entry on average, header included. */
  entry: number;
  /** How many different keys the rows have. */
  distinct: number;
  /** Equal keys share an entry: not unique, deduplicate_items on, and equal means identical for its types. */
  dedupes: boolean;
  fillfactor?: number;
}

/** Pages of a freshly built btree, its meta page included. */
export function btreePages({ rows, entry, distinct, dedupes, fillfactor = BTREE_FILL }: BtreeInput): number {
  if (rows <= 0) return 1;
  const pointer = entry + LINE_POINTER;
  const room = BTREE_ROOM - Math.ceil((PAGE * (100 - fillfactor)) / 100);
  const plain = rows * pointer;
  const bytes = dedupes ? Math.min(plain, deduplicated(rows, entry, distinct)) : plain;
  const leaves = Math.max(1, Math.ceil(bytes / Math.max(pointer, room)));
  let pages = leaves + 1;
  const fanOut = Math.max(2, Math.floor((BTREE_ROOM * BTREE_INNER) / (pointer + 4)));
  for (let level = leaves; level > 1; ) {
    level = Math.ceil(level / fanOut);
    pages += level;
  }
  return pages;
}

/** Bytes of entries where equal keys share posting lists; a key's rows are as many as chance makes them (Poisson). */
function deduplicated(rows: number, entry: number, distinct: number): number {
  const each = rows / Math.max(1, distinct);
  // Nearly unique: there is nothing to share.
  if (each < 1.1) return rows * (entry + LINE_POINTER);
  const ofKey = (n: number) => {
    if (n <= 1) return n * (entry + LINE_POINTER);
    const perList = Math.max(2, Math.floor((POSTING_LIST - entry) / ROW_POINTER));
    const full = Math.floor(n / perList);
    const rest = n - full * perList;
    const list = (k: number) => (k === 0 ? 0 : align(entry + (k > 1 ? k * ROW_POINTER : 0)) + LINE_POINTER);
    return full * list(perList) + list(rest);
  };
  if (each > 50) return distinct * ofKey(Math.round(each));
  let sum = 0;
  let chance = Math.exp(-each);
  for (let n = 1; n < each + 10 * Math.sqrt(each) + 10; n++) {
    chance *= each / n;
    sum += chance * ofKey(n);
  }
  return distinct * sum;
}
