/** What a maintenance run has to do, from what there is, the policy and the clock. Pure: the dry run prints this. */
import type { ArchiveSettings } from "../config/schema.js";
import { renderLeafName } from "../config/template.js";
import { freeName } from "../plan/names.js";
import { parseBound } from "./bound.js";
import { type Grid, indexOf, partOf, type Range, recognise, standsOn, startAt, textOf } from "./grid.js";
import { cutoffOf, type Policy } from "./policy.js";
import { type CareLeaf, type CareTable, rangeOf } from "./table.js";

export interface NewLeaf {
  name: string;
  /** Literals for FOR VALUES, in UTC. */
  from: string;
  to: string;
}

/** The grid the table's leaves stand on, and the leaves that do not (DEFAULT is none of them). */
export function recogniseTable(table: CareTable): { grid: Grid | null; odd: CareLeaf[] } {
  const { axis } = table;
  if (axis === null) return { grid: null, odd: [] };
  const ranged = table.leaves.filter(({ bound }) => bound.kind === "range");
  const grid = recognise(
    axis,
    ranged.flatMap(({ range }) => (range === null ? [] : [range])),
  );
  return {
    grid,
    odd: ranged.filter(({ range }) => grid === null || range === null || !standsOn(grid, range)),
  };
}

/** A stretch without a leaf, in positions: `from` belongs to it, `to` does not. */
export interface Stretch {
  from: bigint;
  to: bigint;
}

/** What of `stretch` no leaf covers. A bound that is not whole is rounded so that nothing overlaps. */
export function uncovered(ranges: readonly Range[], stretch: Stretch): Stretch[] {
  let left: Stretch[] = [stretch];
  for (const { from, to } of ranges)
    left = left.flatMap((piece) => {
      const [low, high] = [from?.low ?? piece.from, to?.high ?? piece.to];
      if (high <= piece.from || low >= piece.to) return [piece];
      return [
        { from: piece.from, to: low },
        { from: high, to: piece.to },
      ].filter((rest) => rest.from < rest.to);
    });
  return left;
}

/** What is covered: a leaf whose detach is pending takes no rows any more. */
export function rangesOf(table: CareTable): Range[] {
  return table.leaves.flatMap(({ range, pending }) => (range === null || pending ? [] : [range]));
}

/** Stretches without a leaf between the oldest and the newest finite bound. `cold`: bounds of leaves on another server. */
export function gapsOf(table: CareTable, cold: readonly string[] = []): Stretch[] {
  const ends = rangesOf(table).flatMap(({ from, to }) =>
    [from, to].flatMap((at) => (at === null ? [] : [at])),
  );
  const [first, ...others] = ends;
  if (first === undefined) return [];
  let [from, to] = [first.low, first.high];
  for (const { low, high } of others) {
    if (low < from) from = low;
    if (high > to) to = high;
  }
  const away = cold.flatMap((bound) => rangeOf(table.axis, parseBound(bound)) ?? []);
  return uncovered([...rangesOf(table), ...away], { from, to });
}

/**
 * The leaves that are missing from the interval of `now` to the policy's last one ahead. An interval that other leaves
 * cover in part gets a leaf for the rest. `taken`: every name in the schema. Empty where nothing can be cut.
 */
export function missingLeaves(
  table: CareTable,
  policy: Policy,
  now: bigint,
  taken: Iterable<string>,
): NewLeaf[] {
  const { grid, ahead, leaf: template } = policy;
  const { axis } = table;
  if (grid === null || axis === null) return [];
  const names = new Set(taken);
  // A pending detach still keeps its range from others.
  const ranges = table.leaves.flatMap(({ range }) => (range === null ? [] : [range]));
  const first = indexOf(grid, now);
  const made: NewLeaf[] = [];
  for (let at = first; at <= first + BigInt(ahead); at++) {
    const whole = { from: startAt(grid, at), to: startAt(grid, at + 1n) };
    if (axis.kind === "number" && whole.to > axis.largest) break;
    for (const { from, to } of uncovered(ranges, whole)) {
      const name = freeName(renderLeafName(template, table.name, partOf(grid, from)), names);
      names.add(name);
      made.push({ name, from: textOf(axis, from), to: textOf(axis, to) });
    }
  }
  return made;
}

/**
 * The leaves whose UPPER bound is not above now minus retention, oldest first: in one whose lower bound alone is past
 * it there may be rows that are not (FEATURES N21). A bound that is no whole hour counts as the next one.
 * `restored`: OIDs of leaves that were brought back, and are to stay.
 */
export function expiredLeaves(
  table: CareTable,
  policy: Policy,
  now: bigint,
  restored: ReadonlySet<string> = new Set(),
): CareLeaf[] {
  return table.leaves.filter(
    ({ oid, kind, pending, range }) =>
      kind !== "foreign" && !pending && !restored.has(oid) && hasExpired(range, policy, now),
  );
}

function hasExpired(range: Range | null, { retention, grid }: Policy, now: bigint): boolean {
  if (retention === null || grid === null || range === null || range.to === null) return false;
  return range.to.high <= cutoffOf(retention, now);
}

/** What is to become of an expired leaf once it is detached: it stays, goes, or goes when its archive is proven. */
export type Then = { do: "detach" | "drop" } | { do: "archive"; settings: ArchiveSettings };

export function thenOf({ expired, archive }: Pick<Policy, "expired" | "archive">): Then {
  if (expired !== "archive") return { do: expired };
  if (archive === null) throw new Error("a policy that archives says where to");
  return { do: expired, settings: archive };
}

/** The same of a leaf that was noted to be dropped, by the policy of today. `bound`: as it was noted. */
export function thenStill(table: CareTable, policy: Policy, now: bigint | null, bound: string): Then {
  if (now === null || !hasExpired(rangeOf(table.axis, parseBound(bound)), policy, now))
    return { do: "detach" };
  return thenOf(policy);
}

/**
 * How many intervals now lies beyond the end of every leaf, when that is more than maintenance makes ahead: either
 * nobody has maintained the table for long, or the clock is wrong. Null: it does not, or there is no telling.
 */
export function clockBeyond(table: CareTable, { grid, ahead }: Policy, now: bigint): bigint | null {
  if (grid?.kind !== "time") return null;
  let end: bigint | null = null;
  for (const { to } of rangesOf(table)) {
    if (to === null) return null;
    if (end === null || to.high > end) end = to.high;
  }
  if (end === null || now < end) return null;
  const beyond = indexOf(grid, now) - indexOf(grid, end);
  return beyond > BigInt(ahead) ? beyond : null;
}

/** What maintenance cannot do for a table, said by adopt, maintain and health. */
export interface Limit {
  code: "interval-unknown" | "leaves-partitioned";
  what: string;
}

export function limitsOf(table: CareTable, { grid }: Pick<Policy, "grid">): Limit[] {
  if (table.strategy !== "range") return [];
  const none = "no leaf can be made ahead, and none expires";
  const limits: Limit[] = [];
  if (table.axis === null)
    limits.push({
      code: "interval-unknown",
      what: `it is not cut by one column of a time or a whole number: ${none}`,
    });
  else if (grid === null && table.leaves.length > 0)
    limits.push({ code: "interval-unknown", what: `the bounds stand on no interval of UTC: ${none}` });
  if (table.leaves.some(({ kind }) => kind === "partitioned"))
    limits.push({
      code: "leaves-partitioned",
      what: "leaves are partitioned themselves: new ones have to be made by hand",
    });
  return limits;
}

/** A leaf whose statistics are missing, or a tenth of whose rows have changed since. */
export function isStale({ kind, lastAnalyze, rows, changed }: CareLeaf): boolean {
  if (kind === "foreign") return false;
  return changed > 50 + rows / 10 || (lastAnalyze === null && rows > 0);
}
