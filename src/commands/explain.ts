/** `partway explain`: how many leaves a statement reads, and which condition is missing. */
import type { Command } from "commander";
import { oneLine } from "../engine/rehearsed.js";
import { EXIT } from "../errors.js";
import type { ExplainedStatement, ExplainedTable, ExplainReport } from "../explain/types.js";
import { type ExplainOptions, explainStatements } from "../explain.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson } from "./options.js";

export function explainCommand(program: Command, act: Act): void {
  const command = program
    .command("explain [sql]")
    .description(
      "how many leaves of partitioned tables a statement reads, and the condition that is missing; reads only",
    )
    .option("--file <file>", "SQL statements, separated by semicolons")
    .option("--param <value...>", "values of $1, $2, ...; \\N is NULL (default: the plan for any values)")
    .option("--analyze", "also execute what only reads, and say which leaves were really read")
    .option("--timeout <time>", "longest execution of a statement (default 60s)")
    .option("--fail-above <n>", "exit code 9 when a statement reads more leaves of a table than this");
  withJson(withConnection(command));
  example(
    command,
    "partway explain 'SELECT * FROM orders WHERE id = $1'",
    "partway explain 'SELECT * FROM orders WHERE id = $1' --param 42 --analyze",
    "partway explain --file queries.sql --fail-above 3",
  );
  type Options = Omit<ExplainOptions, "sql"> & { json?: boolean };
  command.action((sql: string | undefined, options: Options) =>
    act(options, async () => {
      const report = await explainStatements({ ...options, sql });
      process.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : explainText(report));
      if (report.statements.some((one) => "error" in one)) return EXIT.badInput;
      return report.above.length === 0 ? EXIT.done : EXIT.unhealthy;
    }),
  );
}

/** Ends with a line end. */
export function explainText({ statements, above }: ExplainReport): string {
  const blocks = statements.map((one) =>
    "error" in one
      ? [oneLine(one.sql), `  cannot be planned: ${oneLine(one.error, 1000)}`]
      : [oneLine(one.sql), ...statementLines(one)],
  );
  const last =
    above.length === 0 ? [] : [["Above --fail-above:", ...above.map((one) => `  ${oneLine(one)}`)]];
  return `${[...blocks, ...last].map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function statementLines({ parameters, generic, cost, measured, tables }: ExplainedStatement): string[] {
  const { hit, read } = measured?.blocks ?? { hit: 0, read: 0 };
  const time =
    measured === null ? "" : `, ${measured.ms.toFixed(2)} ms, ${hit} blocks in memory and ${read} read`;
  const values = parameters.length === 0 ? "" : generic ? ", for any values" : ", for these values";
  return [
    `  cost ${cost.toFixed(2)}${time}${values}`,
    ...(tables.length === 0 ? ["  no partitioned table is in it"] : tables.flatMap(tableLines)),
  ];
}

function tableLines(table: ExplainedTable): string[] {
  const { total, planned, opened, read, prepared, leaves } = table;
  const counts = [
    `${planned} of ${total} leaves in the plan`,
    ...(opened === null ? [] : [`${opened} left when it begins`]),
    ...(read === null ? [] : [`${read} read`]),
    ...(prepared === null ? [] : [`${prepared} as a generic plan`]),
  ];
  const named = leaves.length === 0 || leaves.length === total || leaves.length > NAMED;
  return [
    `  ${oneLine(table.table)}  ${oneLine(table.key)}: ${counts.join(", ")}`,
    ...(named ? [] : [`    ${leaves.map((leaf) => oneLine(leaf)).join(", ")}`]),
    ...(table.advice === null ? [] : [`    ${oneLine(table.advice, 1000)}`]),
  ];
}

/** More leaves than this are only counted. */
const NAMED = 6;
