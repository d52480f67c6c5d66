/** Partitioned tables that are there only in the test's head. */
import { parseBound } from "../../src/care/bound.js";
import { type Axis, positionOf } from "../../src/care/grid.js";
import type { CareLeaf, CareTable } from "../../src/care/table.js";

export const TIME: Axis = { kind: "time", type: "timestamptz" };

/** A time in UTC as a position. */
export function at(text: string): bigint {
  const position = positionOf(TIME, /^\d{4}-\d\d-\d\d \d\d:\d\d$/.test(text) ? `${text}:00+00` : text);
  if (position === null) throw new Error(`not a time: ${text}`);
  return position.low;
}

/** Table `t` whose leaves l0, l1, ... go from each end to the next; "-" leaves a gap. */
export function careTable(ends: readonly string[], axis: Axis = TIME): CareTable {
  const value = (text: string) =>
    /VALUE$/.test(text) ? text : `'${text.length === 16 ? `${text}:00+00` : text}'`;
  const leaves: CareLeaf[] = [];
  for (const [index, from] of ends.entries()) {
    const to = ends[index + 1];
    if (to === undefined || from === "-" || to === "-") continue;
    const boundText = `FOR VALUES FROM (${value(from)}) TO (${value(to)})`;
    const place = (text: string) => (/VALUE$/.test(text) ? null : positionOf(axis, value(text).slice(1, -1)));
    leaves.push({
      ...{ oid: String(index), schema: "public", name: `l${index}`, kind: "table", boundText },
      ...{ bound: parseBound(boundText), range: { from: place(from), to: place(to) } },
      ...{ pending: false, rows: 0, changed: 0, lastAnalyze: null, lastVacuum: null },
    });
  }
  return {
    ...{ oid: "1", schema: "public", name: "t", serverVersion: 180_000, strategy: "range", column: "at" },
    ...{ axis, leaves, now: "2026-01-01 00:00:00", lastAnalyze: null },
  };
}
