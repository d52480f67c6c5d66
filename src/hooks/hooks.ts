/**
 * Runs hooks beside the run, one at a time and in order. The run waits for them where the names are about to be swapped,
 * so that none of them runs while a lock keeps the application waiting, and at its end. One that fails is a warning;
 * one before the cutover stops it.
 */
import type { Logger } from "pino";
import type { RunEvent } from "../../state/events.js";
import type { RunView } from "../../state/view.js";
import { PartwayError } from "../errors.js";
import { redact } from "../log.js";
import { type CommandResult, runCommand } from "./command.js";
import { environmentOf, type RunFacts, type Told } from "./facts.js";
import { BEFORE_CUTOVER, type Hook, hookNames, hooksFor } from "./names.js";

export interface HooksOptions {
  hooks: readonly Hook[];
  timeoutMs: number;
  run: RunFacts;
  log: Logger;
  /** Where the run is. */
  phase(): string;
  /** Tells whoever looks on. */
  tell(level: "info" | "warn" | "error", message: string): void;
}

type Job = () => Promise<void>;

export class Hooks {
  readonly #o: HooksOptions;
  readonly #queue: Job[] = [];
  #working: Promise<void> | null = null;
  #isHeld = false;

  constructor(options: HooksOptions) {
    this.#o = options;
  }

  /** Whether anybody wants to be asked before the cutover. */
  get asks(): boolean {
    return hooksFor(this.#o.hooks, BEFORE_CUTOVER).length > 0;
  }

  /** An event of the run, and the view before it. Returns at once. */
  hear(before: RunView, event: RunEvent): void {
    const { hooks } = this.#o;
    if (hooks.length === 0) return;
    for (const name of hookNames(before, event))
      for (const hook of hooksFor(hooks, name)) {
        const env = this.#environment(name, event);
        this.#queue.push(async () => {
          const result = await this.#run(hook, env);
          if (!result.ok) this.#o.tell("warn", `hook ${name}: ${failureOf(hook, result)}`);
        });
      }
    // The swap is committed: no lock is held any more.
    if (event.event === "cutover") this.release();
    else this.#pump();
  }

  /** Asks before the cutover. Errors: `vetoed` with the command's output; the abort's reason once `stopped` fires. */
  async askBeforeCutover(stopped: AbortSignal): Promise<void> {
    const { hooks, run, tell } = this.#o;
    const told: Told = { at: new Date().toISOString(), migration: run.migration, event: BEFORE_CUTOVER };
    for (const hook of hooksFor(hooks, BEFORE_CUTOVER)) {
      tell("info", `hook ${BEFORE_CUTOVER} is asked: ${redact(hook.command)}`);
      const result = await this.#run(hook, this.#environment(BEFORE_CUTOVER, told), stopped);
      stopped.throwIfAborted();
      if (!result.ok) throw vetoed(run.migration, hook, result, tell);
    }
  }

  /** Waits until no hook runs; from then on none begins before `release`. Errors: the abort's reason. */
  async hold(stopped: AbortSignal): Promise<void> {
    if (this.#working !== null) await Promise.race([this.settled(), aborted(stopped)]);
    stopped.throwIfAborted();
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#pump();
  }

  /** Resolves when every hook that was called has ended. */
  async settled(): Promise<void> {
    while (this.#working !== null) await this.#working;
  }

  #pump(): void {
    if (this.#isHeld || this.#working !== null) return;
    const job = this.#queue.shift();
    if (job === undefined) return;
    this.#working = job().finally(() => {
      this.#working = null;
      this.#pump();
    });
  }

  async #run(hook: Hook, env: Record<string, string>, stopped?: AbortSignal): Promise<CommandResult> {
    const { log, timeoutMs } = this.#o;
    const result = await runCommand(hook.command, env, timeoutMs, stopped);
    const { how, output, ms } = result;
    log.info({ hook: env["PARTWAY_EVENT"], command: hook.command, how, ms: Math.round(ms), output }, "hook");
    return result;
  }

  #environment(name: string, told: Told): Record<string, string> {
    return environmentOf(name, told, this.#o.run, this.#o.phase());
  }
}

function vetoed(id: string, hook: Hook, result: CommandResult, tell: HooksOptions["tell"]): PartwayError {
  const what = `the hook ${BEFORE_CUTOVER} does not allow the cutover: ${failureOf(hook, result)}`;
  tell("error", what);
  return new PartwayError("vetoed", {
    what,
    state: "Nothing was switched and no lock was taken: the run is ready, and changes are still captured.",
    next: `partway cutover ${id} asks again.`,
  });
}

/** The command, how it ended, and the end of what it said. */
function failureOf({ command }: Hook, { how, output }: CommandResult): string {
  const last = output.split("\n").slice(-5).join("\n");
  return redact(`${command} (${how})${last === "" ? "" : `: ${last}`}`);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
