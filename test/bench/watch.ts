/** What a process and a database take while something runs: looked at once a second. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connected, numberOf } from "./database.js";

const TICKS = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
const EVERY_MS = 1_000;

export interface Taken {
  /** The largest resident set of the process, MB of 10^6 bytes; the kernel's own high-water mark. */
  rssMb: number;
  /** Processor time of it, seconds, all threads. */
  cpuSeconds: number;
  /** The same as a share of one core over the time it was looked at. */
  cpuShare: number;
  /** The most the database grew by, bytes. */
  extraDisk: number;
}

/** Looks until `stop`, which gives what was seen. A process that has ended is no longer looked at. */
export function watchOver(url: string, pid: number): { stop(): Promise<Taken> } {
  const over = new AbortController();
  const seen = { rssMb: 0, cpuSeconds: 0 };
  const begun = performance.now();
  let alive = begun;
  const look = (): void => {
    const now = processNow(pid);
    if (now === null) return;
    Object.assign(seen, now);
    alive = performance.now();
  };
  const looking = connected(url, async (client) => {
    const size = () => numberOf(client, "SELECT pg_database_size(current_database())");
    const before = await size();
    let extraDisk = 0;
    while (!over.signal.aborted) {
      look();
      extraDisk = Math.max(extraDisk, (await size()) - before);
      await sleep(EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined);
    }
    return Math.max(extraDisk, (await size()) - before);
  });
  // Told by stop(); until somebody calls it a lost connection must not end the bench.
  looking.catch(() => undefined);
  return {
    stop: async () => {
      over.abort();
      const extraDisk = await looking;
      const seconds = Math.max(0.001, (alive - begun) / 1000);
      return { ...seen, cpuShare: seen.cpuSeconds / seconds, extraDisk };
    },
  };
}

/** From /proc; null when the process is not there (any more), or is a zombie without memory. */
function processNow(pid: number): { rssMb: number; cpuSeconds: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name stands in parentheses and may hold spaces: fields are counted behind it (utime is the 14th).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const high = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    if (high === undefined) return null;
    return {
      rssMb: (Number(high) * 1024) / 1e6,
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
    };
  } catch {
    return null;
  }
}
