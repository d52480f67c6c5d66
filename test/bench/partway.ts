/** The built command line, run as an operator runs it, with what it says and takes. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunEvent } from "../../state/events.js";
import { type Folder, freshFolder, jsonLines, type Started } from "../cli/support.js";
import { connected, walPosition } from "./database.js";
import { eventsOf, ofKind, phaseSeconds } from "./events.js";
import { type Shape, schemeOf } from "./table.js";
import { watchOver } from "./watch.js";

const CLI = join(import.meta.dirname, "../../dist/src/cli.js");

/** Errors: when it has not been built. */
export function assertBuilt(): void {
  if (!existsSync(CLI)) throw new Error(`${CLI} is not there: npm run build`);
}

/** What a bench that is cut off leaves behind unless it is ended: without their server the runs would wait for it. */
const open = new Map<Folder, Set<Started>>();
process.once("exit", () => {
  for (const [{ dir }, running] of open) {
    for (const { child } of running) child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  }
});

/** Runs `work` in an empty folder in which `partway` is typed. */
export async function inFolder<T>(url: string, work: (folder: Folder) => Promise<T>): Promise<T> {
  const folder = freshFolder(CLI, url);
  const running = new Set<Started>();
  open.set(folder, running);
  try {
    return await work({
      ...folder,
      start: (args, env) => {
        const started = folder.start(args, env);
        running.add(started);
        return started;
      },
    });
  } finally {
    open.delete(folder);
    await folder.remove();
  }
}

/** The arguments of a run of `shape`. */
export const runArgs = (shape: Shape, ...more: string[]): string[] => [
  "run",
  ...schemeOf(shape),
  ...["--no-backup", "--yes", "--json", "--no-hold", ...more],
];

/** Errors: an exit code other than 0, with the end of what was said. */
export async function ended(started: Started): Promise<RunEvent[]> {
  const { code, stdout, stderr } = await started.ended;
  if (code !== 0)
    throw new Error(`partway ended with ${code}: ${stdout.slice(-1_000)} ${stderr.slice(-1_000)}`);
  return eventsOf(jsonLines(stdout));
}

/** Types `args` and waits for the end. */
export const typed = (
  folder: Folder,
  args: readonly string[],
  env?: Record<string, string>,
): Promise<RunEvent[]> => ended(folder.start(args, env));

export interface Ran {
  events: RunEvent[];
  values: Record<string, number>;
}

/** One run until ready for cutover: seconds, WAL, disk, and what the process took. */
export async function migrate(url: string, shape: Shape, ...more: string[]): Promise<Ran> {
  return inFolder(url, async (folder) =>
    connected(url, async (watch) => {
      const wal = await walPosition(watch);
      const begun = performance.now();
      const started = folder.start(runArgs(shape, "--until", "validate", ...more));
      const over = watchOver(url, started.child.pid ?? 0);
      const validating = started.event(
        (line) => line.event === "phase" && line["phase"] === "validate" && line["status"] === "started",
      );
      // The end tells why it never came.
      const walBeforeValidation = validating.then(() => walPosition(watch)).catch(() => null);
      const events = await ended(started).finally(() => over.stop());
      const wallSeconds = (performance.now() - begun) / 1000;
      const walAt = (await walBeforeValidation) ?? (await walPosition(watch));
      return {
        events,
        values: {
          ...phaseSeconds(events),
          ...{ wallSeconds, walPerRow: (walAt - wal) / shape.rows },
          leaves: ofKind(events, "leaves").at(-1)?.leaves.length ?? 0,
          ...(await over.stop()),
        },
      };
    }),
  );
}
