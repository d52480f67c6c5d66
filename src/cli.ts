#!/usr/bin/env node
/** Composition root of the command line: parses it, and turns the end into an exit code. */
import "./commands/small-heap.js";
import { CommanderError } from "commander";
import { act } from "./commands/act.js";
import { takeHandedOver } from "./commands/detach.js";
import { unlessGone } from "./commands/hangup.js";
import { buildProgram } from "./commands/program.js";
import { EXIT } from "./errors.js";

// Whoever read the output has gone (`| head`), or the terminal: a migration goes on, or stops as it was told, and its
// journal and log have the rest.
for (const output of [process.stdout, process.stderr]) output.on("error", unlessGone);

try {
  await buildProgram(act).parseAsync(takeHandedOver(process.argv, process.env));
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.badInput;
}
