/**
 * The writers, in a process of their own so that the bench's work does not delay them. Started by writers.ts, which
 * says when to stop; answers with every statement's due time and latency.
 */
import pg from "pg";
import { z } from "zod";
import { Random } from "../../src/demo/random.js";
import type { Sample } from "./latency.js";
import { knownRows, nextStatement } from "./mix.js";

export const Task = z.object({
  url: z.string(),
  /** Statements a second, due at even distances whatever the server does; null: each client its next at once. */
  perSecond: z.number().nullable(),
  clients: z.number(),
  rows: z.number(),
  /** How a row is found that is changed or deleted. */
  by: z.enum(["both", "id"]),
  seed: z.number(),
});
export type Task = z.infer<typeof Task>;

export type Told = { told: "ready" } | { told: "samples"; samples: Sample[]; failures: string[] };

const say = (message: Told): Promise<void> =>
  new Promise((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) => (error === null ? resolve() : reject(error)));
  });

const epoch = (): number => performance.timeOrigin + performance.now();

async function work(task: Task): Promise<void> {
  const random = new Random(task.seed);
  const samples: Sample[] = [];
  const failures = new Set<string>();
  const stop = new AbortController();
  const clients = await Promise.all(
    Array.from({ length: task.clients }, async () => {
      const client = new pg.Client({ connectionString: task.url, application_name: "bench-writer" });
      client.on("error", (error) => failures.add(error.message));
      await client.connect();
      return client;
    }),
  );
  const [first] = clients;
  const known = first === undefined ? [] : await knownRows(first, task.rows);
  const send = async (client: pg.Client, due: number): Promise<void> => {
    let ok = true;
    try {
      await client.query(nextStatement(random, known, task.by));
    } catch (error) {
      ok = false;
      failures.add(error instanceof Error ? error.message : String(error));
    }
    samples.push({ due, ms: epoch() - due, ok });
  };
  process.once("message", () => stop.abort());
  // The bench was cut off: nobody asks any more.
  process.once("disconnect", () => process.exit());
  await say({ told: "ready" });
  if (task.perSecond === null) await closedLoop(clients, send, stop.signal);
  else await openLoop(clients, task.perSecond, send, stop.signal);
  await Promise.all(clients.map((client) => client.end()));
  await say({ told: "samples", samples, failures: [...failures] });
  process.disconnect();
}

type Send = (client: pg.Client, due: number) => Promise<void>;

async function closedLoop(clients: readonly pg.Client[], send: Send, stop: AbortSignal): Promise<void> {
  await Promise.all(
    clients.map(async (client) => {
      while (!stop.aborted) await send(client, epoch());
    }),
  );
}

/** A statement is due by the clock, not when a client is free: what waits for one is late, and counts as late. */
async function openLoop(
  clients: readonly pg.Client[],
  perSecond: number,
  send: Send,
  stop: AbortSignal,
): Promise<void> {
  const free = [...clients];
  /** When each statement is due; those before `next` have been sent. No shift(): it moves all that wait behind a stall. */
  const dues: number[] = [];
  let next = 0;
  const busy = new Set<Promise<void>>();
  const begin = (): void => {
    for (;;) {
      const due = dues[next];
      const client = due === undefined ? undefined : free.pop();
      if (client === undefined || due === undefined) return;
      next++;
      const sent = send(client, due).then(() => {
        busy.delete(sent);
        free.push(client);
        begin();
      });
      busy.add(sent);
    }
  };
  const from = epoch();
  let planned = 0;
  while (!stop.aborted) {
    const now = epoch();
    for (; from + (planned * 1000) / perSecond <= now; planned++)
      dues.push(from + (planned * 1000) / perSecond);
    begin();
    // To the next one's time, or a millisecond: the timer has no finer.
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(1, from + (planned * 1000) / perSecond - epoch())),
    );
  }
  while (busy.size > 0) await Promise.all(busy);
}

await work(Task.parse(JSON.parse(process.argv[2] ?? "")));
