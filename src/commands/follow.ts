/** Shows a running migration until it ends: a screen at a terminal, lines in a pipe, NDJSON with --json. */

import type { Wish } from "../../state/events.js";
import { startLines } from "../../ui/lines.js";
import { startNdjson } from "../../ui/ndjson.js";
import { canShowScreen } from "../../ui/terminal.js";
import type { RunResult } from "../engine/engine.js";
import type { Running } from "../engine/running.js";
import { EXIT, type PartwayError } from "../errors.js";
import { goOnElsewhere, openOutput, type Told } from "./detach.js";
import { onHangup, unlessGone, writerTo } from "./hangup.js";

export interface ShowOptions {
  json: boolean;
  /** One of several tables: named on every line. */
  table?: string;
  /** One of several tables: where the whole stands, above the screen. */
  whole?: string;
  /** Several run at once: lines also at a terminal. */
  linesOnly?: boolean;
  /** Another process runs it: leaving stops nothing. */
  watching?: boolean;
  /** `d` may be pressed. */
  canDetach?: boolean;
  /** The operator has left the screen at once. */
  onLeave?: () => void;
}

/**
 * Follows to the end and gives the exit code. Ctrl-C and SIGTERM stop safely; a second Ctrl-C leaves at once. `told`:
 * what a process must know that goes on without this terminal; left out, the run cannot be detached.
 */
export async function follow(running: Running, options: { json: boolean; told?: Told }): Promise<number> {
  const { json, told } = options;
  const stop = () => {
    running.command("stop");
  };
  const signals = onSignals(stop);
  const shown = await show(running, { json, canDetach: told !== undefined });
  const hangup = onHangup(
    () => running.onHangup,
    stop,
    () => shown.goOnIn(() => openOutput(running.source.current().migration, told?.state)),
  );
  const result = await running.finished;
  await shown.end(result);
  signals();
  hangup();
  if (result.error?.kind !== "detached") return result.exitCode;
  process.stdout.write(`${await goOnElsewhere(result.migration, told ?? {})}\n`);
  return EXIT.done;
}

/** What can be shown: a run of this process, or one that it watches. */
export interface Shown extends Pick<Running, "source" | "onEvent"> {
  command(wish: Wish): string | null | Promise<string | null>;
}

/** A run on the screen or in lines. */
export interface Showing {
  /** Takes it off, with how the run ended. */
  end(result: RunResult): Promise<void>;
  /** The terminal is gone: what went there goes, as lines, into the file that `open` opens. */
  goOnIn(open: () => number): void;
}

/** Shows the run from now on. */
export async function show(running: Shown, options: ShowOptions): Promise<Showing> {
  const { json, table } = options;
  // A command that another process has carried out leaves nothing to draw.
  const isOver = running.source.current().finished !== null;
  const isScreen =
    !json &&
    !isOver &&
    options.linesOnly !== true &&
    canShowScreen(process.stdout, process.stdin, process.env);
  let shown = isScreen ? await onScreen(running, options) : inLines(running, options, toStdout);
  return {
    end: async (result) => {
      await shown.end();
      // The screen's last frame says it already; a log file that stderr goes to would not have it.
      const isTold =
        json || (shown.isScreen && process.stderr.isTTY === true) || result.error?.kind === "detached";
      if (result.error !== null && !isTold) explain(result.error, table);
    },
    goOnIn: (open) => {
      // A pipe or a file is still there.
      if (process.stdout.isTTY !== true) return;
      const before = shown;
      shown = inLines(running, options, writerTo(open()));
      void before.end();
    },
  };
}

interface Display {
  isScreen: boolean;
  end(): Promise<void>;
}

const toStdout = (line: string): void => {
  process.stdout.write(line);
};

async function onScreen(running: Shown, options: ShowOptions): Promise<Display> {
  const { whole, watching = false, canDetach = false } = options;
  const { startScreen } = await import("../../ui/screen.js");
  // A terminal that is gone cannot be read or set any more.
  process.stdin.on("error", unlessGone);
  const shown = startScreen({
    source: running.source,
    onCommand: (wish) =>
      wish === "detach" && !canDetach
        ? "This one needs its terminal: q quits safely."
        : running.command(wish),
    watching,
    stdout: process.stdout,
    stdin: process.stdin,
    ...(whole === undefined ? {} : { whole }),
    onLeave:
      options.onLeave ??
      (() => {
        process.stderr.write("partway: left at once; nothing is lost. Go on with: partway resume\n");
        process.exit(130);
      }),
  });
  return {
    isScreen: true,
    end: async () => {
      shown.stop();
      await shown.done;
    },
  };
}

function inLines(running: Shown, { json, table }: ShowOptions, write: (line: string) => void): Display {
  const subscribeEvents = (listener: Parameters<Running["onEvent"]>[0]) => running.onEvent(listener);
  const of = table === undefined ? {} : { table };
  const end = json
    ? startNdjson({ subscribeEvents, write, ...of })
    : startLines({ source: running.source, subscribeEvents, write, ...of });
  return { isScreen: false, end: async () => end() };
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
