/** A temporary directory and second processes for the journal's tests. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach } from "vitest";

const CHILD = fileURLToPath(new URL("./journal-child.ts", import.meta.url));

/** A fresh directory for each test, removed afterwards; `file()` is a journal path in it. */
export function temporaryDirectory(): { path(): string; file(): string } {
  let path = "";
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), "partway-journal-"));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));
  return { path: () => path, file: () => join(path, "journal.sqlite") };
}

export interface Child {
  process: ChildProcess;
  pid: number;
  /** The next line it prints, parsed; null at the end of its output. */
  next(): Promise<unknown>;
  /** All lines it prints until it ends. */
  rest(): Promise<unknown[]>;
  tell(line: string): void;
  /** SIGKILL, and wait until the kernel has let go of the process. */
  kill(): Promise<void>;
}

/** Starts journal-child.ts with `task`. */
export function startChild(task: string, file: string, argument = ""): Child {
  const child = spawn(process.execPath, ["--import", "tsx", CHILD, task, file, argument], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  if (child.pid === undefined) throw new Error("no second process");
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    return line.done ? null : JSON.parse(line.value);
  };
  return {
    process: child,
    pid: child.pid,
    next,
    rest: async () => {
      const all: unknown[] = [];
      for (let line = await next(); line !== null; line = await next()) all.push(line);
      await exited;
      return all;
    },
    tell: (line) => child.stdin.write(`${line}\n`),
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** May this user mount file systems in a namespace of its own? (root, or where user namespaces are allowed) */
const NAMESPACE = process.getuid?.() === 0 ? ["-m"] : ["-Urm"];
export const canMount =
  spawnSync("unshare", [...NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

/** Runs shell commands in a mount namespace of their own; `$CHILD task file argument` is journal-child.ts. */
export function inNamespace(script: string): unknown[] {
  const child = `"${process.execPath}" --import tsx "${CHILD}"`;
  const run = spawnSync("unshare", [...NAMESPACE, "bash", "-euc", script.replaceAll("$CHILD", child)], {
    encoding: "utf8",
  });
  if (run.status !== 0) throw new Error(`${run.error ?? ""}${run.stderr}`);
  return run.stdout
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
}
