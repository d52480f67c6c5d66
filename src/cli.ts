#!/usr/bin/env node
/** Composition root of the command line: parses it, and turns the end into an exit code. */
import { CommanderError } from "commander";
import { act } from "./commands/act.js";
import { buildProgram } from "./commands/program.js";
import { EXIT } from "./errors.js";

// Whoever read the output has gone (`| head`): a migration goes on, and its journal and log have the rest.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  await buildProgram(act).parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.badInput;
}
