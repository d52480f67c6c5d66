/** `partway explain`: how many leaves a statement reads, and why. Part of the programmatic interface. */
import { type ConnectOptions, targetOf, withSession } from "./api.js";
import { parseMilliseconds } from "./config/duration.js";
import { explainUntouched } from "./engine/faults.js";
import { badInput, PartwayError } from "./errors.js";
import { type ExplainHow, explainOne, openExplainer } from "./explain/explain.js";
import { type ExplainReport, touched } from "./explain/types.js";
import { loadParser } from "./rehearse/parse.js";
import { fromFile } from "./rehearse/workload.js";

export interface ExplainOptions extends ConnectOptions {
  /** One statement. */
  sql?: string | undefined;
  /** A file of statements, separated by semicolons, instead. */
  file?: string | undefined;
  /** Values of $1, $2, ... as text, `\N` for NULL; left out: the plan for any values. */
  param?: readonly string[] | undefined;
  /** Execute what only reads, and say what was really read. */
  analyze?: boolean | undefined;
  /** Longest execution of a statement; default 60s. */
  timeout?: string | undefined;
  /** `above` of the report names the tables of which more leaves than this are read. */
  failAbove?: string | undefined;
}

/** Reads only. Errors: bad-input when the one statement cannot be planned; of a file's it is in the report. */
export async function explainStatements(options: ExplainOptions): Promise<ExplainReport> {
  const { sql, file, param, analyze = false } = options;
  if ((sql === undefined) === (file === undefined))
    throw badInput("give one statement, or a file of statements", "partway explain 'SELECT ...', or --file.");
  const most = limitOf(options.failAbove);
  const how: ExplainHow = {
    values: param === undefined ? null : param.map((value) => (value === "\\N" ? null : value)),
    ...{ analyze, timeoutMs: parseMilliseconds(options.timeout ?? "60s", "--timeout") },
  };
  const parser = await loadParser();
  const texts =
    file === undefined ? [sql ?? ""] : (await fromFile(file, parser)).statements.map(({ text }) => text);
  if (texts.length === 0) throw badInput(`${file ?? ""} holds no statement`, "Write SQL statements into it.");
  const target = await targetOf(options);
  try {
    return await withSession(target, async (session) => {
      const explainer = await openExplainer(session, parser, how);
      const report: ExplainReport = { statements: [], above: [] };
      for (const text of texts) {
        const one = await explainOne(explainer, text, how);
        if ("error" in one && file === undefined)
          throw badInput(`the statement cannot be planned: ${one.error}`, "Correct it, and type it again.");
        report.statements.push(one);
      }
      if (most !== null) report.above = above(report, most);
      return report;
    });
  } catch (error) {
    throw error instanceof PartwayError ? error : explainUntouched(error);
  }
}

function above({ statements }: ExplainReport, most: number): string[] {
  return statements.flatMap((one) =>
    "error" in one
      ? []
      : one.tables
          .filter((table) => touched(table) > most)
          .map((table) => `${table.table}: ${touched(table)} of ${table.total} leaves`),
  );
}

function limitOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw badInput(`--fail-above: "${text}" is not a number of leaves`, "For example --fail-above 3.");
}
