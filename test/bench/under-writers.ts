/** One whole migration, from plan to the retired table's end, while an application writes at a fixed rate. */
import { setTimeout as sleep } from "node:timers/promises";
import { at, type Lines, ofKind, phaseSeconds, phaseSpans } from "./events.js";
import { type Latency, latencyIn, longestTouching, type Sample, type Span } from "./latency.js";
import { ended, inFolder, runArgs } from "./partway.js";
import type { Shape } from "./table.js";
import { watchOver } from "./watch.js";
import { startWriters } from "./writers.js";

export interface Load {
  perSecond: number;
  clients: number;
  /** Of each span in which nothing else happens: before, in the window, after. */
  spanSeconds: number;
}

/**
 * Seconds as of an idle run; latency and throughput before, in each phase, at the cutover, in the window and after the
 * end, as `<span>.p99` and so on; the cutover's held time and the longest stall around it.
 */
export async function migrateUnderWriters(
  url: string,
  shape: Shape,
  load: Load,
  ...more: string[]
): Promise<Record<string, number>> {
  return inFolder(url, async (folder) => {
    const writers = await startWriters({ url, ...load, rows: shape.rows });
    try {
      await sleep(2_000);
      const before: Span = { name: "before", from: Date.now(), to: Date.now() + load.spanSeconds * 1000 };
      await sleep(load.spanSeconds * 1000);
      // The window ends by itself, and the process that tends it drops the retired table: one process for everything.
      const args = runArgs(shape, ...more, "--keep", `${load.spanSeconds + 2}s`).map((arg) =>
        arg === "--no-hold" ? "--hold" : arg,
      );
      const started = folder.start(args);
      const over = watchOver(url, started.child.pid ?? 0);
      const events = await ended(started).finally(() => over.stop());
      const after: Span = { name: "after", from: Date.now(), to: Date.now() + load.spanSeconds * 1000 };
      await sleep(load.spanSeconds * 1000);
      const { samples, failures } = await writers.stop();
      for (const failure of failures) console.log(`  a writer was told: ${failure}`);
      const [swap] = ofKind(events, "cutover");
      const retain = phaseSpans(events).find(({ name }) => name === "retain");
      const spans = [before, ...phaseSpans(events).filter(({ name }) => name !== "retain"), after];
      if (retain !== undefined) spans.push({ ...retain, name: "window" });
      return {
        ...phaseSeconds(events),
        ...(await over.stop()),
        ...Object.assign({}, ...spans.map((span) => named(span.name, latencyIn(samples, span)))),
        ...againstBefore(latencyIn(samples, before), "copy", spans, samples),
        ...againstBefore(latencyIn(samples, before), "window", spans, samples),
        ...(swap === undefined ? {} : swapValues(swap, samples)),
        ...drainValues(events),
        longestStallMs: longestTouching(samples, { from: before.from, to: after.to }),
        errors: samples.filter(({ ok }) => !ok).length,
      };
    } catch (error) {
      await writers.stop();
      throw error;
    }
  });
}

const named = (span: string, latency: Latency | null): Record<string, number> =>
  latency === null
    ? {}
    : Object.fromEntries(Object.entries(latency).map(([name, value]) => [`${span}.${name}`, value]));

/** Within one run, seconds apart: the share of the load that was answered, and the p99 as a multiple. */
function againstBefore(
  before: Latency | null,
  name: string,
  spans: readonly Span[],
  samples: readonly Sample[],
): Record<string, number> {
  const span = spans.find((one) => one.name === name);
  const now = span === undefined ? null : latencyIn(samples, span);
  if (before === null || now === null) return {};
  return {
    [`${name}.loadKept`]: now.perSecond / before.perSecond,
    [`${name}.p99Ratio`]: now.p99 / before.p99,
  };
}

/** `at` is told after the commit: the second before it holds the lock. */
export function swapValues(
  swap: ReturnType<typeof ofKind<"cutover">>[number],
  samples: readonly Sample[],
): Record<string, number> {
  const span = { from: at(swap) - swap.heldMs - swap.waitedMs - 50, to: at(swap) + 50 };
  return {
    heldMs: swap.heldMs,
    waitedMs: swap.waitedMs,
    tries: swap.tries,
    drainedKeys: swap.drainedKeys,
    writerStallMs: longestTouching(samples, span),
  };
}

/** The backlog when the drain after the copy began, and the time until the log was short. */
function drainValues(events: Lines): Record<string, number> {
  const catching = ofKind(events, "index").find(({ step }) => step === "catching up with the change log");
  const index = phaseSpans(events).find(({ name }) => name === "index");
  if (catching === undefined || index === undefined) return {};
  const backlogs = ofKind(events, "backlog").filter(
    (one) => at(one) >= at(catching) && at(one) <= index.to + 50,
  );
  const rates = backlogs.flatMap(({ appliedPerSecond }) =>
    appliedPerSecond === null ? [] : [appliedPerSecond],
  );
  return {
    backlogKeys: Math.max(0, ...backlogs.map(({ keys }) => keys)),
    drainSeconds: (index.to - at(catching)) / 1000,
    ...(rates.length === 0 ? {} : { applyPerSecond: Math.max(...rates) }),
  };
}
