/** A table, a survey and a request that nothing stands in the way of; each test changes what it is about. */
import type { ColumnInfo, IndexInfo, TableInfo } from "../../src/catalog/types.js";
import { parseRequest, type RawOptions } from "../../src/config/request.js";
import { makePlan } from "../../src/plan/index.js";
import type { Plan, Survey } from "../../src/plan/types.js";

export function column(name: string, type: string, over: Partial<ColumnInfo> = {}): ColumnInfo {
  const baseType = `pg_catalog.${BASE[type] ?? type}`;
  return {
    attnum: 1,
    name,
    type,
    baseType,
    typeKind: "b",
    typeCategory: "N",
    sendFunction: null,
    equalIsIdentical: true,
    hasBtree: true,
    hasHash: true,
    notNull: true,
    default: null,
    identity: null,
    generated: null,
    collation: null,
    statistics: null,
    options: [],
    comment: null,
    ...over,
  };
}

const BASE: Record<string, string> = {
  bigint: "int8",
  integer: "int4",
  smallint: "int2",
  boolean: "bool",
  "timestamp with time zone": "timestamptz",
  "timestamp without time zone": "timestamp",
  "double precision": "float8",
};

export function index(name: string, columns: (string | null)[], over: Partial<IndexInfo> = {}): IndexInfo {
  return {
    oid: "1",
    name,
    method: "btree",
    unique: false,
    primary: false,
    valid: true,
    nullsNotDistinct: false,
    columns,
    include: [],
    partial: false,
    plain: true,
    tail: ` USING btree (${columns.join(", ")})`,
    options: [],
    tablespace: null,
    clustered: false,
    constraint: null,
    comment: null,
    sizeBytes: 8192,
    ...over,
  };
}

export function primaryKey(name: string, columns: string[], over: Partial<IndexInfo> = {}): IndexInfo {
  const constraint = { name, kind: "p", deferrable: false } as const;
  return index(name, columns, { unique: true, primary: true, constraint, ...over });
}

export function table(over: Partial<TableInfo> = {}): TableInfo {
  return {
    serverVersion: 150_018,
    database: "app",
    oid: "1000",
    schema: "public",
    name: "orders",
    kind: "r",
    persistence: "p",
    owner: "app",
    filenode: "1000",
    columns: [
      column("id", "bigint"),
      column("created_at", "timestamp with time zone"),
      column("day", "date"),
      column("region", "text"),
      column("amount", "double precision", { notNull: false }),
      column("note", "jsonb", { notNull: false, equalIsIdentical: false }),
      column("doc", "json", { notNull: false, hasBtree: false, hasHash: false, equalIsIdentical: false }),
    ],
    indexes: [primaryKey("orders_pkey", ["id"]), index("orders_region_idx", ["region"])],
    checks: [],
    sequences: [],
    grants: null,
    columnGrants: [],
    defaultGrantees: [],
    options: [],
    toastOptions: [],
    tablespace: null,
    replicaIdentity: "d",
    rowSecurity: false,
    forceRowSecurity: false,
    ofType: null,
    comment: null,
    dependents: [],
    estimatedRows: 5_000_000,
    blocks: 50_000,
    heapBytes: 600_000_000,
    toastBytes: 0,
    indexBytes: 300_000_000,
    namesInSchema: ["orders", "orders_pkey", "orders_region_idx"],
    rights: {
      role: "app",
      superuser: false,
      ownsTable: true,
      createInSchema: true,
      createInDatabase: true,
      partwaySchema: "absent",
      selectTable: true,
    },
    ...over,
  };
}

export function surveyOf(over: Partial<Survey> = {}): Survey {
  return {
    now: "2026-03-15T12:00:00.000Z",
    min: "2026-01-20 08:30:00.123456+00",
    max: "2026-03-15 11:59:59+00",
    nullRows: false,
    infiniteRows: false,
    distinct: [],
    sample: { values: [], fraction: 1 },
    rows: 5_000_000,
    ...over,
  };
}

export interface Given {
  table?: Partial<TableInfo>;
  survey?: Partial<Survey>;
  options?: RawOptions;
}

/** The plan of the fixture with what `given` changes; monthly by created_at, two leaves ahead, where it says nothing. */
export function planOf(given: Given = {}): Plan {
  return makePlan({
    table: table(given.table),
    survey: surveyOf(given.survey),
    request: parseRequest("orders", given.options ?? { by: "created_at", every: "month", ahead: "2" }),
    fingerprint: { lines: [] },
    id: "orders_3f9a1c",
    nonce: "n",
  });
}

/** `name [from, to)` of every leaf. */
export function shownLeaves(plan: Plan): string[] {
  return plan.leaves.map(({ name, bounds }) => {
    if (bounds.kind === "range") return `${name} [${bounds.from}, ${bounds.to})`;
    if (bounds.kind === "default") return `${name} DEFAULT`;
    return bounds.kind === "hash"
      ? `${name} ${bounds.remainder} of ${bounds.modulus}`
      : `${name} = ${bounds.value}`;
  });
}
