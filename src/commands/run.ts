import { createInterface } from "node:readline";
import type { Command } from "commander";
import { type RunOptions, run } from "../api.js";
import { badInput } from "../errors.js";
import type { Plan } from "../plan/types.js";
import type { Act } from "./act.js";
import { follow } from "./follow.js";
import { example, holds, withConnection, withJson, withScheme, withSettings, withState } from "./options.js";
import { planText } from "./plan-text.js";

export function runCommand(program: Command, act: Act): void {
  const command = program
    .command("run <table>")
    .description("migrate a live table through all phases; asks after showing the plan");
  withJson(withState(withConnection(withSettings(withScheme(command)))))
    .option("--backup <dir>", "where the backup goes (default: <state>/backups)")
    .option("--no-backup", "make no backup")
    .option("--yes", "do not ask");
  example(
    command,
    "partway run orders --by created_at --every month",
    "partway run orders --by created_at --every month --yes --until validate",
  );
  type Options = Omit<RunOptions, "table" | "backup"> & {
    json?: boolean;
    yes?: boolean;
    backup: string | boolean;
  };
  command.action((table: string, options: Options) =>
    act(options, async () => {
      const { backup, yes, ...rest } = options;
      const running = await run({
        ...rest,
        table,
        hold: holds(options.hold),
        // commander gives true when neither --backup nor --no-backup was typed.
        backup: backup === true ? undefined : backup,
        ...(yes === true ? {} : { confirm: (made: Plan) => confirm(made, options.json === true) }),
      });
      return follow(running, { json: options.json === true });
    }),
  );
}

/** Shows the plan and asks. Anything but yes is no: Ctrl-C and Ctrl-D too. Errors: bad-input when nobody can answer. */
async function confirm(made: Plan, json: boolean): Promise<boolean> {
  const remedy = "Look at partway plan, then add --yes.";
  if (json) throw badInput("with --json nothing is asked", remedy);
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true)
    throw badInput("there is no terminal to ask at", remedy);
  process.stdout.write(planText(made, [], process.stdout.columns));
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  const answered = new Promise<string>((resolve) => {
    ask.once("close", () => resolve(""));
    ask.question(`\nMigrate ${made.names.schema}.${made.names.source}? Type yes to begin: `, resolve);
  });
  try {
    const answer = await answered;
    // Ctrl-C and Ctrl-D leave the cursor behind the question.
    if (answer === "") process.stdout.write("\n");
    return answer.trim().toLowerCase() === "yes";
  } finally {
    ask.close();
  }
}
