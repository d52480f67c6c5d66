/** What an operator has asked of a run that lasts: paused, how fast, cutover postponed. Told once when it changes. */
import type { RunEventBody } from "../../state/events.js";
import type { MachineContext } from "../../state/machine.js";
import type { RunView } from "../../state/view.js";
import { fired } from "../sync/drain.js";
import { Pace } from "./pace.js";
import type { Controls } from "./stored-plan.js";

export class Steering {
  readonly #pace: Pace;
  readonly #tell: (event: RunEventBody) => void;
  #controls: Controls;
  #resume: (() => void) | null = null;
  #paused: Promise<void> = Promise.resolve();

  /** `tell` hears of every change. */
  constructor(controls: Controls, tell: (event: RunEventBody) => void) {
    this.#controls = controls;
    this.#pace = new Pace(controls.throttle);
    this.#tell = tell;
  }

  get controls(): Controls {
    return this.#controls;
  }

  /** The picture that an earlier process left, made true: a pause ends with its process, the rest is kept. */
  begin(view: Pick<RunView, "paused" | "throttle" | "postponed">): void {
    const { throttle, postponed } = this.#controls;
    if (view.paused) this.#tell({ event: "continued" });
    if (view.throttle !== throttle) this.#tell({ event: "throttle", percent: throttle });
    if (view.postponed !== postponed) this.#tell({ event: "postponed", on: postponed });
  }

  /** `isOver`: the run has halted; that it is no longer paused goes without saying. */
  setPaused(paused: boolean, isOver: boolean): void {
    if (paused === (this.#resume !== null)) return;
    if (paused) {
      this.#paused = new Promise((resolve) => {
        this.#resume = resolve;
      });
      this.#tell({ event: "paused" });
    } else {
      this.#resume?.();
      this.#resume = null;
      if (!isOver) this.#tell({ event: "continued" });
    }
  }

  /** Does the machine's context say something else than what is in force? */
  differs({ throttle, postponed }: MachineContext): boolean {
    return throttle !== this.#controls.throttle || postponed !== this.#controls.postponed;
  }

  set({ throttle, postponed }: MachineContext): void {
    const before = this.#controls;
    this.#controls = { throttle, postponed };
    this.#pace.set(throttle);
    if (before.throttle !== throttle) this.#tell({ event: "throttle", percent: throttle });
    if (before.postponed !== postponed) this.#tell({ event: "postponed", on: postponed });
  }

  /** The phases' gate (phases/phase.ts) for an effect that ends when `stopped` fires. */
  async gate(stopped: AbortSignal, workedMs = 0, until = stopped): Promise<void> {
    stopped.throwIfAborted();
    await this.#pace.rest(workedMs, until);
    stopped.throwIfAborted();
    if (this.#resume === null || until.aborted) return;
    await Promise.race([this.#paused, fired(until)]);
    stopped.throwIfAborted();
  }
}
