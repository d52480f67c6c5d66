/** What adopt, maintain, health and partitions say, as lines and as JSON. */
import { oneLine, bytes as sized } from "../../ui/format.js";
import type { AdoptReport } from "../care/adopt.js";
import type { HealthReport } from "../care/health.js";
import { type CareLeaf, shellName, shownName } from "../care/table.js";
import type { HealthChange } from "../care/tell.js";
import type { MaintainOutcome, PartitionsReport } from "../care.js";
import { errorFields } from "./follow.js";

const count = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`;

/** Identifiers that need no quotes are shown without. */
export const plain = (name: string) => oneLine(name.replaceAll(/"([a-z_][a-z0-9_]*)"/g, "$1"));

export function adoptLines(report: AdoptReport): string[] {
  const { policy, column, recognised } = report;
  const cut = recognised === null ? "by nothing that leaves can be made for" : `by ${recognised}`;
  const settings = [
    ...(policy.ahead === undefined ? [] : [`ahead ${policy.ahead}`]),
    `retention ${policy.retention ?? "none"}`,
    `expired ${policy.expired}${policy.archive === undefined ? "" : ` to ${oneLine(policy.archive.to)}`}`,
    ...(policy.leaf === undefined ? [] : [`leaf ${policy.leaf}`]),
  ];
  return [
    `${plain(report.table)}: ${report.strategy}${column === null ? "" : ` on ${oneLine(column)}`}, ${cut}, ${count(report.leaves, "leaf", "leaves")}${report.hasDefault ? ", one of them DEFAULT" : ""}`,
    ...report.odd.map(({ name, bound }) => `  odd   ${oneLine(name)}  ${bound}`),
    ...report.gaps.map(({ from, to }) => `  gap   no leaf from ${from} to ${to}`),
    ...report.limits.map((what) => `  note  ${oneLine(what)}`),
    `  policy  ${settings.join(", ")}${report.stored ? "" : " (not stored: --dry-run)"}`,
  ];
}

export function maintainLines(
  outcome: MaintainOutcome,
  { dryRun = false }: { dryRun?: boolean | undefined },
): string[] {
  if ("error" in outcome) {
    const done = outcome.done === null ? [] : maintainLines(outcome.done, { dryRun });
    return [...done, `${plain(outcome.table)}: failed`];
  }
  const { table, skipped, limits, finished, created, analyzed, retired } = outcome;
  if (skipped !== null) return [`${plain(table)}: skipped, ${skipped}`];
  const would = dryRun ? "would be " : "";
  const shown = retired.filter(({ fate }) => fate.startsWith("would-"));
  return [
    `${plain(table)}: ${created.length} ${would}created, ${analyzed.length} ${would}analyzed, ${retired.length - shown.length} retired${shown.length === 0 ? "" : `, ${shown.length} expired`}`,
    ...limits.map((what) => `  note  ${oneLine(what)}`),
    ...finished.map(({ name, fate }) => `  ${fate}  ${oneLine(name)} (left by an interrupted run)`),
    ...created.map(({ name, from, to }) => `  ${would}created  ${oneLine(name)}  ${from} to ${to}`),
    ...analyzed.map((name) => `  ${would}analyzed  ${plain(name)}`),
    ...retired.map(
      ({ name, bound, fate }) => `  ${fate.replace("would-", "to ")}  ${oneLine(name)}  ${bound}`,
    ),
    ...(shown.length > 0 && !dryRun ? ["  expired leaves are only touched with --apply"] : []),
  ];
}

export function maintainJson(outcomes: readonly MaintainOutcome[]): unknown {
  return outcomes.map((one) =>
    "error" in one ? { table: one.table, error: errorFields(one.error), done: one.done } : one,
  );
}

export function healthLines(report: HealthReport): string[] {
  const span = report.oldest === null ? "" : `, ${oneLine(report.oldest)} to ${oneLine(report.newest ?? "")}`;
  return [
    `${report.status.padEnd(14)}  ${plain(report.table)}  ${count(report.leaves, "leaf", "leaves")}${span}, about ${count(report.rows, "row", "rows")}, ${sized(report.bytes)}`,
    ...(report.interval === null
      ? []
      : [
          `  by ${report.interval}, leaves until ${report.coveredUntil ?? "before now"}, last maintenance ${report.lastMaintenance ?? "never"}`,
        ]),
    ...report.findings.map(({ level, what, next }) => `  ${level}: ${oneLine(what)}; next: ${oneLine(next)}`),
  ];
}

/** Who was told of a change of status. */
export function changeLines({ table, before, status, told }: HealthChange): string[] {
  return told.map(
    ({ to, ok, how }) =>
      `${plain(table)}: ${before ?? "new"} -> ${status}, ${ok ? "told" : "NOT told"}: ${oneLine(to)} (${oneLine(how)})`,
  );
}

/** One object a leaf. */
export function leafRows({ table, bytes, cold }: PartitionsReport): unknown {
  const leaves = table.leaves.map(
    ({ schema, name, kind, boundText, pending, rows, oid, lastAnalyze, lastVacuum }) => ({
      ...{
        schema,
        name,
        kind,
        bound: boundText,
        pending,
        rows,
        bytes: bytes.get(oid) ?? 0,
        lastAnalyze,
        lastVacuum,
      },
    }),
  );
  const away = cold.map(({ schema, name, bound, rows }) => ({
    ...{ schema, name, kind: "cold", bound, pending: false, rows: rows ?? 0, bytes: 0 },
    ...{ lastAnalyze: null, lastVacuum: null },
  }));
  return [...leaves, ...away];
}

export function partitionLines({ table, bytes, cold }: PartitionsReport, tree: boolean): string[] {
  const cells = table.leaves.map((leaf) => [
    plain(leaf.schema === table.schema ? leaf.name : shownName(leaf)),
    `${leaf.boundText.replace("FOR VALUES ", "")}${state(leaf)}`,
    `about ${count(leaf.rows, "row", "rows")}`,
    sized(bytes.get(leaf.oid) ?? 0),
  ]);
  for (const { name, bound, rows } of cold)
    cells.push([
      oneLine(name),
      `${bound.replace("FOR VALUES ", "")} (cold)`,
      `${count(rows ?? 0, "row", "rows")}`,
      "elsewhere",
    ]);
  const widths = [0, 1, 2].map((at) => Math.max(0, ...cells.map((row) => (row[at] ?? "").length)));
  const lines = cells.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const head = `${plain(shownName(table))}  ${table.strategy} on ${oneLine(table.column ?? "several columns or an expression")}, ${count(table.leaves.length, "leaf", "leaves")}`;
  if (lines.length === 0) return [head, `  none: partway adopt ${shellName(table)}, then partway maintain`];
  return [
    head,
    ...lines.map((line, at) => `${tree ? (at === lines.length - 1 ? "`-- " : "|-- ") : "  "}${line}`),
  ];
}

function state({ kind, pending }: CareLeaf): string {
  return `${kind === "table" ? "" : ` (${kind})`}${pending ? " DETACH PENDING" : ""}`;
}
