/** Puts the screen on a terminal and takes it off again. */
import { render } from "ink";
import type { Wish } from "../state/events.js";
import type { ViewSource } from "../state/view.js";
import { App } from "./App.js";
import { ThemeContext, themeFor } from "./theme.js";

/** Frames a second at most: more only costs the terminal (and an ssh line) without telling more. */
export const MAX_FPS = 10;
/** Clears what is visible and goes home; unlike Ink's own clearing it keeps the scrollback. */
const CLEAR_VISIBLE = "\u001B[2J\u001B[H";

export interface ScreenOptions {
  source: ViewSource;
  /** Sends a command; gives why it was not obeyed, or null, now or later. */
  onCommand(command: Wish): string | null | Promise<string | null>;
  stdout: NodeJS.WriteStream;
  stdin: NodeJS.ReadStream;
  /** One of several runs: where the whole stands. */
  whole?: string;
  /** Another process runs it: leaving stops nothing. */
  watching?: boolean;
  /** The operator will not wait for a safe stop: called once the terminal has been given back. */
  onLeave?: () => void;
}

export interface Screen {
  /** Idempotent. Draws the last frame, leaves it on the terminal and gives the keyboard back. */
  stop(): void;
  /** Resolves when the screen is gone: after `stop`, or when the operator left. Rejects if drawing failed. */
  done: Promise<void>;
}

/** Starts the screen. Ctrl-C asks for a safe stop, as `q` does; a second one leaves at once. */
export function startScreen(options: ScreenOptions): Screen {
  const { source, onCommand, stdout, stdin, whole, watching = false } = options;
  const stopFollowing = clearOnShrink(stdout);
  let gone = false;
  let left = false;
  const leave = () => {
    gone = true;
    left = true;
    instance.unmount();
  };
  const tree = (
    <ThemeContext value={themeFor(process.env)}>
      <App
        source={source}
        onCommand={onCommand}
        onLeave={leave}
        watching={watching}
        {...(whole === undefined ? {} : { whole })}
      />
    </ThemeContext>
  );
  const instance = render(tree, { stdout, stdin, exitOnCtrlC: false, maxFps: MAX_FPS });
  const done = instance
    .waitUntilExit()
    .finally(() => {
      gone = true;
      stopFollowing();
    })
    .then(() => {
      if (left) options.onLeave?.();
    });
  const stop = () => {
    // Drawing again after the end would take the keyboard back.
    if (gone) return;
    gone = true;
    // React draws in a later microtask; drawing now puts the newest view into the frame that stays.
    instance.rerender(tree);
    instance.unmount();
  };
  return { stop, done };
}

/**
 * A narrower terminal folds the lines already there into more rows than Ink counted, and the rest would stay above
 * the next frame. So what is visible is cleared first; Ink's own listener, added later, then draws the frame anew.
 */
export function clearOnShrink(stdout: NodeJS.WriteStream): () => void {
  let { columns, rows } = stdout;
  const resized = () => {
    if (stdout.columns < columns || stdout.rows < rows) stdout.write(CLEAR_VISIBLE);
    ({ columns, rows } = stdout);
  };
  stdout.on("resize", resized);
  return () => {
    stdout.off("resize", resized);
  };
}
