/** Which commands there are. */
import { Command } from "commander";
import { version } from "../version.js";
import type { Act } from "./act.js";
import { adviseCommand } from "./advise.js";
import { archiveCommands } from "./archive.js";
import { archiveRowsCommand } from "./archive-rows.js";
import { careCommands } from "./care.js";
import { controlCommands } from "./control.js";
import { coldCommands } from "./cool.js";
import { demoCommand } from "./demo.js";
import { explainCommand } from "./explain.js";
import { extendCommand } from "./extend.js";
import { grantsCommand } from "./grants.js";
import { inDatabaseCommands } from "./in-database.js";
import { inspectCommands } from "./inspect.js";
import { planCommand } from "./plan.js";
import { proceedCommands } from "./proceed.js";
import { recoverCommand } from "./recover.js";
import { rehearseCommand } from "./rehearse.js";
import { reportCommand } from "./report.js";
import { restoreCommand } from "./restore.js";
import { runCommand } from "./run.js";
import { schemaCommand } from "./schema.js";
import { serveCommands } from "./serve.js";
import { smokeCommand } from "./smoke.js";

/** The command line, not yet parsed. Usage errors are thrown as CommanderError; `act` runs the commands' work. */
export function buildProgram(act: Act): Command {
  const program = new Command("partway")
    .description("Turns a live PostgreSQL table into a partitioned one while the application keeps writing.")
    .version(version())
    .showHelpAfterError("(partway --help shows the commands)")
    .addHelpText(
      "after",
      `
Exit codes: 0 done; 1 unexpected; 2 bad input or config; 3 refused; 4 validation found a difference;
5 stopped by the operator, resumable; 6 the lock could not be had, resumable; 7 the source's definition changed;
8 a smoke check failed after cutover; 9 health or explain found something.`,
    )
    .exitOverride();
  adviseCommand(program, act);
  planCommand(program, act);
  grantsCommand(program, act);
  runCommand(program, act);
  proceedCommands(program, act);
  extendCommand(program, act);
  rehearseCommand(program, act);
  inspectCommands(program, act);
  reportCommand(program, act);
  smokeCommand(program, act);
  controlCommands(program, act);
  recoverCommand(program, act);
  restoreCommand(program, act);
  schemaCommand(program, act);
  careCommands(program, act);
  inDatabaseCommands(program, act);
  serveCommands(program, act);
  explainCommand(program, act);
  archiveRowsCommand(program, act);
  archiveCommands(program, act);
  coldCommands(program, act);
  demoCommand(program, act);
  return program;
}
