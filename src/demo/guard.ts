/**
 * The guard: a small child process that owns a throw-away PostgreSQL and its directory. It lives in its own process
 * group (Ctrl-C does not reach it) and holds one end of a pipe; when the parent ends, however it ends (SIGKILL too),
 * the pipe closes, and the guard stops the server and removes the directory. So nothing is ever left behind.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { z } from "zod";

/** Which operating-system user the server runs as; empty when the parent is not root. */
export interface RunAs {
  uid?: number;
  gid?: number;
}

/** What the guard says: a process was started, it ended, or it could not be started. */
const Said = z.union([
  z.object({ pid: z.number() }),
  z.object({ exit: z.number().nullable(), signal: z.string().nullable() }),
  z.object({ failed: z.string() }),
]);

/**
 * The guard's program, plain JavaScript for `node -e` so that it runs the same from dist/, from tsx and in vitest.
 * Orders come as JSON lines: {file, args, log} starts the one process, {signal} signals it. End of input: SIGQUIT
 * (PostgreSQL's immediate shutdown), SIGKILL after 10 s, remove the directory.
 */
const PROGRAM = `
const { spawn } = require("node:child_process");
const { openSync, closeSync, rmSync } = require("node:fs");
const [root, runAs] = JSON.parse(process.argv[1]);
let child = null;
let ending = false;
const say = (line) => { if (!ending) process.stdout.write(JSON.stringify(line) + "\\n"); };
const leave = () => { rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }); process.exit(0); };
const gone = (line) => { child = null; say(line); if (ending) leave(); };
const end = () => {
  if (ending) return;
  ending = true;
  if (child === null) return leave();
  child.kill("SIGQUIT");
  setTimeout(() => child && child.kill("SIGKILL"), 10000);
};
process.stdout.on("error", end);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, end);
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line);
  if (order.signal) return child && child.kill(order.signal);
  const log = openSync(order.log, "a");
  child = spawn(order.file, order.args, { ...runAs, cwd: root, stdio: ["ignore", log, log] });
  closeSync(log);
  child.on("spawn", () => say({ pid: child.pid }));
  child.on("error", (error) => gone({ failed: error.code || error.message }));
  child.on("exit", (exit, signal) => gone({ exit, signal }));
}).on("close", end);
`;

export class Guard {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<void>;
  #running: { pid: number; exited: Promise<string> } | null = null;
  #onStart: ((result: { pid: number } | { failed: string }) => void) | null = null;
  #onExit: ((how: string) => void) | null = null;

  /** `root` is the directory the guard removes at the end; it must exist. */
  constructor(root: string, runAs: RunAs) {
    this.#process = spawn(process.execPath, ["-e", PROGRAM, JSON.stringify([root, runAs])], {
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
      // Not the parent's loader flags: the guard needs none, and vitest's and tsx's would slow it down.
      env: { ...process.env, NODE_OPTIONS: "", LC_ALL: "C", TZ: "UTC" },
    });
    this.#ended = new Promise((resolve) => this.#process.once("exit", () => resolve()));
    this.#process.stdin.on("error", () => this.#heard({ failed: "the guard process is gone" }));
    createInterface({ input: this.#process.stdout }).on("line", (line) =>
      this.#heard(Said.parse(JSON.parse(line))),
    );
    void this.#ended.then(() => this.#heard({ exit: null, signal: "guard" }));
  }

  /** Starts the one process; its output goes to the file `log`. Throws a plain Error when it cannot be started. */
  async start(
    file: string,
    args: readonly string[],
    log: string,
  ): Promise<{ pid: number; exited: Promise<string> }> {
    if (this.#process.exitCode !== null || this.#process.stdin.destroyed)
      throw new Error("the guard has ended");
    if (this.#running !== null) throw new Error("the guard already runs a process");
    const exited = new Promise<string>((resolve) => {
      this.#onExit = resolve;
    });
    const started = new Promise<{ pid: number } | { failed: string }>((resolve) => {
      this.#onStart = resolve;
    });
    this.#process.stdin.write(`${JSON.stringify({ file, args, log })}\n`);
    const result = await started;
    if ("failed" in result)
      throw Object.assign(new Error(`cannot start ${file}: ${result.failed}`), { code: result.failed });
    this.#running = { pid: result.pid, exited };
    return this.#running;
  }

  /** Signals the process and waits until it has ended; nothing to do when none runs. */
  async signal(signal: "SIGINT" | "SIGQUIT"): Promise<void> {
    if (this.#running === null) return;
    const { exited } = this.#running;
    this.#process.stdin.write(`${JSON.stringify({ signal })}\n`);
    await exited;
  }

  /** Stops whatever runs at once, removes the directory, ends the guard. */
  async end(): Promise<void> {
    this.#process.stdin.end();
    await this.#ended;
  }

  #heard(said: z.infer<typeof Said>): void {
    if ("exit" in said) {
      this.#running = null;
      this.#onStart?.({ failed: "it ended at once" });
      this.#onExit?.(said.exit === null ? `signal ${said.signal}` : `exit code ${said.exit}`);
      this.#onExit = null;
    } else {
      this.#onStart?.(said);
    }
    this.#onStart = null;
  }
}
