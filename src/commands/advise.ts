import type { Command } from "commander";
import { type AdviseOptions, advise } from "../advisor.js";
import { EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { adviceMarkdown } from "./advise-markdown.js";
import { adviceText } from "./advise-text.js";
import { example, oneFormat, withConnection, withJson } from "./options.js";

export function adviseCommand(program: Command, act: Act): void {
  const command = program
    .command("advise [table...]")
    .description(
      "which tables are worth partitioning, by what and how finely, and which are better left alone; reads only",
    )
    .option("--schema <name>", "the tables of this schema (default: all of the database)")
    .option("--markdown", "a page for a ticket or a wiki");
  withJson(withConnection(command));
  example(command, "partway advise", "partway advise orders public.events --markdown");
  type Options = Omit<AdviseOptions, "tables"> & { json?: boolean; markdown?: boolean };
  command.action((tables: string[], options: Options) =>
    act(options, async () => {
      oneFormat(options);
      const report = await advise({ ...options, tables });
      const text = () => adviceText(report, process.stdout.columns);
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(report)}\n`
          : options.markdown === true
            ? adviceMarkdown(report)
            : text(),
      );
      return EXIT.done;
    }),
  );
}
