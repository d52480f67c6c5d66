/** The product as an operator meets it: the command line in child processes, in folders of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";

const Line = z.looseObject({ event: z.string() });
/** One line of `--json` output. */
export type Line = z.infer<typeof Line>;

export interface Ended {
  /** null: killed by a signal. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** Resolves with the first event `when` accepts, now or later; rejects when the process ends before. */
  event(when: (line: Line) => boolean): Promise<Line>;
}

export interface Folder {
  /** The working directory; HOME too, so that no ~/.pgpass and no configuration of the machine is read. */
  dir: string;
  /** Starts `partway <args>` with DATABASE_URL set to `url`. */
  start(args: readonly string[], env?: Record<string, string>): Started;
  /** Starts it and waits for its end. */
  run(args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  /** Ends what still runs and removes the folder. */
  remove(): Promise<void>;
}

/** An empty folder in which `partway` is typed. */
export function freshFolder(cli: string, url: string): Folder {
  const dir = mkdtempSync(join(tmpdir(), "partway-cli-"));
  const running = new Set<Started>();
  const start = (args: readonly string[], env: Record<string, string> = {}): Started => {
    const child = spawn(process.execPath, [cli, ...args], {
      cwd: dir,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], HOME: dir, TERM: "dumb", DATABASE_URL: url, ...env },
    });
    const started = follow(child, args.includes("--json"));
    running.add(started);
    void started.ended.finally(() => running.delete(started));
    return started;
  };
  return {
    dir,
    start,
    run: (args, env) => start(args, env).ended,
    remove: async () => {
      for (const { child } of running) child.kill("SIGKILL");
      await Promise.all([...running].map(({ ended }) => ended));
      rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

function follow(child: ChildProcess, json: boolean): Started {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("the process has no pipes");
  const text = { stdout: "", stderr: "" };
  stdout.on("data", (chunk: Buffer) => {
    text.stdout += chunk.toString();
  });
  stderr.on("data", (chunk: Buffer) => {
    text.stderr += chunk.toString();
  });
  const seen: Line[] = [];
  const waiting = new Set<(line: Line) => void>();
  if (json)
    createInterface({ input: stdout }).on("line", (one) => {
      const line = Line.safeParse(JSON.parse(one));
      if (!line.success) return;
      seen.push(line.data);
      for (const tell of waiting) tell(line.data);
    });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...text }));
  });
  return {
    child,
    ended,
    event: (when) =>
      new Promise((resolve, reject) => {
        const before = seen.find(when);
        if (before !== undefined) return resolve(before);
        waiting.add((line) => {
          if (when(line)) resolve(line);
        });
        void ended.then(({ code, stderr: why }) =>
          reject(new Error(`ended with ${code} before the event: ${text.stdout.slice(-500)} ${why}`)),
        );
      }),
  };
}

/** Every line of --json output, parsed; throws on a line that is not JSON. */
export function jsonLines(stdout: string): unknown[] {
  if (stdout === "") return [];
  if (!stdout.endsWith("\n")) throw new Error("the last line is not whole");
  return stdout
    .slice(0, -1)
    .split("\n")
    .map((line): unknown => JSON.parse(line));
}
