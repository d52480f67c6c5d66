/** Puts the health screen on a terminal and takes it off again. */
import { render } from "ink";
import type { HealthSource } from "../../state/health-view.js";
import { clearOnShrink, MAX_FPS } from "../screen.js";
import { ThemeContext, themeFor } from "../theme.js";
import { HealthApp } from "./HealthApp.js";

export interface HealthScreenOptions {
  source: HealthSource;
  onRefresh(): void;
  /** The operator leaves; the last frame stays on the terminal. */
  onLeave(): void;
  stdout: NodeJS.WriteStream;
  stdin: NodeJS.ReadStream;
}

/** `stop` is idempotent; `done` resolves when the terminal has been given back. */
export function startHealthScreen(options: HealthScreenOptions): { stop(): void; done: Promise<void> } {
  const { source, onRefresh, onLeave, stdout, stdin } = options;
  const stopFollowing = clearOnShrink(stdout);
  const tree = (
    <ThemeContext value={themeFor(process.env)}>
      <HealthApp source={source} onRefresh={onRefresh} onLeave={onLeave} />
    </ThemeContext>
  );
  const instance = render(tree, { stdout, stdin, exitOnCtrlC: false, maxFps: MAX_FPS });
  return { stop: () => instance.unmount(), done: instance.waitUntilExit().then(stopFollowing) };
}
