/** Several tables for people: what is planned, and how each ended. Pure. */
import { oneLine } from "../../ui/format.js";
import type { PlannedAll, PlannedTable } from "../many/plan.js";
import type { AllResult, TableEvent, Turn } from "../many/run.js";
import { costs, planSummary, wrapped } from "./plan-text.js";

/** The whole text, ending with a line end. `width`: the terminal's; undefined (a pipe): nothing is wrapped. */
export function plannedText(planned: PlannedAll, width?: number): string {
  const { tables, forecast: f, parallel } = planned;
  const total =
    f.tables === 0
      ? "Total: no table would be started"
      : `Total of ${f.tables} ${f.tables === 1 ? "table" : "tables"} that would be started, one after the other: ${costs(f.seconds, f.extraDiskBytes, f.walBytes)}`;
  const atOnce = parallel === null ? [] : [`At most ${parallel} at once.`];
  const blocks = tables.map((table, i) => plannedTable(table, i + 1, width));
  return `${[...blocks, wrapped([total, ...atOnce].join("\n"), width)].join("\n\n")}\n`;
}

function plannedTable(one: PlannedTable, at: number, width: number | undefined): string {
  const { plan, error, standing, migration } = one;
  const turn = [
    `priority ${one.priority}`,
    ...(one.after.length === 0 ? [] : [`after ${one.after.join(", ")}`]),
    ...(one.together === null || one.together === false
      ? []
      : [`together${one.together === true ? "" : ` (${one.together})`}`]),
  ];
  const head = `${at}. ${one.table}  (${turn.join("; ")})`;
  const lines: string[] = [];
  if (standing === "migrated") lines.push("  is partitioned already: left as it is");
  if (standing === "open") lines.push(`  migration ${migration} has begun: it is resumed`);
  if (error !== null) lines.push(`  cannot go on: ${error.message}`, `    next: ${error.next}`);
  const facts = wrapped([head, ...lines].join("\n"), width);
  return plan === null ? facts : `${facts}\n${planSummary(plan, width)}`;
}

/** A table's turn came or ended, as one line without its end. */
export function tableLine(event: TableEvent): string {
  const id = event.migration === null ? "" : ` (${event.migration})`;
  return oneLine(`${event.table}  ${event.at} ${event.state}${id}: ${event.what}`);
}

/** Where the whole stands, for the screen of one table. */
export function wholeLine({ at, of, done }: Turn): string {
  return `table ${at} of ${of}, ${done} done`;
}

/** Every table's state and what to type next. */
export function resultText({ tables }: AllResult): string {
  const rows = tables.map(({ table, state, migration, next }) => [
    oneLine(table),
    state,
    migration ?? "-",
    oneLine(next) || "nothing",
  ]);
  const all = [["table", "state", "migration", "next"], ...rows];
  const widths = [0, 1, 2].map((i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  return `${all.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")).join("\n")}\n`;
}
