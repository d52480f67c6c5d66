/** Facts of a table as the advisor reads them; each test says what it is about. */
import type { Measured, TableFacts } from "../../src/advise/facts.js";
import { judge, type Verdict } from "../../src/advise/judge.js";
import type { ColumnInfo, IndexInfo } from "../../src/catalog/types.js";
import { column, index, primaryKey, table } from "../plan/fixture.js";

export const NOW = "2025-06-20T12:00:00.000Z";
export const MEASURED: Measured = { now: NOW, countedDays: 30.44, noStatements: null };

export interface Given {
  name?: string;
  schema?: string;
  columns?: ColumnInfo[];
  indexes?: IndexInfo[];
  rows?: number;
  /** Of a row with its share of the indexes. */
  bytesPerRow?: number;
  /** Inserts counted in the last month. */
  perMonth?: number;
  deletes?: number;
  dead?: number;
  /** The time column's name and its oldest value. */
  since?: Record<string, string>;
  over?: Partial<TableFacts>;
}

const time = (name: string, over: Partial<ColumnInfo> = {}) =>
  column(name, "timestamp without time zone", over);

/** A table whose key is `id` and whose rows are made at `created_at`, without statements counted. */
export function factsOf(given: Given = {}): TableFacts {
  const { name = "orders", schema = "public", rows = 5_000_000, bytesPerRow = 400 } = given;
  const columns = given.columns ?? [
    column("id", "bigint"),
    column("customer_id", "bigint"),
    time("created_at"),
  ];
  const since = given.since ?? { created_at: "2024-06-20 00:00:00" };
  const reach = Object.entries(since).map(([of, min]) => [
    of,
    { min, max: "2025-06-20 11:59:00", infinite: false, from: "index" as const },
  ]);
  const bytes = rows * bytesPerRow;
  return {
    summary: {
      ...{ oid: "1", schema, name, kind: "r", rows },
      ...{ heapBytes: bytes * 0.6, toastBytes: 0, indexBytes: bytes * 0.4 },
      activity: {
        ...{ inserts: given.perMonth ?? 0, updates: 0, hotUpdates: 0, deletes: given.deletes ?? 0 },
        ...{ live: rows, dead: given.dead ?? 0, indexScans: 0, seqScans: 0 },
      },
    },
    table: table({
      ...{ schema, name, columns, namesInSchema: [name], estimatedRows: rows },
      indexes: given.indexes ?? [
        primaryKey(`${name}_pkey`, ["id"]),
        index(`${name}_customer`, ["customer_id"]),
      ],
    }),
    columns: {},
    reach: Object.fromEntries(reach),
    scans: {},
    use: null,
    ...given.over,
  };
}

export const verdictOf = (given: Given = {}, measured: Partial<Measured> = {}): Verdict =>
  judge(factsOf(given), { ...MEASURED, ...measured });

/** `high month`, `medium hash 8`, `leave alone: small`. */
export function shown({ urgency, rule, cut }: Verdict): string {
  if (cut === null) return `${urgency}: ${rule}`;
  const { scheme } = cut;
  const how = {
    "range-time": () => (scheme.kind === "range-time" ? scheme.every : ""),
    "range-int": () => (scheme.kind === "range-int" ? `step ${scheme.step}` : ""),
    hash: () => (scheme.kind === "hash" ? `hash ${scheme.modulus}` : ""),
    list: () => (scheme.kind === "list" ? `list ${scheme.values.join(",")}` : ""),
  }[scheme.kind]();
  return `${urgency} ${scheme.column} ${how}`;
}
