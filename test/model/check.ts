/** Runs one configuration of partway.pml: spin writes a verifier in C, the compiler builds it, it tries everything. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Config } from "./configs.js";

const run = promisify(execFile);
const MODEL = join(import.meta.dirname, "partway.pml");
/** Where the verifier writes the history of a failure, in its own directory. */
const TRAIL = "partway.pml.trail";

/** Steps in one history; the deepest so far has 337. A longer one is an error, not left out in silence. */
const MAX_DEPTH = 100_000;
/** Megabytes of states; the biggest exhaustive configuration needs about 1500. */
const MEMORY_MB = 6000;

export interface Outcome {
  states: number;
  depth: number;
  /** `holds`, the name of the assertion that failed, `stuck`, `incomplete` (memory or depth used up), or `killed by`. */
  result: string;
  seconds: number;
  /** How much was tried. */
  extent: "exhaustive" | "part" | "until then";
  asExpected: boolean;
}

/** What is missing to run the model, and how to install it; null when nothing is. */
export function missing(): string | null {
  for (const [tool, args] of [
    ["spin", ["-V"]],
    ["gcc", ["--version"]],
  ] as const) {
    try {
      execFileSync(tool, args, { stdio: "ignore" });
    } catch {
      return `${tool} is not installed: apt-get update && apt-get install -y spin gcc libc6-dev (macOS: brew install spin)`;
    }
  }
  return null;
}

function number(output: string, pattern: RegExp): number {
  return Number(pattern.exec(output)?.[1] ?? Number.NaN);
}

function resultOf(output: string, partial: boolean): string {
  const failed = /assertion violated \(?([a-z_]+)/.exec(output)?.[1];
  if (failed !== undefined) return failed;
  if (output.includes("invalid end state (at")) return "stuck";
  if (!/errors: 0/.test(output)) return `unknown: ${output.slice(0, 200)}`;
  const cut = /max search depth too small|out of memory|Search not completed/.test(output);
  return cut && !partial ? "incomplete" : "holds";
}

/** The verifier ended by a signal (somebody, or the system when memory is short) has said nothing: that is a result too. */
async function verify(cwd: string, args: string[]): Promise<{ stdout: string; killed: string | null }> {
  try {
    return { ...(await run("./pan", args, { cwd, maxBuffer: 1 << 26 })), killed: null };
  } catch (error) {
    const signal = error instanceof Error && "signal" in error ? error.signal : null;
    if (typeof signal !== "string") throw error;
    return { stdout: "", killed: `killed by ${signal}` };
  }
}

const defines = (switches: readonly string[]) => switches.map((s) => `-D${s}`);

/** Builds the verifier of some switches in `cwd`. Throws what spin or the compiler says. */
async function build(cwd: string, switches: readonly string[], options: string[]): Promise<void> {
  await run("spin", ["-a", ...defines(switches), MODEL], { cwd });
  await run("gcc", ["-w", "-DSAFETY", "-DNOFAIR", ...options, "-o", "pan", "pan.c"], { cwd });
}

async function inDirectory<T>(work: (cwd: string) => Promise<T>): Promise<T> {
  const cwd = mkdtempSync(join(tmpdir(), "partway-model-"));
  try {
    return await work(cwd);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

/** Checks one configuration in a directory of its own, removed afterwards. Throws what spin or the compiler says. */
export function check(config: Config): Promise<Outcome> {
  const { seed, switches, expect } = config;
  const partial = seed !== undefined;
  const started = performance.now();
  return inDirectory(async (cwd) => {
    const storage = partial ? ["-DBITSTATE"] : ["-DCOLLAPSE", `-DMEMLIM=${MEMORY_MB}`];
    // A violation is met early: there the compiler's time counts, not the verifier's.
    await build(cwd, switches, [expect === "holds" ? "-O1" : "-O0", ...storage]);
    // Supertrace in 128 MB of bits, for one minute at most.
    const args = partial ? ["-w30", "-Q1", "-m5000", `-h${seed}`] : [`-m${MAX_DEPTH}`];
    const { stdout, killed } = await verify(cwd, args);
    const result = killed ?? resultOf(stdout, partial);
    return {
      states: number(stdout, /(\d+) states, stored/),
      depth: number(stdout, /depth reached (\d+)/),
      result,
      seconds: (performance.now() - started) / 1000,
      extent: result !== "holds" ? "until then" : partial ? "part" : "exhaustive",
      asExpected: result === expect,
    };
  });
}

/**
 * The shortest history in which the configuration's assertion fails, in words: one line for each step of a writer or an
 * orchestrator. Null when none fails. Breadth first: the verifier stops at the first failure, which no shorter one precedes.
 */
export function trail(config: Config): Promise<string | null> {
  const switches = [...config.switches, "TRAIL"];
  return inDirectory(async (cwd) => {
    await build(cwd, switches, ["-O2", "-DBFS", `-DMEMLIM=${MEMORY_MB}`]);
    const { stdout } = await verify(cwd, [`-m${MAX_DEPTH}`]);
    if (/errors: 0/.test(stdout)) return null;
    const replay = await run("spin", ["-t", "-T", "-k", TRAIL, ...defines(switches), MODEL], {
      cwd,
      maxBuffer: 1 << 26,
    });
    const said = replay.stdout.split("\n").filter((line) => !/^spin: .*assertion violated/.test(line));
    const end = said.findIndex((line) => /^spin: trail ends|#processes/.test(line));
    const told = said.slice(0, end < 0 ? said.length : end).join("\n");
    return told.replace(/spin: text of failed assertion: assert\((\w+)\)/, "broken: $1\n");
  });
}
