import nodeConsole from "node:console";
import { Socket } from "node:net";
import type { ReadStream, WriteStream } from "node:tty";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Wish } from "../../state/events.js";
import { createViewStore } from "../../state/fold.js";
import { startScreen } from "../../ui/screen.js";
import { canShowScreen } from "../../ui/terminal.js";
import { event, freshView, started } from "./support.js";

/** A terminal's two ends without a terminal: what is written is kept, what is pushed was typed. */
class FakeStdout extends Socket implements WriteStream {
  isTTY = true;
  columns = 80;
  rows = 24;
  written = "";
  override write(chunk: string | Uint8Array, ...rest: unknown[]): boolean {
    this.written += String(chunk);
    const callback = rest.at(-1);
    if (typeof callback === "function") setImmediate(() => callback());
    return true;
  }
  clearLine = () => true;
  clearScreenDown = () => true;
  cursorTo = () => true;
  moveCursor = () => true;
  getColorDepth = () => 1;
  hasColors = () => false;
  getWindowSize = (): [number, number] => [this.columns, this.rows];
}

class FakeStdin extends Socket implements ReadStream {
  isTTY = true;
  isRaw = false;
  setRawMode = (raw: boolean) => {
    this.isRaw = raw;
    return this;
  };
}

function run() {
  // Ink keeps stray console output out of the frame by replacing Node's own console; Vitest's cannot be replaced.
  vi.stubGlobal("console", nodeConsole);
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  const store = createViewStore(freshView());
  store.push(started(0, "copy"));
  const stdout = new FakeStdout();
  const stdin = new FakeStdin();
  const commands: Wish[] = [];
  const onLeave = vi.fn();
  const screen = startScreen({
    source: store,
    stdout,
    stdin,
    onLeave,
    onCommand: (command) => {
      commands.push(command);
      return null;
    },
  });
  onTestFinished(() => screen.stop());
  return { store, stdout, stdin, commands, onLeave, screen };
}

test("the second Ctrl-C gives the terminal back at once", async () => {
  const { stdin, commands, onLeave, screen } = run();
  await vi.waitUntil(() => stdin.isRaw && stdin.listenerCount("readable") > 0);
  stdin.push("\u0003");
  await vi.waitUntil(() => commands.length === 1);
  expect(onLeave).not.toHaveBeenCalled();
  stdin.push("\u0003");
  await screen.done;
  expect(commands).toEqual(["stop"]);
  expect(onLeave).toHaveBeenCalledTimes(1);
  screen.stop();
  expect(stdin.isRaw).toBe(false);
});

test("the last frame holds what happened just before the end", async () => {
  const { store, stdout, onLeave, screen } = run();
  store.push(event(5, { event: "finished", outcome: "done", message: "public.orders is partitioned." }));
  screen.stop();
  await screen.done;
  expect(stdout.written).toContain("Done: public.orders is partitioned.");
  expect(stdout.listenerCount("resize")).toBe(0);
  expect(onLeave).not.toHaveBeenCalled();
});

test("a pipe, a dumb terminal and CI get lines instead of a screen that never draws", () => {
  const tty = { isTTY: true };
  expect(canShowScreen(tty, tty, { TERM: "xterm" })).toBe(true);
  expect(canShowScreen({}, tty, { TERM: "xterm" })).toBe(false);
  expect(canShowScreen(tty, {}, { TERM: "xterm" })).toBe(false);
  expect(canShowScreen(tty, tty, { TERM: "dumb" })).toBe(false);
  expect(canShowScreen(tty, tty, { TERM: "xterm", CI: "true" })).toBe(false);
  expect(canShowScreen(tty, tty, { TERM: "xterm", CI: "false" })).toBe(true);
  expect(canShowScreen(tty, tty, { TERM: "xterm", INK_SCREEN_READER: "true" })).toBe(false);
});
