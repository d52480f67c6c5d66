/** The advice as a page for a ticket or a wiki. Pure. */
import { bytes, count } from "../../ui/format.js";
import type { Advice } from "../advise/advice.js";
import type { AdviceReport } from "../advisor.js";
import { factsLine, headLines, leavesText } from "./advise-text.js";
import { block, code, page, prose, section, table } from "./markdown.js";

/** The whole page, ending with a line end. */
export function adviceMarkdown(report: AdviceReport): string {
  const { tables } = report;
  const rest = tables.filter((one) => one.cut === null);
  return page(
    `# Partitioning advice for ${code(report.database)}`,
    headLines(report).map(prose).join("\n\n"),
    ...tables.flatMap((one) => (one.cut === null ? [] : worth(one, one.cut))),
    section(
      2,
      "The other tables",
      table(
        ["Table", "Rows", "Size", "Advice", "Why"],
        rest.map((one) => [
          code(one.table),
          one.rows === null ? "-" : count(one.rows),
          bytes(one.bytes),
          one.urgency,
          [one.why, ...one.notes].map(prose).join(" "),
        ]),
      ),
    ),
  );
}

function worth(one: Advice, cut: NonNullable<Advice["cut"]>): string[] {
  return [
    section(
      2,
      `${one.urgency.toUpperCase()}: ${code(one.table)}`,
      prose(one.why),
      [
        `- Measured: ${prose(factsLine(one))}`,
        `- By: ${code(cut.scheme)}; ${leavesText(cut)}`,
        `- Because: ${prose(cut.because)}`,
        ...one.refusals.map(
          (refusal) =>
            `- Refused today: ${prose(refusal.what)} (${code(refusal.code)})\n  - remedy: ${prose(refusal.remedy)}`,
        ),
        ...one.consequences.map(
          (told) => `- Changes for the application: ${prose(told.what)} ${prose(told.advice)}`,
        ),
        ...one.notes.map((note) => `- Note: ${prose(note)}`),
      ].join("\n"),
      block("sh", [one.next ?? ""]),
    ),
  ];
}
