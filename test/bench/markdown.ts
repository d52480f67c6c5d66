/** README's section on performance, from a result. Pure. */
import type { Result } from "./result.js";
import { tablesOf } from "./tables.js";
import { judged } from "./targets.js";

/** Of these tables the README has no need: what is in them is for whoever looks into a number. */
const LEFT = new Set(["Partway's index phase"]);

/** Starts with a heading of the second level. A run that was cut off says so. */
export function markdown(result: Result): string {
  const verdicts = judged(result);
  const count = (verdict: string) => verdicts.filter((one) => one.verdict === verdict).length;
  const { machine, settings } = result;
  const list = (of: Record<string, string>) =>
    Object.entries(of)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ");
  return [
    "## Performance",
    [
      `Measured on ${result.started.slice(0, 10)} by \`${result.command}\` with Partway ${result.partway}: ${result.rows.toLocaleString("en-US")} rows of ${Math.round(result.rowBytes)} bytes, 28 monthly leaves, a primary key and 2 indexes.`,
      `Of ${verdicts.length} targets ${count("met")} are met, ${count("missed")} missed, ${count("not measured")} not measured.`,
      ...(result.finished === null ? ["The run was cut off: what it had measured until then."] : []),
    ].join(" "),
    `Machine: ${list(machine)}.`,
    `Server: ${list(settings)}.`,
    ...tablesOf(result)
      .filter(({ title }) => !LEFT.has(title))
      .map(({ title, note, head, rows }) =>
        [
          `### ${title}\n`,
          ...(note === undefined ? [] : [`${note}\n`]),
          row(head),
          row(head.map((_, i) => (i === 0 ? "---" : "---:"))),
          ...rows.map(row),
        ].join("\n"),
      ),
  ]
    .join("\n\n")
    .concat("\n");
}

/** A bar would end the cell. */
const row = (cells: readonly string[]): string =>
  `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
