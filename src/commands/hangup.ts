/** A terminal that disappears: the window is closed, the line is cut. The kernel says so with SIGHUP. */
import { closeSync, openSync, writeSync } from "node:fs";
import type { OnHangup } from "../phases/phase.js";

/** For the error event of a terminal or pipe: EPIPE and EIO mean that nobody is there any more. */
export function unlessGone(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
}

/**
 * On SIGHUP calls `stop`, or, where the run is to go on, `goOn` the first time. Both the kernel and the shell may send
 * it, so a second one means nothing new. Gives the function that ends it.
 */
export function onHangup(what: () => OnHangup, stop: () => void, goOn: () => void): () => void {
  let gone = false;
  const hungUp = () => {
    if (gone) return;
    gone = true;
    process.once("exit", letGo);
    if (what() === "stop") stop();
    else goOn();
  };
  process.on("SIGHUP", hungUp);
  return () => process.off("SIGHUP", hungUp);
}

/**
 * At its end Node sets every terminal back to how it found it, and aborts where that fails (ResetStdio in node.cc, EIO).
 * What it finds there is no terminal any more then.
 */
function letGo(): void {
  for (const descriptor of [0, 1, 2]) {
    closeSync(descriptor);
    openSync("/dev/null", "r+");
  }
}

/** A writer into an open file. */
export function writerTo(descriptor: number): (text: string) => void {
  return (text) => {
    writeSync(descriptor, text);
  };
}
