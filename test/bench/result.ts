/** What a run of the bench has measured so far, as its JSON file holds it. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { badInput, messageOf } from "../../src/errors.js";
import { median, ratio } from "./stats.js";

/** Of a run under writers: each second's latency, and what their backends were seen waiting for in it. */
const Second = z.object({
  second: z.number(),
  span: z.string(),
  count: z.number(),
  p99: z.number(),
  max: z.number(),
  waits: z.record(z.string(), z.number()),
});

const Measurement = z.object({
  /** What was measured: floor, partway, partway-500, cutover, ... */
  part: z.string(),
  /** What was measured in turn with it: only values of one round are divided by each other. */
  round: z.string(),
  at: z.string(),
  values: z.record(z.string(), z.number()),
  timeline: z.array(Second).exactOptional(),
});
export type Measurement = z.infer<typeof Measurement>;
export type Measured = Pick<Measurement, "values" | "timeline">;

const Profiled = z.object({ statement: z.string(), ms: z.number(), count: z.number() });

export const Result = z.object({
  server: z.string(),
  started: z.string(),
  /** Set when the run came to its end; a run that was cut off has none. */
  finished: z.string().nullable(),
  command: z.string(),
  rows: z.number(),
  rowBytes: z.number(),
  partway: z.string(),
  machine: z.record(z.string(), z.string()),
  settings: z.record(z.string(), z.string()),
  measurements: z.array(Measurement),
  /** Parts that could not be measured, and why. */
  skipped: z.array(z.object({ part: z.string(), why: z.string() })),
  /** The statements inside the cutover's lock, by leaves. */
  profiles: z.array(z.object({ part: z.string(), statements: z.array(Profiled) })),
});
export type Result = z.infer<typeof Result>;

/** Writes it whole or not at all: the run may be cut off at any moment. */
export function writeWhole(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

/** Errors: bad-input for a file that is not there or not one of the bench's. */
export function readResult(file: string): Result {
  try {
    return Result.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    throw badInput(
      `${file} is no result of the bench: ${messageOf(error)}`,
      "Give a file that npm run bench wrote: test/bench/results/<server>-<date>.json",
      error,
    );
  }
}

/** Every value of that name, in the order measured. */
export function valuesOf(result: Result, part: string, name: string): number[] {
  return result.measurements.flatMap((one) => {
    const value = one.part === part ? one.values[name] : undefined;
    return value === undefined ? [] : [value];
  });
}

export const medianOf = (result: Result, part: string, name: string): number | null =>
  median(valuesOf(result, part, name));

/** [part, name of the value] */
export type Of = readonly [string, string];

/** `value / base` within each round that has both; a round that has one of them several times is taken by its median. */
export function ratiosOf(result: Result, value: Of, base: Of): number[] {
  const rounds = [...new Set(result.measurements.map(({ round }) => round))];
  return rounds.flatMap((round) => {
    const within = { ...result, measurements: result.measurements.filter((one) => one.round === round) };
    const found = ratio(medianOf(within, ...value), medianOf(within, ...base));
    return found === null ? [] : [found];
  });
}
