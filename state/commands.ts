/** What each command does to the machine, and what is answered once it is done. Pure. */
import type { Command } from "./events.js";
import type { MachineContext, MachineEvent } from "./machine.js";

/** What slower and faster go through, in percent of the time. */
export const THROTTLE_STEPS = [100, 75, 50, 25, 10, 5] as const;

/** The next step below `percent`, or the lowest. */
export function slower(percent: number): number {
  return THROTTLE_STEPS.find((step) => step < percent) ?? 5;
}

/** The next step above `percent`, or full speed. */
export function faster(percent: number): number {
  return THROTTLE_STEPS.findLast((step) => step > percent) ?? 100;
}

/** The machine's event for a command. `throttle`: the percentage in force. */
export function eventOfCommand(
  command: Command,
  { throttle }: Pick<MachineContext, "throttle">,
): MachineEvent {
  switch (command) {
    case "pause":
      return { type: "PAUSE" };
    case "continue":
      return { type: "CONTINUE" };
    case "stop":
      return { type: "STOP" };
    case "cutover":
      return { type: "CUTOVER" };
    case "rollback":
      return { type: "ROLLBACK" };
    case "postpone":
      return { type: "POSTPONE" };
    case "allow":
      return { type: "ALLOW" };
    case "slower":
      return { type: "THROTTLE", percent: slower(throttle) };
    case "faster":
      return { type: "THROTTLE", percent: faster(throttle) };
    default:
      return { type: "THROTTLE", percent: Number(command.slice("throttle-".length)) };
  }
}

/** What a run that has obeyed says. `context`: as it is now. */
export function obeyed(command: Command, { throttle }: Pick<MachineContext, "throttle">): string {
  switch (command) {
    case "pause":
      return "paused: what is in hand (a batch, an index) is finished, then nothing more is begun";
    case "continue":
      return "it goes on";
    case "stop":
      return "it stops at the next safe point";
    case "cutover":
      return "it cuts over";
    case "rollback":
      return "it rolls back";
    case "postpone":
      return "postponed: it rests at ready, stays current, and does not cut over by itself";
    case "allow":
      return "allowed: it cuts over once it is ready, unless --until validate says otherwise";
    default:
      return throttle === 100 ? "it works at full speed" : `it works ${throttle} % of the time`;
  }
}
