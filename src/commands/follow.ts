/** Shows a running migration until it ends: a screen at a terminal, lines in a pipe, NDJSON with --json. */
import { startLines } from "../../ui/lines.js";
import { startNdjson } from "../../ui/ndjson.js";
import { canShowScreen } from "../../ui/terminal.js";
import type { RunResult } from "../engine/engine.js";
import type { Running } from "../engine/running.js";
import type { PartwayError } from "../errors.js";

export interface ShowOptions {
  json: boolean;
  /** One of several tables: named on every line. */
  table?: string;
  /** One of several tables: where the whole stands, above the screen. */
  whole?: string;
  /** Several run at once: lines also at a terminal. */
  linesOnly?: boolean;
}

/** Follows to the end and gives the exit code. Ctrl-C and SIGTERM stop safely; a second Ctrl-C leaves at once. */
export async function follow(running: Running, options: { json: boolean }): Promise<number> {
  const stop = onSignals(() => {
    running.command("stop");
  });
  const ended = await show(running, options);
  const result = await running.finished;
  await ended(result);
  stop();
  return result.exitCode;
}

/** Shows the run from now on; what is given back is called with its result. */
export async function show(
  running: Running,
  options: ShowOptions,
): Promise<(result: RunResult) => Promise<void>> {
  const { json, table, whole } = options;
  if (!json && options.linesOnly !== true && canShowScreen(process.stdout, process.stdin, process.env)) {
    const { startScreen } = await import("../../ui/screen.js");
    const shown = startScreen({
      source: running.source,
      onCommand: (command) => {
        running.command(command);
      },
      stdout: process.stdout,
      stdin: process.stdin,
      ...(whole === undefined ? {} : { whole }),
      onLeave: () => {
        process.stderr.write("partway: left at once; nothing is lost. Go on with: partway resume\n");
        process.exit(130);
      },
    });
    return async (result) => {
      shown.stop();
      await shown.done;
      // The screen's last frame says it already; a log file that stderr goes to would not have it.
      if (result.error !== null && process.stderr.isTTY !== true) explain(result.error, table);
    };
  }
  const subscribeEvents = (listener: Parameters<Running["onEvent"]>[0]) => running.onEvent(listener);
  const write = (line: string) => {
    process.stdout.write(line);
  };
  const of = table === undefined ? {} : { table };
  const end = json
    ? startNdjson({ subscribeEvents, write, ...of })
    : startLines({ source: running.source, subscribeEvents, write, ...of });
  return async (result) => {
    end();
    if (result.error !== null && !json) explain(result.error, table);
  };
}

/** The first SIGINT or SIGTERM asks for a safe stop; the second ends the process, which is safe too: runs resume. */
export function onSignals(ask: () => void): () => void {
  let asked = false;
  const onSignal = () => {
    if (asked) process.exit(130);
    asked = true;
    ask();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return () => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
}

/** The same for a program: the fields of an `error` line of --json. */
export function errorFields({ kind, message: what, state, next, exitCode }: PartwayError) {
  return { kind, what, state, next, exitCode };
}

/** What happened, what state things are in, what to type next: to stderr. `table`: one of several. */
export function explain(error: { message: string; state: string; next: string }, table?: string): void {
  const of = table === undefined ? "" : `${table}: `;
  process.stderr.write(`partway: ${of}${error.message}\n  state: ${error.state}\n  next:  ${error.next}\n`);
}
