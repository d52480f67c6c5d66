/** Bytes of the new table and of the WAL that making it writes, from the sample and the leaves. Pure. */
import type { IndexInfo, TableInfo } from "../catalog/types.js";
import {
  align,
  btreePages,
  chunksOf,
  entrySize,
  PAGE,
  rowSize,
  rowsPerPage,
  toastPages,
} from "./row-size.js";
import type { SampledColumn, SampledServer, TableSample } from "./sample.js";
import type { ColumnRef, IndexPlan, Leaf } from "./types.js";

/** What a leaf that has rows has beside its heap: a free space map of three pages and a visibility map of one. */
const MAPS = 4 * PAGE;
/** The last page of a leaf is filled by each worker that had one open, on average by half. */
const OPEN_PAGES = 1;

/** xl_heap_insert: 31 bytes beside the tuple (its own 23 bytes of header are left out). */
const INSERT_RECORD = 31;
/** The same for a chunk of a TOAST table, with its own header and the entry of its index. */
const CHUNK_RECORDS = 72 + 80;
/** Header of a page's image, and of a WAL record with one. */
const IMAGE_RECORD = 51;
/** Each WAL page of 8 kB begins with 24 bytes. */
const WAL_PAGES = 8192 / (8192 - 24);
/** A record of VACUUM that freezes a page and marks it all-visible, beside what it says of each row. */
const FREEZE_RECORD = 130;
/** Since 16 rows that are frozen alike share a plan: 2 bytes a row instead of 12. */
const FREEZE_ROW = (version: number) => (version >= 160_000 ? 2 : 12);
/** What catalogs write: measured on 18 with 8 columns and 3 indexes (test/plan/forecast.test.ts). */
const CATALOG = { leaf: 9_000, index: 4_000, column: 1_400 } as const;

export interface NewTable {
  heap: number;
  toast: number;
  indexes: number;
  /** The largest index of one leaf: what a build sorts. */
  largestIndex: number;
  heapPages: number;
  rows: number;
  /** What goes to TOAST tables: bytes of values, and chunks of them. */
  moved: { bytes: number; chunks: number };
}

export interface Wal {
  /** Rows, index pages, catalogs and VACUUM. */
  written: { heap: number; indexes: number; vacuum: number; catalog: number };
  /** Whole pages once more because a checkpoint came between two changes of them. */
  images: number;
}

export interface BytesInput {
  table: TableInfo;
  leaves: readonly Leaf[];
  indexes: readonly IndexPlan[];
  partitionBy: readonly ColumnRef[];
  sample: TableSample;
  rows: number;
}

const option = (options: readonly string[], name: string): number | undefined => {
  const found = options.find((one) => one.startsWith(`${name}=`));
  const value = Number(found?.slice(name.length + 1));
  return Number.isFinite(value) ? value : undefined;
};

/** Rows of each leaf: as the sample has them, evenly where nothing is known. */
function leafRows(leaves: readonly Leaf[], rows: number): number[] {
  const known = leaves.reduce((sum, { estimatedRows }) => sum + (estimatedRows ?? 0), 0);
  if (known <= 0) return leaves.map(() => rows / leaves.length);
  return leaves.map(({ estimatedRows }) => ((estimatedRows ?? 0) / known) * rows);
}

/** The new table when its indexes are built. Nothing of the old table's bloat is in it. */
export function newTable(input: BytesInput): NewTable {
  const { table, leaves, sample, rows } = input;
  const sizes = sample.rows.map((row) => rowSize(sample.columns, row));
  const tuples = sizes.map(({ tuple }) => tuple);
  const perPage = Math.max(1, rowsPerPage(tuples, option(table.options, "fillfactor")));
  const counts = leafRows(leaves, rows);
  const filled = counts.filter((count) => count >= 1).length;
  const pages = counts.reduce(
    (sum, count) => sum + (count < 1 ? 0 : Math.ceil(count / perPage) + OPEN_PAGES),
    0,
  );
  const moved = sizes.flatMap((one) => one.moved);
  const scale = rows / Math.max(1, sizes.length);
  const chunks = moved.reduce((sum, value) => sum + chunksOf(value), 0) * scale;
  const indexes = input.indexes.map((index) => indexBytes(input, index, counts));
  const mayMove = sample.columns.some(({ length, storage }) => length === -1 && storage !== "p");
  return {
    heap: pages * PAGE + filled * MAPS,
    // An entry of its index for each chunk, and at least one page of it for each leaf.
    toast: mayMove
      ? (toastPages(moved) * scale + btreePages({ ...CHUNKS, rows: chunks }) + leaves.length - 1) * PAGE
      : 0,
    indexes: indexes.reduce((sum, one) => sum + one.all, 0),
    largestIndex: Math.max(0, ...indexes.map((one) => one.largest)),
    heapPages: pages,
    rows,
    moved: { bytes: moved.reduce((sum, value) => sum + value, 0) * scale, chunks },
  };
}

const CHUNKS = { entry: 16, distinct: 1, dedupes: false } as const;

function indexBytes(
  input: BytesInput,
  plan: IndexPlan,
  counts: readonly number[],
): { all: number; largest: number } {
  const { table, sample, rows } = input;
  const index = table.indexes.find(({ name }) => name === plan.finalName);
  const share = sample.indexes.find(({ name }) => name === plan.finalName)?.share ?? 1;
  if (index === undefined) return { all: 0, largest: 0 };
  if (index.method !== "btree") {
    // Only a build tells what they take; today's size has the bloat of today.
    const all = Math.max(index.sizeBytes, counts.length * 2 * PAGE);
    return { all, largest: all * Math.max(0, ...counts.map((count) => count / Math.max(1, rows))) };
  }
  const key = keyOf(input, index, plan.isPair || index.primary);
  const dedupes = !index.unique && key.identical && option(index.options, "deduplicate_items") !== 0;
  const fillfactor = option(index.options, "fillfactor");
  const each = counts.map(
    (count) =>
      btreePages({
        rows: count < 1 ? 0 : count * share,
        entry: key.entry,
        distinct: key.distinct(count * share),
        dedupes: dedupes && !index.options.includes("deduplicate_items=off"),
        ...(fillfactor === undefined ? {} : { fillfactor }),
      }) * PAGE,
  );
  return { all: each.reduce((sum, one) => sum + one, 0), largest: Math.max(0, ...each) };
}

/** What an index's entries are made of. `extended`: the partition column is added to its key. */
function keyOf({ sample, table, partitionBy, rows }: BytesInput, index: IndexInfo, extended: boolean) {
  const added = extended ? partitionBy.map(({ name }) => name) : [];
  const own = [...index.columns, ...added.filter((name) => !index.columns.includes(name))];
  const names = [...own, ...index.include.filter((name) => !own.includes(name))];
  const widths = [...(sample.indexes.find(({ name }) => name === index.name)?.expressionWidths ?? [])];
  const parts = names.map((name) => {
    const at = sample.columns.findIndex((column) => column.name === name);
    const column = sample.columns[at];
    if (name === null || column === undefined) {
      const width = Math.round(widths.shift() ?? 16);
      return { column: EXPRESSION, size: () => width };
    }
    return { column, size: (row: readonly (number | null)[]) => row[at] ?? null };
  });
  const columns = parts.map(({ column }) => column);
  const entries = sample.rows.map((row) =>
    entrySize(
      columns,
      parts.map(({ size }) => size(row)),
    ),
  );
  const entry = entries.length === 0 ? 24 : entries.reduce((sum, one) => sum + one, 0) / entries.length;
  const keys = own.map((name) => sample.columns.find((column) => column.name === name) ?? null);
  return {
    entry,
    // A posting list has no INCLUDE columns, and what is equal but not identical is not merged.
    identical:
      index.include.length === 0 &&
      own.every((name) => table.columns.find((column) => column.name === name)?.equalIsIdentical === true),
    distinct: (count: number) => distinctIn(keys, rows, count, partitionBy),
  };
}

const EXPRESSION: SampledColumn = {
  name: "",
  length: -1,
  align: 4,
  storage: "x",
  distinct: null,
  nullFraction: null,
};

/** How many different keys `count` rows of one leaf have: columns as if independent, the partition column's own share. */
function distinctIn(
  keys: readonly (SampledColumn | null)[],
  rows: number,
  count: number,
  partitionBy: readonly ColumnRef[],
): number {
  let all = 1;
  for (const column of keys) {
    const found = column?.distinct ?? -1;
    const values = found < 0 ? -found * rows : found;
    const inLeaf = partitionBy.some(({ name }) => name === column?.name)
      ? values * (count / Math.max(1, rows))
      : values;
    all *= Math.max(1, inLeaf) * (1 + Math.sign(column?.nullFraction ?? 0));
  }
  return Math.max(1, Math.min(all, count));
}

/** The WAL that filling, indexing and freezing `made` writes. `seconds`: from the first row to the last frozen page. */
export function walOf(input: BytesInput, made: NewTable, seconds: number): Wal {
  const { table, leaves, sample, indexes } = input;
  const { server } = sample;
  const tuples = sample.rows.map((row) => align(rowSize(sample.columns, row).tuple + INSERT_RECORD));
  const record = tuples.length === 0 ? 64 : tuples.reduce((sum, one) => sum + one, 0) / tuples.length;
  const toast = made.moved.bytes + made.moved.chunks * CHUNK_RECORDS;
  const heap = (made.rows * record + toast) * WAL_PAGES;
  // A built page goes into the WAL without the hole that its fillfactor leaves.
  const image = (1 - (100 - 90) / 100) * (PAGE - 40) + 40 + IMAGE_RECORD;
  const indexWal = (made.indexes / PAGE) * image * WAL_PAGES;
  const vacuum = (made.heapPages * FREEZE_RECORD + made.rows * FREEZE_ROW(table.serverVersion)) * WAL_PAGES;
  const catalog =
    leaves.length * (CATALOG.leaf + indexes.length * CATALOG.index + table.columns.length * CATALOG.column);
  const written = { heap, indexes: indexWal, vacuum, catalog };
  // A page's life: written in the copy, read first by the first index's build, frozen when all are built.
  const firstIndex = indexWal / Math.max(1, indexes.length);
  const life = (at: number) => {
    const frozen = heap + indexWal + at * vacuum;
    return server.logsHints ? [at * heap, heap + at * firstIndex, frozen] : [at * heap, frozen];
  };
  const all = heap + indexWal + vacuum + catalog;
  const images = server.fullPageWrites ? imagesOfPage(life, checkpoints(server, all, seconds)) : 0;
  return { written, images: images * made.heapPages * PAGE };
}

const SEGMENT = 16 * 2 ** 20;

/**
 * Where in the next `all` bytes of WAL checkpoints begin, when they take `seconds`: each time max_wal_size allows no more
 * (CalculateCheckpointSegments in xlog.c), or checkpoint_timeout is over. Other sessions' WAL is not known.
 */
export function checkpoints(server: SampledServer, all: number, seconds: number): number[] {
  const segments = Math.floor(server.maxWalBytes / SEGMENT / (1 + server.completionTarget));
  const distance = Math.max(1, segments - 1) * SEGMENT;
  const timeout = server.checkpointSeconds;
  const inTime = (left: number) => (seconds <= 0 ? Number.POSITIVE_INFINITY : (left / seconds) * all);
  // Not known: as likely just now as long ago. A server that wrote nothing made none, so nobody knows when one is due.
  const since = server.sinceCheckpoint ?? { bytes: distance / 2, seconds: timeout / 2 };
  const left = since.seconds < timeout ? timeout - since.seconds : timeout / 2;
  const every = Math.max(1, Math.min(distance, inTime(timeout)));
  const found: number[] = [];
  for (
    let at = Math.max(0, Math.min(distance - since.bytes, inTime(left)));
    at < all && found.length < 100_000;
    at += every
  )
    found.push(at);
  return found;
}

/** Images of an average page: a change is the first since a checkpoint where one began since the change before. */
function imagesOfPage(life: (at: number) => number[], begun: readonly number[]): number {
  const PAGES = 200;
  let images = 0;
  for (let page = 0; page < PAGES; page++) {
    const changes = life((page + 0.5) / PAGES);
    for (const [at, change] of changes.entries()) {
      const before = changes[at - 1];
      if (before !== undefined && begun.some((one) => one > before && one <= change)) images += 1;
    }
  }
  return images / PAGES;
}

export const walBytes = ({ written, images }: Wal): number =>
  written.heap + written.indexes + written.vacuum + written.catalog + images;
