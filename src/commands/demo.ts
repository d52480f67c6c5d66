import type { Command } from "commander";
import { badInput } from "../errors.js";
import type { Act } from "./act.js";
import { example } from "./options.js";

interface Options {
  rows: string;
  interrupt?: boolean;
  rollback?: boolean;
  keep?: boolean;
}

export function demoCommand(program: Command, act: Act): void {
  const command = program
    .command("demo")
    .description(
      "migrate a table of a million rows on an embedded server under a live writer, and prove that nothing was lost",
    )
    .option("--rows <n>", "rows in the table", "1000000")
    .option("--interrupt", "SIGKILL the migration in the middle of the copy, then resume")
    .option("--rollback", "roll back after cutover, and prove it again")
    .option("--keep", "leave the server running until Ctrl-C");
  example(command, "partway demo --interrupt --rollback");
  command.action((options: Options) =>
    act({}, async () => {
      const rows = Number(options.rows);
      if (!Number.isInteger(rows) || rows < 1)
        throw badInput(`--rows ${options.rows} is not a whole number above 0`, "partway demo --rows 1000000");
      // Loaded only here: the demo brings an application, a server and their packages along.
      const { demo } = await import("../demo/demo.js");
      return demo({
        rows,
        interrupt: options.interrupt === true,
        rollback: options.rollback === true,
        keep: options.keep === true,
        say: (line) => {
          process.stdout.write(`${line}\n`);
        },
      });
    }),
  );
}
