/** Runs one command of a hook: through the shell, in a process group of its own, for a bounded time. */
import { execa } from "execa";
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

/**
 * Never rejects. `env` is added to the environment of this process. When `timeoutMs` have passed, or `stop` fires, the
 * whole process group gets SIGTERM, then SIGKILL.
 */
export async function runCommand(
  command: string,
  env: Record<string, string>,
  timeoutMs: number,
  stop?: AbortSignal,
): Promise<CommandResult> {
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
  const timers: NodeJS.Timeout[] = [];
  const kill = (why: string) => {
    if (killed !== null) return;
    killed = why;
    signalGroup(child.pid, "SIGTERM");
    timers.push(setTimeout(() => signalGroup(child.pid, "SIGKILL"), GRACE_MS));
  };
  timers.push(setTimeout(() => kill(`killed after ${timeoutMs / 1000} s`), timeoutMs));
  const onStop = () => kill("killed because the run was stopped");
  stop?.addEventListener("abort", onStop, { once: true });
  if (stop?.aborted === true) onStop();
  const ended = await child;
  for (const timer of timers) clearTimeout(timer);
  stop?.removeEventListener("abort", onStop);
  return {
    ok: killed === null && !ended.failed,
    how: killed ?? howOf(ended),
    output: output.trim(),
    ms: performance.now() - started,
  };
}

function howOf(ended: {
  exitCode?: number | undefined;
  signal?: string | undefined;
  shortMessage?: string | undefined;
}): string {
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
