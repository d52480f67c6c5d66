import type { Command } from "commander";
import { type PlanOptions, plan } from "../api.js";
import { explain } from "../engine/effects.js";
import { EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson, withScheme } from "./options.js";
import { planText } from "./plan-text.js";

export function planCommand(program: Command, act: Act): void {
  const command = program
    .command("plan <table>")
    .description("show what a migration would do, with the exact SQL of every phase; touches nothing");
  withJson(withConnection(withScheme(command))).option("--no-sql", "leave the SQL out");
  example(command, "partway plan orders --by created_at --every month --ahead 6");
  command.action((table: string, options: Omit<PlanOptions, "table"> & { json?: boolean; sql: boolean }) =>
    act(options, async () => {
      const made = await plan({ ...options, table });
      const sql = options.sql ? explain(made) : [];
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify({ ...made, sql })}\n`
          : planText(made, sql, process.stdout.columns),
      );
      return made.refusals.length > 0 ? EXIT.refused : EXIT.done;
    }),
  );
}
