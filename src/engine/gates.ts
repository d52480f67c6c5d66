/** The gates of a phase: an operator's pause and pace, and before heavy work the automatic throttle. */
import type { PhaseContext } from "../phases/phase.js";
import type { Brake } from "../throttle/brake.js";
import type { Steering } from "./steering.js";

type Gates = Pick<PhaseContext, "gate" | "heavy" | "follower">;

/** `swaps`: this effect swaps names. There nothing rests and nothing is held: who goes back wants to be back. */
export function gatesOf(steering: Steering, brake: Brake, stopped: AbortSignal, swaps: boolean): Gates {
  const gate: Gates["gate"] = (workedMs, until) => steering.gate(stopped, swaps ? 0 : workedMs, until);
  const held =
    (wait: (until: AbortSignal) => Promise<void>): Gates["gate"] =>
    async (workedMs, until = stopped) => {
      await gate(workedMs, until);
      if (swaps || until.aborted) return;
      await wait(until);
      // Paused while it was held.
      await gate(0, until);
    };
  return {
    gate,
    heavy: held((until) => brake.work(stopped, until)),
    follower: held((until) => brake.follower(stopped, until)),
  };
}
