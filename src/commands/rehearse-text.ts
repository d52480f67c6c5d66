/** A rehearsal for people: a table of all statements, then what is the matter with those that have something. Pure. */
import { oneLine } from "../engine/rehearsed.js";
import type { RehearsalReport } from "../rehearsal.js";
import { isHeldUp } from "../rehearse/rehearse.js";
import type { Rehearsed } from "../rehearse/types.js";
import { block, code, page, prose, section, table } from "./markdown.js";

const HEAD = ["n", "verdict", "leaves", "cost before", "after", "ratio", "calls", "statement"];

/** Ends with a line end. */
export function rehearsalText(report: RehearsalReport): string {
  const rows = [HEAD, ...report.statements.map((one) => cells(one, 80))];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === HEAD.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join("  "),
  );
  const details = told(report.statements).flatMap((one) => [
    "",
    `${one.n}. ${one.verdict}${report.open.includes(one.n) || !isHeldUp(one) ? "" : " (accepted)"}: ${oneLine(one.text, 400)}`,
    ...facts(one).map((line) => `   ${oneLine(line, 1000)}`),
  ]);
  return `${[title(report), "", ...lines, ...details, "", ...closing(report)].join("\n")}\n`;
}

/** For a change request. */
export function rehearsalMarkdown(report: RehearsalReport): string {
  const rows = report.statements.map((one) => {
    const texts = cells(one, 80);
    return [...texts.slice(0, -1), code(texts.at(-1) ?? "")];
  });
  const details = told(report.statements).map((one) =>
    section(
      3,
      `${one.n}. ${one.verdict}${report.open.includes(one.n) || !isHeldUp(one) ? "" : " (accepted)"}`,
      block("sql", one.text.trim().split("\n")),
      facts(one)
        .map((line) => `- ${prose(line)}`)
        .join("\n"),
    ),
  );
  const close = closing(report).map((line) => `- ${prose(line)}`);
  return page(section(2, prose(title(report)), table(HEAD, rows)), ...details, close.join("\n"));
}

function title({ table: name, from, statements }: RehearsalReport): string {
  return `${name}: ${statements.length} statements from ${from}, planned on the table as it is and on the new one`;
}

const told = (statements: readonly Rehearsed[]): Rehearsed[] =>
  statements.filter(({ reasons }) => reasons.length > 0);

function cells(one: Rehearsed, width: number): string[] {
  const { leaves, cost } = one;
  return [
    String(one.n),
    one.verdict,
    leaves === null ? "-" : `${leaves.scanned} of ${leaves.total}`,
    cost === null ? "-" : cost.before.toFixed(2),
    cost === null ? "-" : cost.after.toFixed(2),
    cost === null ? "-" : cost.ratio.toFixed(1),
    one.calls === null ? "-" : String(one.calls),
    oneLine(one.text, width),
  ];
}

function facts(one: Rehearsed): string[] {
  const { leaves, indexes, measured } = one;
  const lines = one.reasons.map((reason) => reason);
  if (leaves?.prepared !== null && leaves !== null && leaves.prepared > leaves.scanned)
    lines.push(`as a generic plan it reads ${leaves.prepared} of ${leaves.total} leaves`);
  if (indexes.before.length > 0)
    lines.push(
      `index before: ${indexes.before.join(", ")}${indexes.lost.length > 0 ? `; not used any more: ${indexes.lost.join(", ")}` : "; used on the leaves as well"}`,
    );
  if (measured !== null)
    lines.push(
      `measured: ${measured.beforeMs.toFixed(2)} ms before, ${measured.afterMs.toFixed(2)} ms after`,
    );
  return [...lines, ...one.advice];
}

function closing({ migration, open, statements, limits }: RehearsalReport): string[] {
  const verdict =
    open.length === 0
      ? `Nothing holds up the cutover: partway cutover ${migration}`
      : `The cutover is held up by ${open.join(", ")}. Mend the statements and rehearse again, or accept: partway rehearse ${migration} --accept ${open.join(" ")}`;
  const none =
    statements.length === 0 ? ["No statement speaks of the table: this rehearsal says nothing."] : [];
  return [...none, ...limits.map((limit) => `Not seen: ${limit}.`), verdict];
}
