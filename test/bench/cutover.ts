/** Swaps under writers who send their next statement at once, each on a table of its own. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../../src/demo/random.js";
import { connected } from "./database.js";
import { ofKind } from "./events.js";
import { type Known, nextStatement } from "./mix.js";
import { inFolder, runArgs, typed } from "./partway.js";
import type { Shape } from "./table.js";
import { swapValues } from "./under-writers.js";
import { watchStrongLocks } from "./waits.js";
import { startWriters } from "./writers.js";

const CLIENTS = 4;
/** A writer's start (prepared statements, caches) is over by then. */
const WARM_MS = 1_500;
/** The span of the swap ends a second after it. */
const AFTER_MS = 1_100;

/** One swap: how long the locks were held, and the longest statement of the writers around it. */
export async function swapUnderWriters(
  url: string,
  shape: Shape,
  env: Record<string, string> = {},
): Promise<Record<string, number>> {
  return inFolder(url, async (folder) => {
    await typed(folder, runArgs(shape, "--until", "validate"));
    const writers = await startWriters({ url, perSecond: null, clients: CLIENTS, rows: shape.rows });
    await sleep(WARM_MS);
    const locks = watchStrongLocks(url);
    // Ended also when the cutover fails: its error is told then.
    const swapping = typed(folder, ["cutover", "--json", "--no-hold"], env).finally(() => locks.stop());
    const [events, wrote, freshMs] = await swapping.then(
      async (lines) => {
        await sleep(AFTER_MS);
        const fresh = await firstStatements(url);
        return [lines, await writers.stop(), fresh] as const;
      },
      async (error: unknown) => {
        await writers.stop();
        throw error;
      },
    );
    const [swap] = ofKind(events, "cutover");
    if (swap === undefined) throw new Error("the cutover told nothing of itself");
    for (const failure of wrote.failures) console.log(`  a writer was told: ${failure}`);
    return {
      ...swapValues(events, wrote.samples),
      ...{ observedStallMs: swap.longestStallMs, freshMs, lockWaitMs: await locks.stop() },
      // Of the try that had them: the bound that a writer may have stood behind.
      lockTimeoutMs: ofKind(events, "lock-try").at(-1)?.timeoutMs ?? 0,
      errors: wrote.samples.filter(({ ok }) => !ok).length,
    };
  });
}

/**
 * The longest of a new connection's first statements of each kind, when no lock is held any more: a connection that
 * meets the partitions for the first time reads their definitions, and so does each writer's after the swap.
 */
async function firstStatements(url: string): Promise<number> {
  return connected(url, async (client) => {
    const { rows: known } = await client.query<Known>(
      "SELECT id::text, created_at::text FROM public.orders_retired LIMIT 1",
    );
    const random = new Random(1);
    let longest = 0;
    for (let n = 0; n < 20; n++) {
      const from = performance.now();
      await client.query(nextStatement(random, known, "both"));
      longest = Math.max(longest, performance.now() - from);
    }
    return longest;
  });
}

export interface Profiled {
  statement: string;
  ms: number;
  count: number;
}

/**
 * The statements inside the lock by the server's own log, longest first. The backend writes each one's duration while
 * everybody waits, so the sum is a little more than an unwatched swap holds.
 */
export async function profileSwap(url: string, shape: Shape, logFile: string): Promise<Profiled[]> {
  const before = readFileSync(logFile, "utf8").length;
  await swapUnderWriters(url, shape, { PGOPTIONS: "-c log_min_duration_statement=0" });
  return insideLock(readFileSync(logFile, "utf8").slice(before));
}

/** From the last ACCESS EXCLUSIVE lock to the COMMIT of the backend that renamed. Pure. */
export function insideLock(log: string): Profiled[] {
  const entries = log.split(/\n(?=\d+\.\d+ \[\d+\] )/).flatMap((entry) => {
    const found = /^\d+\.\d+ \[(\d+)\] LOG:\s+duration: ([\d.]+) ms\s+(\w+)(?: [^:]*)?: ([\s\S]*)$/.exec(
      entry,
    );
    if (found === null) return [];
    const [, pid = "", ms = "", step = "", text = ""] = found;
    return [{ pid, ms: Number(ms), step, text: text.replace(/\s+/g, " ").trim() }];
  });
  const renaming = entries.findLast(({ text }) => /RENAME TO/.test(text));
  const own = entries.filter(({ pid }) => pid === renaming?.pid);
  const swap = own.findLastIndex(({ text }) => /RENAME TO/.test(text));
  const locked = own.slice(0, swap).findLastIndex(({ text }) => /^LOCK TABLE .* ACCESS EXCLUSIVE/.test(text));
  const end = own.findIndex(({ text }, i) => i > swap && /^COMMIT/i.test(text));
  if (renaming === undefined || locked < 0 || end < 0) return [];
  const sums = new Map<string, Profiled>();
  for (const { text, ms, step } of own.slice(locked + 1, end + 1)) {
    const statement = text.length > 100 ? `${text.slice(0, 97)}...` : text;
    const sum = sums.get(statement) ?? { statement, ms: 0, count: 0 };
    sums.set(statement, {
      statement,
      ms: sum.ms + ms,
      // Parse and bind are of the same statement as its execute.
      count: sum.count + (step === "execute" || step === "statement" ? 1 : 0),
    });
  }
  return [...sums.values()].sort((a, b) => b.ms - a.ms);
}
