/** A partitioned table as the catalog has it, for its care: leaves by pg_inherits, bounds by relpartbound. */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import { resolveTable } from "../catalog/resolve.js";
import { UnknownTable } from "../errors.js";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { type Bound, type BoundValue, parseBound } from "./bound.js";
import { type Axis, positionOf, type Range } from "./grid.js";

export interface CareLeaf {
  oid: string;
  schema: string;
  name: string;
  kind: "table" | "partitioned" | "foreign";
  bound: Bound;
  /** As PostgreSQL prints it in UTC. */
  boundText: string;
  /** In positions of the table's axis; null for DEFAULT, hash and list, and where there is no axis. */
  range: Range | null;
  /** DETACH CONCURRENTLY was begun and not finished. */
  pending: boolean;
  /** Estimated, by the statistics system. */
  rows: number;
  /** Rows changed since the last ANALYZE. */
  changed: number;
  /** UTC, to the second; null: never. */
  lastAnalyze: string | null;
  lastVacuum: string | null;
}

export interface CareTable {
  oid: string;
  schema: string;
  name: string;
  serverVersion: number;
  strategy: "range" | "list" | "hash";
  /** The one column it is cut by; null for several, and for an expression. */
  column: string | null;
  /** What its bounds count; null where Partway cannot make leaves. */
  axis: Axis | null;
  /** In the order of their lower bounds. */
  leaves: CareLeaf[];
  /** The database's clock, UTC, to the second. */
  now: string;
  lastAnalyze: string | null;
}

const stamp = (value: string) => `to_char(${value} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')`;

const LEAVES = /*sql*/ `
  SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
         pg_get_expr(c.relpartbound, c.oid) AS "boundText", i.inhdetachpending AS pending,
         coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint) AS rows,
         pg_stat_get_mod_since_analyze(c.oid) AS changed,
         ${stamp("greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))")} AS "lastAnalyze",
         ${stamp("greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid))")} AS "lastVacuum"
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE i.inhparent = $1::oid
   ORDER BY c.relname`;

const LeafRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["r", "p", "f"]),
  boundText: z.string(),
  pending: z.boolean(),
  rows: z.number(),
  changed: z.number(),
  lastAnalyze: z.string().nullable(),
  lastVacuum: z.string().nullable(),
});

const TABLE = /*sql*/ `
  SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, p.partstrat AS strategy,
         current_setting('server_version_num')::int AS "serverVersion", ${stamp("clock_timestamp()")} AS now,
         ${stamp("greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))")} AS "lastAnalyze",
         (SELECT coalesce(json_agg(json_build_object('name', a.attname,
                    'type', format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL)) ORDER BY k.at), '[]')
            FROM unnest(p.partattrs::int2[]) WITH ORDINALITY AS k(attnum, at)
            LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0
            LEFT JOIN pg_type t ON t.oid = a.atttypid) AS key,
         (SELECT coalesce(json_agg(row_to_json(leaf)), '[]') FROM (${LEAVES}) AS leaf) AS leaves
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
   WHERE c.oid = $1::oid`;

const TableRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.string(),
  strategy: z.enum(["r", "l", "h"]).nullable(),
  serverVersion: z.number(),
  now: z.string(),
  lastAnalyze: z.string().nullable(),
  key: z.array(z.object({ name: z.string().nullable(), type: z.string().nullable() })),
  leaves: z.array(LeafRow),
});

const STRATEGY = { r: "range", l: "list", h: "hash" } as const;
const KIND = { r: "table", p: "partitioned", f: "foreign" } as const;

const AXES: Record<string, Axis> = {
  date: { kind: "time", type: "date" },
  "timestamp without time zone": { kind: "time", type: "timestamp" },
  "timestamp with time zone": { kind: "time", type: "timestamptz" },
  smallint: { kind: "number", largest: 2n ** 15n - 1n },
  integer: { kind: "number", largest: 2n ** 31n - 1n },
  bigint: { kind: "number", largest: 2n ** 63n - 1n },
};

/** `schema.table`, quoted. */
export function shownName({ schema, name }: { schema: string; name: string }): string {
  return qualified(schema, name);
}

/** `schema.table`, in quotes for the shell where it needs SQL's own. */
export function shellName({ schema, name }: Pick<CareTable, "schema" | "name">): string {
  if ([schema, name].every((part) => /^[a-z_][a-z0-9_]*$/.test(part))) return `${schema}.${name}`;
  return `'${shownName({ schema, name }).replaceAll("'", `'\\''`)}'`;
}

/** The partitioned table called `typed`, or of that oid. Errors: bad-input when it is not there, or not partitioned. */
export async function readCareTable(
  session: Session,
  named: { typed: string } | { oid: string },
): Promise<CareTable> {
  const oid = "oid" in named ? named.oid : await session.tx(() => resolveTable(session, named.typed));
  const [row] = await jsonRows(session, TableRow, TABLE, [oid]);
  if (row === undefined)
    throw new UnknownTable(`there is no table with oid ${oid}`, "partway health lists those in care.");
  const { kind, strategy, key, leaves, ...known } = row;
  if (strategy === null)
    throw new UnknownTable(
      `${row.schema}.${row.name} is not a partitioned table`,
      kind === "r"
        ? `Name the partitioned table, or make it one: partway plan ${shellName(row)} --by <column> --every month.`
        : "Name a partitioned table.",
    );
  const [first, ...others] = key;
  const column = others.length === 0 ? (first?.name ?? null) : null;
  const axis = strategy === "r" && column !== null ? (AXES[first?.type ?? ""] ?? null) : null;
  return {
    ...known,
    strategy: STRATEGY[strategy],
    column,
    axis,
    leaves: leavesOf(leaves, axis),
  };
}

function leavesOf(rows: readonly z.output<typeof LeafRow>[], axis: Axis | null): CareLeaf[] {
  const leaves = rows.map(({ kind, ...row }): CareLeaf => {
    const bound = parseBound(row.boundText);
    return { ...row, kind: KIND[kind], bound, range: rangeOf(axis, bound) };
  });
  return leaves.toSorted((a, b) => compare(lowest(a), lowest(b)));
}

/** Null, too, for a finite bound without a position, and where it holds infinity alone: nothing counted is covered. */
export function rangeOf(axis: Axis | null, bound: Bound): Range | null {
  if (axis === null || bound.kind !== "range") return null;
  const [from, to] = [bound.from[0], bound.to[0]];
  if (from === undefined || to === undefined || !reads(axis, from) || !reads(axis, to)) return null;
  if (isInfinity(from, "infinity") || isInfinity(to, "-infinity")) return null;
  const place = (end: BoundValue) => (end.kind === "value" ? positionOf(axis, end.text) : null);
  return { from: place(from), to: place(to) };
}

function isInfinity(end: BoundValue, text: string): boolean {
  return end.kind === "value" && end.text === text;
}

/** `-infinity` and `infinity` are values of time columns, and ends of leaves in practice. */
function reads(axis: Axis, end: BoundValue): boolean {
  return end.kind !== "value" || /^-?infinity$/.test(end.text) || positionOf(axis, end.text) !== null;
}

/** Leaves without a range come last. */
function lowest({ range }: CareLeaf): bigint | null {
  return range === null ? 2n ** 80n : (range.from?.low ?? null);
}

function compare(a: bigint | null, b: bigint | null): number {
  if (a === b) return 0;
  if (a === null) return -1;
  return b === null || a > b ? 1 : -1;
}
