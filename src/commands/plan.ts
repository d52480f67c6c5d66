import type { Command } from "commander";
import { type PlanOptions, plan, type StateOptions } from "../api.js";
import { explain } from "../engine/effects.js";
import { EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { isAll, oneTable, printPlans, withAll } from "./all.js";
import { example, oneFormat, sampling, withConnection, withJson, withScheme, withState } from "./options.js";
import { planMarkdown } from "./plan-markdown.js";
import { planText } from "./plan-text.js";

export function planCommand(program: Command, act: Act): void {
  const command = program
    .command("plan [table]")
    .description("show what a migration would do, with the exact SQL of every phase; touches nothing");
  withAll(withJson(withState(withConnection(withScheme(command)))))
    .option("--no-sql", "leave the SQL out")
    .option(
      "--markdown",
      "a page for a change-approval ticket: costs, risks, the way back, steps, who is told",
    );
  example(command, "partway plan orders --by created_at --every month --ahead 6", "partway plan --all");
  type Options = Omit<PlanOptions, "table"> &
    StateOptions & { json?: boolean; sql: boolean; all?: boolean; markdown?: boolean };
  command.action((named: string | undefined, options: Options) =>
    act(options, async () => {
      oneFormat(options);
      if (isAll(named, options, "plan")) return printPlans({ ...options, ...sampling(options) });
      const table = oneTable(named, "plan");
      const made = await plan({ ...options, ...sampling(options), table });
      const sql = options.sql ? explain(made) : [];
      const json = () => `${JSON.stringify({ ...made, sql })}\n`;
      const text = () => planText(made, sql, process.stdout.columns);
      process.stdout.write(
        options.json === true ? json() : options.markdown === true ? planMarkdown(made) : text(),
      );
      return made.refusals.length > 0 ? EXIT.refused : EXIT.done;
    }),
  );
}
