/** Shows a running migration until it ends: a screen at a terminal, lines in a pipe, NDJSON with --json. */
import { startLines } from "../../ui/lines.js";
import { startNdjson } from "../../ui/ndjson.js";
import { canShowScreen } from "../../ui/terminal.js";
import type { Running } from "../engine/running.js";

/** Follows to the end and gives the exit code. Ctrl-C and SIGTERM stop safely; a second Ctrl-C leaves at once. */
export async function follow(running: Running, options: { json: boolean }): Promise<number> {
  const screen = !options.json && canShowScreen(process.stdout, process.stdin, process.env);
  const stop = stopper(running);
  if (screen) {
    const { startScreen } = await import("../../ui/screen.js");
    const shown = startScreen({
      source: running.source,
      onCommand: (command) => {
        running.command(command);
      },
      stdout: process.stdout,
      stdin: process.stdin,
      onLeave: () => {
        process.stderr.write("partway: left at once; nothing is lost. Go on with: partway resume\n");
        process.exit(130);
      },
    });
    const result = await running.finished;
    shown.stop();
    await shown.done;
    stop();
    // The screen's last frame says it already; a log file that stderr goes to would not have it.
    if (result.error !== null && process.stderr.isTTY !== true) explain(result.error);
    return result.exitCode;
  }
  const subscribeEvents = (listener: Parameters<Running["onEvent"]>[0]) => running.onEvent(listener);
  const write = (line: string) => {
    process.stdout.write(line);
  };
  const end = options.json
    ? startNdjson({ subscribeEvents, write })
    : startLines({ source: running.source, subscribeEvents, write });
  const result = await running.finished;
  end();
  stop();
  if (result.error !== null && !options.json) explain(result.error);
  return result.exitCode;
}

/** SIGINT and SIGTERM ask for a safe stop; the second signal ends the process, which is safe too: runs resume. */
function stopper(running: Running): () => void {
  let asked = false;
  const onSignal = () => {
    if (asked) process.exit(130);
    asked = true;
    running.command("stop");
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return () => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
}

/** What happened, what state things are in, what to type next: to stderr. */
export function explain(error: { message: string; state: string; next: string }): void {
  process.stderr.write(`partway: ${error.message}\n  state: ${error.state}\n  next:  ${error.next}\n`);
}
