/**
 * Seconds of copy, index and validation. The server is measured by `probeMs` and `hashRowUs` (plan/sample.ts); what a
 * look that writes nothing cannot measure, writing, is taken from a reference server of known probe. Pure.
 */
import type { BytesInput, NewTable, Wal } from "./forecast-bytes.js";

/**
 * Reference: DESIGN 8's prototype, and test/bench/forecast.ts --probe at 1 and 2 million rows on 2 busy cores, told in
 * probes; 2 workers, everything in memory. A number is seconds of the whole phase per row, byte, page, value or leaf.
 */
const REFERENCE = {
  probeMs: 20,
  copy: { row: 0.55e-6, byte: 3e-9 },
  index: { entry: 0.4e-6, byte: 6e-9, page: 25e-6, value: 0.25e-6, leaf: 0.02 },
  validate: { row: 0.1e-6, hashUs: 0.9 },
} as const;

const WORKERS = 2;
/** ANALYZE looks at 300 rows for each of 100 steps of its histograms. */
const ANALYSED_ROWS = 30_000;
/** Opening connections, capture, a first catch-up: also for an empty table. */
const FIXED = { copy: 0.3, index: 0.5, validate: 0.3 } as const;

interface TimeInput extends BytesInput {
  made: NewTable;
  wal: Wal;
  workers: number;
}

/** On a server as busy as it was when it was sampled. */
export function phaseSeconds(input: TimeInput): { phase: "copy" | "index" | "validate"; seconds: number }[] {
  const { sample, made, wal, rows, leaves, indexes, table, workers } = input;
  // More workers than the reference's help less than in proportion; how many cores there are nobody tells.
  const share = (WORKERS / workers) ** 0.7;
  const scale = sample.probeMs / REFERENCE.probeMs;
  const perLeaf = rows / Math.max(1, leaves.length);
  // One reading by each worker; the disk's part was measured on blocks far apart and is shared by them all.
  const disk = table.blocks * sample.blockSeconds;
  const copy = rows * REFERENCE.copy.row + wal.written.heap * REFERENCE.copy.byte;
  const sorted = indexes.reduce((sum, index) => {
    const part = sample.indexes.find(({ name }) => name === index.finalName)?.share ?? 1;
    return sum + rows * part * Math.log2(Math.max(2, perLeaf * part));
  }, 0);
  // Each leaf is analysed by one of the workers, then the parent by one alone.
  const analysed = Math.min(rows, leaves.length * ANALYSED_ROWS) + 2 * Math.min(rows, ANALYSED_ROWS);
  const index =
    (sorted * REFERENCE.index.entry) / 17 +
    made.indexes * REFERENCE.index.byte +
    made.heapPages * REFERENCE.index.page +
    analysed * table.columns.length * REFERENCE.index.value +
    leaves.length * REFERENCE.index.leaf;
  const hashRowUs = sample.hashRowUs ?? Math.max(sample.leastHashRowUs, REFERENCE.validate.hashUs * scale);
  const hashed = (2 * rows * hashRowUs) / 1e6 / WORKERS;
  return [
    { phase: "copy", seconds: FIXED.copy + copy * scale * share + disk },
    { phase: "index", seconds: FIXED.index + index * scale * share },
    {
      phase: "validate",
      seconds: FIXED.validate + (hashed + rows * REFERENCE.validate.row * scale) * share + disk,
    },
  ];
}
