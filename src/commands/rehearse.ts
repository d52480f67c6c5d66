/** `partway rehearse`: which of the application's statements get worse or break. */
import { type Command, Option } from "commander";
import { badInput, EXIT } from "../errors.js";
import { acceptFindings, type RehearseOptions, rehearse } from "../rehearsal.js";
import type { Act } from "./act.js";
import { example, oneFormat, withConnection, withJson, withState } from "./options.js";
import { rehearsalMarkdown, rehearsalText } from "./rehearse-text.js";

export function rehearseCommand(program: Command, act: Act): void {
  const command = program
    .command("rehearse [id]")
    .description(
      "before cutover: plan the application's statements on the new table and name those that get much worse or break; reads only",
    )
    .option("--file <file>", "SQL statements, separated by semicolons (default: pg_stat_statements)")
    .option("--worse <ratio>", "costs this many times as high hold up the cutover (default 5)")
    .option("--analyze", "also execute what only reads, on both tables, and measure")
    .addOption(new Option("--accept [n...]", "rehearse nothing: accept these findings (default all)"))
    .option("--markdown", "the report as Markdown");
  withJson(withState(withConnection(command)));
  example(
    command,
    "partway rehearse orders_3f9a1c",
    "partway rehearse orders_3f9a1c --file queries.sql",
    "partway rehearse orders_3f9a1c --accept 2 3",
  );
  type Options = RehearseOptions & { json?: boolean; markdown?: boolean; accept?: true | string[] };
  command.action((id: string | undefined, options: Options) =>
    act(options, async () => {
      oneFormat(options);
      if (options.accept !== undefined) return accepted(id, options, options.accept);
      const report = await rehearse({ ...options, id });
      const text = options.markdown === true ? rehearsalMarkdown : rehearsalText;
      process.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : text(report));
      return report.open.length === 0 ? EXIT.done : EXIT.refused;
    }),
  );
}

async function accepted(
  id: string | undefined,
  options: RehearseOptions & { json?: boolean },
  given: true | string[],
): Promise<number> {
  const result = await acceptFindings({ state: options.state, id, numbers: numbersOf(given) });
  const { accepted: numbers, open, migration } = result;
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(result)}\n`
      : `accepted: ${numbers.join(", ") || "nothing, there was no finding"}; ${
          open.length === 0
            ? `nothing holds up the cutover: partway cutover ${migration}`
            : `still open: ${open.join(", ")}`
        }\n`,
  );
  return EXIT.done;
}

function numbersOf(given: true | string[]): number[] | "all" {
  if (given === true || given.includes("all")) return "all";
  return given.map((text) => {
    if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
    throw badInput(
      `--accept: "${text}" is not a finding's number`,
      "Write the id first: partway rehearse <id> --accept 2 3, or --accept all.",
    );
  });
}
