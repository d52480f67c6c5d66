#!/usr/bin/env node
/** Composition root of the command line: which commands there are. */
import { Command, CommanderError } from "commander";
import { act } from "./commands/act.js";
import { demoCommand } from "./commands/demo.js";
import { inspectCommands } from "./commands/inspect.js";
import { planCommand } from "./commands/plan.js";
import { proceedCommands } from "./commands/proceed.js";
import { recoverCommand } from "./commands/recover.js";
import { restoreCommand } from "./commands/restore.js";
import { runCommand } from "./commands/run.js";
import { EXIT } from "./errors.js";
import { version } from "./version.js";

const program = new Command("partway")
  .description("Turns a live PostgreSQL table into a partitioned one while the application keeps writing.")
  .version(version())
  .showHelpAfterError("(partway --help shows the commands)")
  .addHelpText(
    "after",
    `
Exit codes: 0 done; 1 unexpected; 2 bad input or config; 3 refused; 4 validation found a difference;
5 stopped by the operator, resumable; 6 the lock could not be had, resumable; 7 the source's definition changed.`,
  )
  .exitOverride();

planCommand(program, act);
runCommand(program, act);
proceedCommands(program, act);
inspectCommands(program, act);
recoverCommand(program, act);
restoreCommand(program, act);
demoCommand(program, act);
// A command's own usage errors end like the program's.
for (const command of program.commands) command.exitOverride();

// Whoever read the output has gone (`| head`): a migration goes on, and its journal and log have the rest.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.badInput;
}
