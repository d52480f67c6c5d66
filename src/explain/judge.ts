/** How many leaves of a partitioned table a plan has, and which condition is missing. Pure. */
import { parseBound } from "../care/bound.js";
import { ident, literal } from "../pg/quote.js";
import { missingPredicate } from "../rehearse/judge.js";
import type { PlanFacts } from "../rehearse/planfacts.js";
import type { Shape } from "../rehearse/shape.js";
import type { CutTable } from "./tables.js";
import { type ExplainedTable, touched } from "./types.js";

export interface PlansOf {
  /** With the values given, or for any. */
  plan: PlanFacts;
  generic: boolean;
  /** The plan for any values, begun with those given; null: there are none. */
  prepared: PlanFacts | null;
  measured: PlanFacts | null;
}

/** The leaves by name, and what to write where all of them are read. */
export function judgeTable(table: CutTable, condition: Shape["partition"], plans: PlansOf): ExplainedTable {
  const { plan, generic, prepared, measured } = plans;
  const shown = among(table, plan.scanned);
  const found: ExplainedTable = {
    ...{ table: `${table.schema}.${table.name}`, strategy: table.strategy, key: table.key },
    ...{ column: columnOf(table), total: table.leaves.length, condition },
    planned: Math.min(table.leaves.length, Math.max(shown.length, ...removedOf(table, plan))),
    opened: generic ? null : shown.length,
    read: measured === null ? null : among(table, measured.scanned).length,
    prepared: prepared === null ? null : among(table, prepared.scanned).length,
    leaves: measured === null ? shown : among(table, measured.scanned),
    advice: null,
  };
  return { ...found, advice: adviceOf(table, found) };
}

function among({ leaves }: CutTable, names: readonly string[]): string[] {
  const known = new Set(leaves);
  return names.filter((name) => known.has(name));
}

/**
 * Leaves in the plan by each Append that has lost some at its start. One that has lost all does not say whose they were:
 * those of a table of which nothing else is in the plan; of two such tables it may be either, and counts for both.
 */
function removedOf(table: CutTable, plan: PlanFacts): number[] {
  const isElsewhere = among(table, plan.scanned).length > 0;
  return plan.removed.flatMap(({ count, scanned }) => {
    const mine = among(table, scanned).length;
    return mine > 0 || (scanned.length === 0 && !isElsewhere) ? [mine + count] : [];
  });
}

/** Without a condition on the first column of a range nothing is left out; hash needs all of its columns. */
export function columnOf({ columns }: Pick<CutTable, "columns">): string | null {
  return columns[0] ?? null;
}

function adviceOf(table: CutTable, found: ExplainedTable): string | null {
  const { total, condition, opened, prepared } = found;
  if (total < 2 || touched(found) < total) return null;
  // For any values nothing can be left out yet: a comparison with them does it when the execution begins.
  if (opened === null && condition === "compared") return null;
  const column = columnOf(table);
  if (column === null)
    return `Leaves are left out only by a condition on ${table.key.replace(/^\w+ /, "")} itself, written as there.`;
  const example = exampleOf(table);
  const advice = missingPredicate({
    ...{
      partition: condition,
      column,
      isHash: table.strategy === "hash",
      analyze: "partway explain --analyze",
    },
    ...(example === null ? {} : { example }),
  });
  return prepared !== null && prepared < total ? null : advice;
}

/** A condition that one of its leaves answers, with that leaf's own bounds. */
export function exampleOf({ strategy, columns, bounds }: CutTable): string | null {
  const named = columns.flatMap((column) => (column === null ? [] : [name(column)]));
  const [column] = named;
  if (column === undefined || named.length < columns.length) return null;
  if (strategy === "hash") return named.map((one) => `AND ${one} = ...`).join(" ");
  if (strategy === "list") {
    const value = bounds.flatMap(
      (bound) => /^FOR VALUES IN \((('(?:[^']|'')*')|[^',\s)]+)/.exec(bound)?.[1] ?? [],
    );
    return value[0] === undefined ? null : `AND ${column} = ${value[0]}`;
  }
  for (const text of bounds.toReversed()) {
    const bound = parseBound(text);
    if (bound.kind !== "range") continue;
    const [from, to] = [bound.from[0], bound.to[0]];
    if (from?.kind === "value" && to?.kind === "value" && from.text !== to.text)
      return `AND ${column} >= ${literal(from.text)} AND ${column} < ${literal(to.text)}`;
  }
  return null;
}

const name = (column: string): string => (/^[a-z_][a-z0-9_]*$/.test(column) ? column : ident(column));
