/** What was read of a table, for the health screen. Pure. */
import type { BranchView, TableHealthView } from "../../state/health-view.js";
import type { BoundValue } from "./bound.js";
import { gapsOf } from "./decide.js";
import { textOf } from "./grid.js";
import type { HealthFacts, HealthReport } from "./health.js";
import type { CareLeaf } from "./table.js";

export function healthView(facts: HealthFacts, report: HealthReport): TableHealthView {
  const { table, bytes, now } = facts;
  const { status, leaves, rows, interval, coveredUntil, lastMaintenance, findings } = report;
  const sized = table.leaves.map(({ oid, name }) => ({ name, bytes: bytes.get(oid) ?? 0 }));
  const [biggest] = sized.toSorted((a, b) => b.bytes - a.bytes);
  const key = table.column ?? "several columns or an expression";
  return {
    ...{ table: `${table.schema}.${table.name}`, status, leaves, rows, bytes: report.bytes },
    cut: `${table.strategy} on ${key}${interval === null ? "" : `, by ${interval}`}`,
    missingFrom: now === null || coveredUntil === "for ever" ? null : (coveredUntil ?? "now"),
    biggest: biggest ?? null,
    ...{ gaps: gapsOf(table, facts.cold).length, lastMaintenance },
    findings: findings.map(({ level, what, next }) => ({ level, what, next })),
    tree: treeOf(facts),
  };
}

function treeOf({ table, bytes, now, cold }: HealthFacts): BranchView[] {
  const { axis } = table;
  const gaps = gapsOf(table, cold);
  return table.leaves.flatMap((leaf): BranchView[] => {
    const branch: BranchView = {
      ...{ kind: "leaf", name: leaf.name, rows: leaf.rows, bytes: bytes.get(leaf.oid) ?? 0 },
      bound: boundOf(leaf),
      note: [leaf.kind === "table" ? "" : leaf.kind, leaf.pending ? "DETACH PENDING" : ""]
        .filter(Boolean)
        .join(", "),
      isNow: now !== null && holds(leaf, now),
    };
    const gap = gaps.find(({ from }) => leaf.range !== null && leaf.range.to?.high === from);
    if (gap === undefined || axis === null) return [branch];
    return [branch, { kind: "gap", from: textOf(axis, gap.from), to: textOf(axis, gap.to) }];
  });
}

function holds({ range }: CareLeaf, now: bigint): boolean {
  if (range === null) return false;
  return (range.from === null || range.from.high <= now) && (range.to === null || now < range.to.low);
}

/** Short, or it does not fit on a line of 80: `2026-01-01 to 2026-02-01`. */
function boundOf({ bound, boundText }: CareLeaf): string {
  const [from, to] = bound.kind === "range" ? [bound.from, bound.to] : [[], []];
  const ends = [from[0], to[0]].flatMap((end) => (end === undefined ? [] : [endText(end)]));
  if (from.length !== 1 || ends.length !== 2) return boundText.replace("FOR VALUES ", "");
  return ends.map((text) => text.replace(/ 00:00:00(\+00)?$/, "")).join(" to ");
}

function endText(end: BoundValue): string {
  return end.kind === "value" ? end.text : end.kind === "min" ? "MINVALUE" : "MAXVALUE";
}
