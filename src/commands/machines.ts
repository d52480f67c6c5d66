/** For programs that look on, and for those that are called: `--metrics`, `--on`. */
import type { Command } from "commander";
import type { Running } from "../engine/running.js";

export function withMachines(command: Command): Command {
  return command
    .option(
      "--on <event=command>",
      "run a command on an event, such as finished=./notify.sh; repeatable",
      (typed: string, before: string[] | undefined) => [...(before ?? []), typed],
    )
    .option("--hook-timeout <time>", "longest time such a command may take (default 1m); ms, s, m")
    .option("--metrics <address>", "serve Prometheus metrics at [host]:port while it runs, such as :9187");
}

/** Does `work` with metrics served at `address`; nothing is served without one. Errors: bad-input before `work` begins. */
export async function withMetrics(
  address: string | undefined,
  work: (watch: (running: Running) => void) => Promise<number>,
): Promise<number> {
  if (address === undefined) return work(() => undefined);
  const { parseAddress, serveMetrics } = await import("../metrics/server.js");
  const at = parseAddress(address);
  const { Exposition } = await import("../metrics/exposition.js");
  const exposition = new Exposition();
  const server = await serveMetrics(exposition, at);
  process.stderr.write(`partway: metrics at ${server.url}\n`);
  try {
    return await work((running) => exposition.watch(running.source));
  } finally {
    server.close();
  }
}
