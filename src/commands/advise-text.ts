/** The advice for people. Pure. */
import { bytes, count, oneLine, plural } from "../../ui/format.js";
import type { Advice } from "../advise/advice.js";
import type { AdviceReport } from "../advisor.js";
import { wrapped } from "./plan-text.js";

const TITLES: Record<Advice["urgency"], string> = {
  critical: "CRITICAL",
  high: "HIGH",
  medium: "MEDIUM",
  partitioned: "partitioned already",
  "leave alone": "leave alone",
};

/** The whole text, ending with a line end. `width`: the terminal's; undefined (a pipe): nothing is wrapped. */
export function adviceText(report: AdviceReport, width?: number): string {
  // A command is left whole, to be copied.
  const blocks = report.tables.map((one) =>
    [wrapped(tableLines(one).join("\n"), width), ...(one.next === null ? [] : [`  next: ${one.next}`])].join(
      "\n",
    ),
  );
  return `${[wrapped(headLines(report).join("\n"), width), ...blocks].join("\n\n")}\n`;
}

/** What holds for all tables: how many of each kind, and what the measurements rest on. */
export function headLines({ database, tables, countedDays, noStatements }: AdviceReport): string[] {
  const worth = tables.filter((one) => one.cut !== null).length;
  const alone = tables.filter((one) => one.urgency === "leave alone").length;
  const done = tables.length - worth - alone;
  const since = countedDays === null ? "since a time it does not tell" : `for ${daysText(countedDays)}`;
  return [
    `Database ${oneLine(database)}: ${count(tables.length)} ${tables.length === 1 ? "table" : "tables"}; ${worth} worth partitioning, ${done} partitioned already, ${alone} better left alone`,
    `Measured: sizes and statistics as of the last ANALYZE; the server has counted ${since}; ${noStatements === null ? "statements by pg_stat_statements" : noStatements}`,
  ];
}

function daysText(days: number): string {
  if (days < 1 / 24) return "less than an hour";
  return days < 2 ? plural(Math.round(days * 24), "hour") : plural(Math.round(days), "day");
}

/** The facts of one table on one line. */
export function factsLine(one: Advice): string {
  return [
    one.rows === null ? null : `${count(one.rows)} rows`,
    `${bytes(one.bytes)}${one.indexBytes > 0 ? ` (indexes ${bytes(one.indexBytes)})` : ""}`,
    one.rowsPerMonth === null ? null : `${count(one.rowsPerMonth)} new rows a month (${one.growthBasis})`,
    one.keptDays === null ? null : `kept for about ${Math.round(one.keptDays)} days`,
    one.dead >= 0.05 ? `${Math.round(one.dead * 100)}% dead` : null,
  ]
    .filter((fact) => fact !== null)
    .join("; ");
}

/** `about 26 leaves of 1.2 GB`. */
export function leavesText({ leaves, leafBytes }: NonNullable<Advice["cut"]>): string {
  const size = leafBytes === null ? "" : `, a full one about ${bytes(leafBytes)}`;
  return leaves === 0
    ? "no leaves can be laid out yet (see what is refused)"
    : `${count(leaves)} leaves${size}`;
}

function tableLines(one: Advice): string[] {
  const head = `${TITLES[one.urgency]}  ${oneLine(one.table)}`;
  const why = `  ${oneLine(one.why)}`;
  if (one.cut === null) return [head, why, ...one.notes.map((note) => `  note: ${oneLine(note)}`)];
  return [
    head,
    why,
    `  ${oneLine(factsLine(one))}`,
    `  by: ${oneLine(one.cut.scheme)}; ${leavesText(one.cut)}`,
    `  because: ${oneLine(one.cut.because)}`,
    ...one.refusals.flatMap((refusal) => [
      `  - refused: ${oneLine(refusal.what)} (${refusal.code})`,
      `    remedy: ${oneLine(refusal.remedy)}`,
    ]),
    ...one.notes.map((note) => `  note: ${oneLine(note)}`),
  ];
}
