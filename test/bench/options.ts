/** What is typed after `npm run bench --`. */
import { parseArgs } from "node:util";
import { badInput } from "../../src/errors.js";
import type { ServerVersion } from "../support/versions.js";

/** `wal` has to be asked for: it needs another wal_level, which the others are not measured with. In the order they are run, most wanted first: a run that is cut off has the first of them. */
export const PARTS = [
  "floor",
  "partway",
  "writers",
  "cutover",
  "saturation",
  "keyset",
  "mirror",
  "apply",
  "resume",
  "cutover-1000",
  "half-load",
  "wal",
  "partman",
  "repack",
  "growth",
] as const;
export type Part = (typeof PARTS)[number];

export interface BenchOptions {
  rows: number;
  server: ServerVersion;
  repeats: number;
  /** Rounds of the ways that take several times as long. */
  slowRepeats: number;
  swaps: number;
  swapsOfMany: number;
  /** Seconds of each span in which writers alone are measured. */
  spanSeconds: number;
  parts: ReadonlySet<Part>;
  /** A result to render instead of measuring. */
  readme: string | null;
  /** The JSON file; null: by server and date. */
  out: string | null;
}

/** Errors: bad-input, with nothing started. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parse(args);
  const quick = values.quick === true;
  const server = values.server;
  if (server !== "15" && server !== "18") throw badInput(`--server ${server}`, "Give 15 or 18.");
  const parts =
    values.only === undefined
      ? PARTS.filter((part) => part !== "wal" && (part !== "growth" || values.growth))
      : listed(values.only);
  return {
    rows: whole("rows", values.rows ?? (quick ? "200000" : "5000000"), 10_000, 50_000_000),
    server,
    repeats: whole("repeats", values.repeats ?? (quick ? "1" : "5"), 1, 50),
    slowRepeats: whole("slow-repeats", values["slow-repeats"] ?? (quick ? "1" : "2"), 1, 50),
    swaps: whole("swaps", values.swaps ?? (quick ? "2" : "20"), 1, 200),
    swapsOfMany: whole("swaps-of-many", values["swaps-of-many"] ?? (quick ? "1" : "5"), 1, 200),
    spanSeconds: whole("span", values.span ?? (quick ? "4" : "15"), 1, 600),
    parts: new Set(values.growth ? [...parts, "growth"] : parts),
    readme: values.readme ?? null,
    out: values.out ?? null,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rows: { type: "string" },
        server: { type: "string", default: "15" },
        repeats: { type: "string" },
        "slow-repeats": { type: "string" },
        swaps: { type: "string" },
        "swaps-of-many": { type: "string" },
        span: { type: "string" },
        only: { type: "string" },
        quick: { type: "boolean", default: false },
        growth: { type: "boolean", default: false },
        readme: { type: "string" },
        out: { type: "string" },
      },
    });
  } catch (error) {
    throw badInput(
      error instanceof Error ? error.message : String(error),
      "See the head of test/bench/bench.ts.",
    );
  }
}

function listed(only: string): Part[] {
  return only.split(",").map((name) => {
    const part = PARTS.find((one) => one === name.trim());
    if (part === undefined) throw badInput(`--only ${name}`, `Give some of ${PARTS.join(", ")}.`);
    return part;
  });
}

function whole(name: string, text: string, least: number, most: number): number {
  const n = Number(text);
  if (!/^\d+$/.test(text) || n < least || n > most)
    throw badInput(`--${name} ${text}`, `Give a whole number from ${least} to ${most}.`);
  return n;
}
