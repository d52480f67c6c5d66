/**
 * What a phase goes through without failing: a lost connection (lease anew, then the phase again from the database's
 * word), a session that waits behind it (it makes way), and a stop, which it must answer whatever hangs.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Working } from "../../state/machine.js";
import { messageOf, PartwayError } from "../errors.js";
import { steppingAside } from "../pg/aside.js";
import { CannotConnect } from "../pg/connect-failure.js";
import { ConnectionLost } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import type { Connections } from "./connections.js";
import { GivenUp } from "./faults.js";
import type { Patience } from "./patience.js";

interface Means {
  plan: Plan;
  connections: Connections;
  patience: Patience;
  log: Logger;
  /** How long somebody waits behind the phase before it makes way, ms. */
  afterMs: number;
  /** Tells whoever looks on. */
  warn(message: string): void;
}

/** After a stop: running statements are cancelled, and what still hangs then (a network that stalls) is broken off, ms. */
const CANCEL_AFTER_MS = 1000;
const BREAK_AFTER_MS = 10_000;

type Effect = (signal: AbortSignal) => Promise<void>;

export class Endurance {
  readonly #means: Means;

  constructor(means: Means) {
    this.#means = means;
  }

  /**
   * Runs `effect`, the effect of `state`, until it has succeeded. Errors: what is no lost connection; `fenced`; a
   * `GivenUp` when patience has an end; an AbortError once `stopped`.
   */
  async through(state: Working, stopped: AbortSignal, effect: Effect): Promise<void> {
    const { connections } = this.#means;
    const letGo = this.#letGoWhen(stopped);
    try {
      for (;;) {
        try {
          return await this.#steppingAside(state, stopped, effect);
        } catch (error) {
          if (!(error instanceof ConnectionLost) || stopped.aborted) throw error;
          const ending = connections.ending;
          await connections.closePhase();
          if ((await this.#reconnect(error, ending ? state : null, stopped)) === "ended") return;
        } finally {
          await connections.closePhase();
        }
      }
    } finally {
      letGo.end();
    }
  }

  /** The effect, done again when it had to make way for a session that waited behind it. */
  #steppingAside(state: Working, stopped: AbortSignal, effect: Effect): Promise<void> {
    const { plan, connections, log, afterMs, warn } = this.#means;
    const aside = {
      what: state,
      next: `partway resume ${plan.id}`,
      afterMs,
      signal: stopped,
      waiter: (ms: number) => connections.waiter(ms),
      cancel: () => connections.cancelPhase(),
      close: () => connections.closePhase(),
      warn,
      trouble: (error: unknown) => log.warn({ error: messageOf(error) }, "who waits behind"),
    };
    return steppingAside(aside, effect);
  }

  /** When the run is stopped: cancels what the phase's statements are doing, then breaks off what does not answer. */
  #letGoWhen(stopped: AbortSignal): { end(): void } {
    const { connections, log } = this.#means;
    const timers: NodeJS.Timeout[] = [];
    const begin = () => {
      const cancel = () =>
        connections.cancelPhase().catch((error: unknown) => log.warn({ error: messageOf(error) }, "cancel"));
      timers.push(setTimeout(cancel, CANCEL_AFTER_MS));
      timers.push(setTimeout(() => connections.breakAll("the run was stopped"), BREAK_AFTER_MS));
    };
    stopped.addEventListener("abort", begin, { once: true });
    return {
      end: () => {
        stopped.removeEventListener("abort", begin);
        for (const timer of timers) clearTimeout(timer);
      },
    };
  }

  /**
   * Takes the lease anew; `ended`: there is none to take any more, because this process has ended the migration in
   * `ending`; null: it was not about to, so that whoever ended it was another.
   */
  async #reconnect(
    lost: ConnectionLost,
    ending: Working | null,
    stopped: AbortSignal,
  ): Promise<"back" | "ended"> {
    const { connections, patience, log, warn } = this.#means;
    let failure: unknown = lost;
    for (let next = patience.lost(performance.now()); ; next = patience.failed(performance.now())) {
      if ("enough" in next) throw new GivenUp(next.enough, failure);
      warn(`${messageOf(failure)}; trying again in ${next.waitMs / 1000} s`);
      await sleep(next.waitMs, undefined, { signal: stopped });
      try {
        await connections.take(false);
        patience.back(performance.now());
        return "back";
      } catch (error) {
        failure = error;
        stopped.throwIfAborted();
        if (isDefinite(error)) {
          if (ending !== null && (await this.#wasLast(ending))) return "ended";
          throw error;
        }
        log.warn({ error: messageOf(error) }, "reconnect");
      }
    }
  }

  /** Only the answer to the last COMMIT of all was lost: without a row there is no lease to take, and no need of one. */
  async #wasLast(state: Working): Promise<boolean> {
    const { connections, plan, log } = this.#means;
    try {
      return await connections.ended(plan, state);
    } catch (error) {
      log.warn({ error: messageOf(error) }, "was it the last commit");
      return false;
    }
  }
}

/** Trying again is no use. Not `refused`: our own lost backend may hold the advisory lock a while longer. */
function isDefinite(error: unknown): boolean {
  return error instanceof CannotConnect
    ? !error.passes
    : error instanceof PartwayError && error.kind === "fenced";
}
