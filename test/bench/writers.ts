/** Starts the writers' process and asks it for what it saw. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Sample } from "./latency.js";
import type { Task } from "./writer-process.js";

const Told = z.union([
  z.object({ told: z.literal("ready") }),
  z.object({
    told: z.literal("samples"),
    samples: z.array(z.object({ due: z.number(), ms: z.number(), ok: z.boolean() })),
    failures: z.array(z.string()),
  }),
]);

/** Found by both keys unless told otherwise: what an application on a partitioned table does. */
export type WriterTask = Omit<Task, "seed" | "by"> & { by?: Task["by"] };

export interface Wrote {
  samples: Sample[];
  /** What the server or the connection said, each once. */
  failures: string[];
}

export interface Writers {
  stop(): Promise<Wrote>;
}

/** Resolves when every client is connected and writes. */
export async function startWriters(task: WriterTask): Promise<Writers> {
  const child = fork(
    join(import.meta.dirname, "writer-process.ts"),
    [JSON.stringify({ by: "both", ...task, seed: 1 })],
    {
      execArgv: ["--import", "tsx"],
    },
  );
  const died = new AbortController();
  child.once("exit", () => died.abort(new Error("the writers' process ended")));
  const told = async () => {
    const [message]: unknown[] = await once(child, "message", { signal: died.signal });
    return Told.parse(message);
  };
  await told();
  return {
    stop: async () => {
      const answer = told();
      child.send("stop");
      const message = await answer;
      if (message.told !== "samples") throw new Error("the writers said something else than their samples");
      return message;
    },
  };
}

/** Connections, prepared statements and caches are warm by then. */
const WARM_MS = 1_000;

/** Writers for `seconds` and nothing else; the span begins a second after they were ready. */
export async function writeFor(
  task: WriterTask,
  seconds: number,
): Promise<Wrote & { from: number; to: number }> {
  const writers = await startWriters(task);
  await sleep(WARM_MS);
  const from = Date.now();
  await sleep(seconds * 1000);
  const to = Date.now();
  return { ...(await writers.stop()), from, to };
}
