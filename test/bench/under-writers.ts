/** One whole migration, from plan to the retired table's end, while an application writes at a fixed rate. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Started } from "../cli/support.js";
import { connected, numberOf } from "./database.js";
import { at, CATCHING_UP, type Lines, ofKind, phaseSeconds, phaseSpans } from "./events.js";
import {
  bySecond,
  type Latency,
  latencyIn,
  longestTouching,
  named,
  type Sample,
  type Span,
} from "./latency.js";
import { ended, inFolder, runArgs } from "./partway.js";
import type { Measured } from "./result.js";
import type { Shape } from "./table.js";
import { type Look, waitsIn, watchWaits } from "./waits.js";
import { watchOver } from "./watch.js";
import { startWriters } from "./writers.js";

export interface Load {
  perSecond: number;
  clients: number;
  /** Of each span in which nothing else happens: before, in the window, after. */
  spanSeconds: number;
}

/** The disk still has what the copy and the index builds left in the kernel's memory: told apart. */
const WINDOW_FIRST_MS = 2_000;

/**
 * Seconds as of an idle run; latency, throughput and what the writers waited for, before, in each phase, at the cutover,
 * in the window and after the end, as `<span>.p99`, `<span>.wait.wal` and so on; the cutover's held time and the longest
 * stall around it. The timeline has each second of it.
 */
export async function migrateUnderWriters(
  url: string,
  shape: Shape,
  load: Load,
  ...more: string[]
): Promise<Required<Measured>> {
  return inFolder(url, async (folder) => {
    const writers = await startWriters({ url, ...load, rows: shape.rows });
    const waiting = watchWaits(url);
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
      const backlog = backlogWhenTold(url, started);
      const events = await ended(started).finally(() => over.stop());
      const after: Span = { name: "after", from: Date.now(), to: Date.now() + load.spanSeconds * 1000 };
      await sleep(load.spanSeconds * 1000);
      const [looks, { samples, failures }] = await Promise.all([waiting.stop(), writers.stop()]);
      for (const failure of failures) console.log(`  a writer was told: ${failure}`);
      const spans = [before, ...runSpans(events), after];
      const swap = swapValues(events, samples);
      const values = {
        ...phaseSeconds(events),
        ...(await over.stop()),
        ...Object.assign({}, ...spans.map((span) => named(span.name, latencyIn(samples, span)))),
        ...Object.assign({}, ...spans.map((span) => waitValues(span, looks))),
        ...againstBefore(latencyIn(samples, before), "copy", spans, samples),
        ...againstBefore(latencyIn(samples, before), "window", spans, samples),
        ...swap,
        ...drainValues(events, await backlog),
        longestStallMs: longestTouching(samples, { from: before.from, to: after.to }),
        errors: samples.filter(({ ok }) => !ok).length,
      };
      return { values, timeline: timeline(samples, spans, looks) };
    } catch (error) {
      await Promise.all([writers.stop(), waiting.stop()]);
      throw error;
    }
  });
}

/** The phases; retain as the window, its first seconds and the rest of it. */
export function runSpans(events: Lines): Span[] {
  return phaseSpans(events).flatMap((span) => {
    if (span.name !== "retain") return [span];
    const { from, to } = span;
    const cut = Math.min(to, from + WINDOW_FIRST_MS);
    return [
      { name: "window", from, to },
      { name: "window_first", from, to: cut },
      { name: "window_rest", from: cut, to },
    ];
  });
}

const waitValues = (span: Span, looks: readonly Look[]): Record<string, number> =>
  Object.fromEntries(
    Object.entries(waitsIn(looks, span)).map(([wait, count]) => [`${span.name}.wait.${wait}`, count]),
  );

function timeline(
  samples: readonly Sample[],
  spans: readonly Span[],
  looks: readonly Look[],
): NonNullable<Measured["timeline"]> {
  return bySecond(samples, spans).map(({ from, ...second }) => ({
    ...second,
    waits: waitsIn(looks, { from, to: from + 1000 }),
  }));
}

/** Within one run, seconds apart: the p99 as a multiple. */
function againstBefore(
  before: Latency | null,
  name: string,
  spans: readonly Span[],
  samples: readonly Sample[],
): Record<string, number> {
  const span = spans.find((one) => one.name === name);
  const now = span === undefined ? null : latencyIn(samples, span);
  if (before === null || now === null) return {};
  return { [`${name}.p99Ratio`]: now.p99 / before.p99 };
}

/** A connection that meets the partitions, or a queue behind the lock, is through by then. */
const AFTER_SWAP_MS = 1_000;

/** The first swap, and the longest statement from before its lock was sought until a second after it; or nothing. */
export function swapValues(events: Lines, samples: readonly Sample[]): Record<string, number> {
  const [swap] = ofKind(events, "cutover");
  if (swap === undefined) return {};
  // `at` is told after the commit.
  const span = { from: at(swap) - swap.heldMs - swap.waitedMs - 50, to: at(swap) + AFTER_SWAP_MS };
  return {
    heldMs: swap.heldMs,
    waitedMs: swap.waitedMs,
    tries: swap.tries,
    drainedKeys: swap.drainedKeys,
    writerStallMs: longestTouching(samples, span),
  };
}

/** Rows of the change log when the drain after the index builds is told; null when it never was. */
async function backlogWhenTold(url: string, started: Started): Promise<number | null> {
  return connected(url, async (client) => {
    const told = await started
      .event((line) => line.event === "index" && line["step"] === CATCHING_UP)
      .then(
        () => true,
        // The end of the process tells why it never came.
        () => false,
      );
    if (!told) return null;
    const { rows } = await client.query<{ log: string }>(
      "SELECT oid::regclass::text AS log FROM pg_class WHERE relname LIKE 'fwd\\_log\\_%' AND relkind = 'r'",
    );
    const [log] = rows;
    return log === undefined ? null : numberOf(client, `SELECT count(*) FROM ${log.log}`);
  });
}

/**
 * The change log when the drain after the index builds began, and the time until it was short. What came in meanwhile
 * was applied in that time too and is not counted: the rate is rather too low.
 */
function drainValues(events: Lines, backlogKeys: number | null): Record<string, number> {
  const catching = ofKind(events, "index").find(({ step }) => step === CATCHING_UP);
  const index = phaseSpans(events).find(({ name }) => name === "index");
  if (catching === undefined || index === undefined) return {};
  const drainSeconds = (index.to - at(catching)) / 1000;
  return {
    drainSeconds,
    ...(backlogKeys === null ? {} : { backlogKeys, applyPerSecond: backlogKeys / drainSeconds }),
  };
}
