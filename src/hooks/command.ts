/** Runs one command of a hook: through the shell, in a process group of its own, for a bounded time. */
import type { Readable } from "node:stream";
import { messageOf } from "../errors.js";

export interface CommandResult {
  ok: boolean;
  /** How it ended: `exit code 3`, `killed after 60 s`. */
  how: string;
  /** The end of stdout and stderr together. */
  output: string;
  ms: number;
}

/** How much of a command's output is kept, characters. */
const KEEP = 8192;
/** Between SIGTERM and SIGKILL, ms. */
const GRACE_MS = 2000;
/** How long the output is waited for when the command has ended, or was killed: a daemon may hold it open for ever, ms. */
const LINGER_MS = 1000;

/**
 * Never rejects. `env` is added to the environment of this process. When `timeoutMs` have passed, or `stop` fires, the
 * whole process group gets SIGTERM, then SIGKILL. The command is over when its own process is: what it left behind in
 * the background is neither waited for nor ended.
 */
export async function runCommand(
  command: string,
  env: Record<string, string>,
  timeoutMs: number,
  stop?: AbortSignal,
): Promise<CommandResult> {
  const { execa } = await import("execa");
  const started = performance.now();
  // detached: a group of its own, so that Ctrl-C at the terminal is Partway's alone, and all of it can be killed.
  const child = execa(command, {
    ...{ shell: true, detached: true, env, stdin: "ignore", all: true, buffer: false, reject: false },
  });
  let output = "";
  child.all.setEncoding("utf8");
  child.all.on("data", (chunk: string) => {
    output = (output + chunk).slice(-KEEP);
  });
  let killed: string | null = null;
  let hasExited = false;
  const timers: NodeJS.Timeout[] = [];
  const after = (ms: number, act: () => void) => timers.push(setTimeout(act, ms));
  const over = new AbortController();
  const abandon = () => over.abort();
  const kill = (why: string) => {
    if (killed !== null || hasExited) return;
    killed = why;
    signalGroup(child.pid, "SIGTERM");
    after(GRACE_MS, () => signalGroup(child.pid, "SIGKILL"));
    after(GRACE_MS + LINGER_MS, abandon);
  };
  child.once("exit", () => {
    hasExited = true;
    // What else is in its group may need the SIGKILL.
    if (killed === null) after(LINGER_MS, abandon);
  });
  after(timeoutMs, () => kill(`killed after ${timeoutMs / 1000} s`));
  const onStop = () => kill("killed because the run was stopped");
  stop?.addEventListener("abort", onStop, { once: true });
  if (stop?.aborted === true) onStop();
  const ended = (await Promise.race([child, aborted(over.signal)])) ?? letGo(child);
  for (const timer of timers) clearTimeout(timer);
  stop?.removeEventListener("abort", onStop);
  return {
    ok: killed === null && !ended.failed,
    how: killed ?? howOf(ended),
    output: output.trim(),
    ms: performance.now() - started,
  };
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}

interface Ended {
  failed: boolean;
  exitCode?: number | undefined;
  signal?: string | undefined;
  shortMessage?: string | undefined;
}

/** Waits no longer for whoever holds the output open, nor lets the process's end wait; gives what is known. */
function letGo(child: {
  exitCode: number | null;
  signalCode: string | null;
  stdout: Readable;
  stderr: Readable;
  all: Readable;
  unref(): void;
}): Ended {
  for (const stream of [child.all, child.stdout, child.stderr]) stream.destroy();
  child.unref();
  const { exitCode, signalCode } = child;
  return { failed: exitCode !== 0, exitCode: exitCode ?? undefined, signal: signalCode ?? undefined };
}

function howOf(ended: Ended): string {
  if (ended.exitCode !== undefined) return `exit code ${ended.exitCode}`;
  return ended.signal === undefined ? (ended.shortMessage ?? "it could not be started") : ended.signal;
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // ESRCH: all of it has ended by itself.
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return;
    process.emitWarning(`hook: ${signal} to process group ${pid}: ${messageOf(error)}`);
  }
}
