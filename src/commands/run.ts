import { createInterface } from "node:readline";
import type { Command } from "commander";
import { type RunOptions, run } from "../api.js";
import { badInput } from "../errors.js";
import type { PlannedAll } from "../many/plan.js";
import type { Plan } from "../plan/types.js";
import type { Act } from "./act.js";
import { followAll, isAll, oneTable, withAll } from "./all.js";
import { plannedText } from "./all-text.js";
import { follow } from "./follow.js";
import { withMachines, withMetrics } from "./machines.js";
import {
  example,
  holds,
  sampling,
  withConnection,
  withJson,
  withPostpone,
  withScheme,
  withSettings,
  withState,
} from "./options.js";
import { planText } from "./plan-text.js";

export function runCommand(program: Command, act: Act): void {
  const command = program
    .command("run [table]")
    .description("migrate a live table through all phases; asks after showing the plan");
  withAll(withJson(withMachines(withState(withConnection(withPostpone(withSettings(withScheme(command))))))))
    .option("--backup <dir>", "where the backup goes (default: <state>/backups)")
    .option("--no-backup", "make no backup")
    .option("--yes", "do not ask");
  example(
    command,
    "partway run orders --by created_at --every month",
    "partway run orders --by created_at --every month --yes --until validate",
    "partway run --all",
  );
  type Options = Omit<RunOptions, "table" | "backup" | "confirm" | "onEvent"> & {
    json?: boolean;
    yes?: boolean;
    metrics?: string;
    all?: boolean;
    backup: string | boolean;
  };
  command.action((named: string | undefined, options: Options) =>
    act(options, async () => {
      const { yes, all, metrics, ...typed } = options;
      const rest = { ...typed, ...sampling(typed) };
      const json = options.json === true;
      // commander gives true when neither --backup nor --no-backup was typed.
      const backup = options.backup === true ? undefined : options.backup;
      if (isAll(named, options, "run"))
        return withMetrics(metrics, (watch) =>
          followAll({
            ...{ ...rest, backup, json, watch },
            ...(yes === true ? {} : { confirm: (planned: PlannedAll) => confirmAll(planned, json) }),
          }),
        );
      const table = oneTable(named, "run");
      return withMetrics(metrics, async (watch) => {
        const running = await run({
          ...{ ...rest, table, backup, hold: holds(options.hold) },
          ...(yes === true ? {} : { confirm: (made: Plan) => confirm(made, json) }),
        });
        watch(running);
        return follow(running, {
          json,
          told: { ...rest, metrics, on: undefined, hold: holds(options.hold) },
        });
      });
    }),
  );
}

const confirm = (made: Plan, json: boolean): Promise<boolean> =>
  ask(
    () => planText(made, [], process.stdout.columns),
    `Migrate ${made.names.schema}.${made.names.source}?`,
    json,
  );

const confirmAll = (planned: PlannedAll, json: boolean): Promise<boolean> =>
  ask(() => plannedText(planned, process.stdout.columns), "Migrate them in this order?", json);

/** Shows the plan and asks. Anything but yes is no: Ctrl-C and Ctrl-D too. Errors: bad-input when nobody can answer. */
async function ask(text: () => string, question: string, json: boolean): Promise<boolean> {
  const remedy = "Look at partway plan, then add --yes.";
  if (json) throw badInput("with --json nothing is asked", remedy);
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true)
    throw badInput("there is no terminal to ask at", remedy);
  process.stdout.write(text());
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answered = new Promise<string>((resolve) => {
    terminal.once("close", () => resolve(""));
    terminal.question(`\n${question} Type yes to begin: `, resolve);
  });
  try {
    const answer = await answered;
    // Ctrl-C and Ctrl-D leave the cursor behind the question.
    if (answer === "") process.stdout.write("\n");
    return answer.trim().toLowerCase() === "yes";
  } finally {
    terminal.close();
  }
}
