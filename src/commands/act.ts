/** Runs a command's action, turning whatever it throws into an explanation and an exit code. */
import { join } from "node:path";
import { DEFAULT_STATE } from "../engine/state-dir.js";
import { asPartwayError } from "../errors.js";
import { errorFields, explain } from "./follow.js";

export interface ActOptions {
  json?: boolean | undefined;
  state?: string | undefined;
}

export type Act = (options: ActOptions, work: () => Promise<number>) => Promise<void>;

/** Sets process.exitCode; with --json the error is one JSON object on stdout. */
export const act: Act = async (options, work) => {
  try {
    process.exitCode = await work();
  } catch (error) {
    const known = asPartwayError(
      error,
      "Unknown: this error was not foreseen. What Partway commits, it commits so that it can be resumed.",
      `partway status; the log in ${join(options.state ?? DEFAULT_STATE, "log")} has the details. Please report it.`,
    );
    process.exitCode = known.exitCode;
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify({ event: "error", ...errorFields(known) })}\n`);
    } else {
      explain(known);
    }
    if (process.env["PARTWAY_DEBUG"] !== undefined)
      process.stderr.write(`${String(known.stack)}\n${String(known.cause)}\n`);
  }
};
