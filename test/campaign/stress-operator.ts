/** The operator of a stress round: types `partway` commands, is interrupted at random moments, and goes on. */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../src/demo/random.js";
import type { Ended, Folder, Line, Started } from "../cli/support.js";

export interface Told {
  log(line: string): void;
  /** Every event of every process. */
  heard(line: Line): void;
  /** A process has ended. */
  ended(code: number | null): void;
}

export type Goal = "retained" | "ready-for-cutover" | "rolled-back" | "done" | "aborted";

/** More than any goal ever needs. */
const ATTEMPTS = 40;
/** A process that neither ends nor is killed for so long hangs. */
const HANGS_MS = 240_000;
/** A backend of the killed process may still hold the lease. */
const BUSY = /another (Partway )?process|is being run by/;

export class Operator {
  readonly #folder: Folder;
  readonly #random: Random;
  readonly #told: Told;
  readonly #state: readonly string[];
  /** Forced restarts still to be made. */
  killsLeft: number;
  kills = 0;
  stops = 0;
  freezes = 0;
  lockBusy = 0;

  /** `state`: the journal's directory. */
  constructor(folder: Folder, state: string, random: Random, kills: number, told: Told) {
    this.#folder = folder;
    this.#state = ["--state", state];
    this.#random = random;
    this.#told = told;
    this.killsLeft = kills;
  }

  /** Types `args`, and after an interruption goes on, until the journal says `goal`. Errors: any other exit code. */
  async reach(goal: Goal, args: readonly string[], settings: readonly string[]): Promise<void> {
    const rests = goal === "retained" || goal === "ready-for-cutover";
    let next = args;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const ended = await this.#type(next, this.killsLeft > 0 && this.#random.chance(0.8));
      const text = `${ended.stdout}${ended.stderr}`;
      const outcome = finished(ended) ?? (await this.outcome());
      if (outcome === goal) return;
      if (ended.code === 6) this.lockBusy++;
      const busy = BUSY.test(text);
      if (![null, 0, 5, 6].includes(ended.code) && !busy) throw unexpected(next, ended);
      if (busy) await delay(100);
      const takeover = this.#random.chance(0.3) ? ["--takeover"] : [];
      // Killed before its journal knew of anything it is started again; killed before the wish reached the journal, a
      // resume only rests where it was, and the wish is said again.
      const again = outcome === null || (!rests && (ended.code === 0 || this.#random.chance(0.5)));
      // `--until` is remembered: what rests before cutover is told to cut over.
      const verb = goal === "retained" && outcome === "ready-for-cutover" ? "cutover" : "resume";
      next = again ? args : [verb, "--no-hold", ...takeover, ...settings];
    }
    throw new Error(`${goal} was not reached in ${ATTEMPTS} attempts`);
  }

  /** Types `args` once, uninterrupted; exit code 0 or an error. */
  async once(args: readonly string[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const ended = await this.#type(args, false);
      if (ended.code === 0) return;
      if (!BUSY.test(`${ended.stdout}${ended.stderr}`) || attempt >= 20) throw unexpected(args, ended);
      await delay(100);
    }
  }

  /** Types `args` and kills the process at a random moment, if it has not ended by then. */
  async killed(args: readonly string[]): Promise<void> {
    this.killsLeft++;
    const ended = await this.#type(args, true);
    if (![null, 0, 5, 6].includes(ended.code)) throw unexpected(args, ended);
  }

  /** How the newest migration ended or rests; null: the journal knows of none. */
  async outcome(): Promise<string | null> {
    const { stdout, stderr } = await this.#folder.run(["status", "--json", ...this.#state]);
    if (/no migration|no journal/.test(stdout + stderr)) return null;
    return /"outcome": ?"([a-z-]+)"/.exec(stdout)?.[1] ?? "open";
  }

  async #type(args: readonly string[], interrupt: boolean): Promise<Ended> {
    const at = performance.now();
    const process = this.#folder.start([...args, ...this.#state, "--json"]);
    process
      .event((line) => {
        this.#told.heard(line);
        return false;
      })
      .catch(() => this.#told.ended(process.child.exitCode));
    const hanging = setTimeout(() => process.child.kill("SIGKILL"), HANGS_MS);
    const interrupted = interrupt ? this.#interrupt(process) : null;
    const ended = await process.ended;
    clearTimeout(hanging);
    const ms = Math.round(performance.now() - at);
    this.#told.log(`partway ${args.join(" ")}: ${ended.code ?? process.child.signalCode} after ${ms} ms`);
    if (ms >= HANGS_MS) throw new Error(`partway ${args.join(" ")} hung: ${ended.stdout.slice(-1_500)}`);
    await interrupted;
    const list = longerList(ended);
    if (list === null) return ended;
    return this.#type(
      args.map((arg, i) => (args[i - 1] === "--list" ? list : arg)),
      interrupt,
    );
  }

  /** SIGKILL mostly; sometimes Ctrl-C, or a process that is frozen and thaws. */
  async #interrupt({ child }: Started): Promise<void> {
    const how = this.#random.weighted([
      ["SIGKILL", 7],
      ["SIGINT", 2],
      ["SIGSTOP", 1],
    ] as const);
    const wait = 300 + this.#random.below(3_500);
    const frozen = 100 + this.#random.below(1_500);
    const over = new AbortController();
    child.once("exit", () => over.abort());
    const slept = await delay(wait, true, { signal: over.signal }).catch(() => false);
    if (!slept || !child.kill(how)) return;
    this.#told.log(`${how} ${wait} ms after the start`);
    if (how === "SIGSTOP") {
      this.freezes++;
      await delay(frozen);
      child.kill("SIGCONT");
      return;
    }
    this.killsLeft--;
    if (how === "SIGKILL") this.kills++;
    else this.stops++;
  }
}

/** The outcome that a process told before it ended by itself. */
function finished({ code, stdout }: Ended): string | null {
  return code === 0 ? (/"event":"finished","outcome":"([a-z-]+)"/.exec(stdout)?.[1] ?? null) : null;
}

/** The writers wrote a value that is not in --list before the plan looked: what the refusal's remedy says to type. */
function longerList({ code, stdout }: Ended): string | null {
  if (code !== 3) return null;
  const what = /"what":("(?:[^"\\]|\\.)*values-outside-list(?:[^"\\]|\\.)*")/.exec(stdout)?.[1] ?? '""';
  const quoted = /remedy: --list '((?:[^']|'\\'')*)'/.exec(String(JSON.parse(what)))?.[1];
  return quoted?.replaceAll("'\\''", "'") ?? null;
}

function unexpected(args: readonly string[], ended: Ended): Error {
  return new Error(
    `partway ${args.join(" ")}: exit ${ended.code}: ${ended.stdout.slice(-2_000)}${ended.stderr.slice(-1_000)}`,
  );
}
