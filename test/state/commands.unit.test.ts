import { expect, test } from "vitest";
import { restMs } from "../../src/engine/pace.js";
import { eventOfCommand, faster, obeyed, slower } from "../../state/commands.js";
import type { Command } from "../../state/events.js";
import { CommandSchema } from "../../state/journal-rows.js";
import type { MachineEvent } from "../../state/machine.js";

const COMMANDS: [command: Command, event: MachineEvent, says: RegExp][] = [
  ["pause", { type: "PAUSE" }, /^paused: what is in hand .* is finished/],
  ["continue", { type: "CONTINUE" }, /^it goes on$/],
  ["stop", { type: "STOP" }, /^it stops at the next safe point$/],
  ["cutover", { type: "CUTOVER" }, /^it cuts over$/],
  ["rollback", { type: "ROLLBACK" }, /^it rolls back$/],
  ["postpone", { type: "POSTPONE" }, /^postponed: it rests at ready/],
  ["allow", { type: "ALLOW" }, /^allowed: it cuts over once it is ready/],
  ["slower", { type: "THROTTLE", percent: 25 }, /^it works 50 % of the time$/],
  ["faster", { type: "THROTTLE", percent: 75 }, /^it works 50 % of the time$/],
  ["throttle-30", { type: "THROTTLE", percent: 30 }, /^it works 50 % of the time$/],
];

test.each(COMMANDS)(
  "%s would ask for something else, or be answered with nothing",
  (command, event, says) => {
    expect(CommandSchema.parse(command)).toBe(command);
    expect(eventOfCommand(command, { throttle: 50 })).toEqual(event);
    expect(obeyed(command, { throttle: 50 })).toMatch(says);
  },
);

test("full speed would be told as a percentage", () => {
  expect(obeyed("throttle-100", { throttle: 100 })).toBe("it works at full speed");
});

test.each([
  "throttle-0",
  "throttle-101",
  "throttle-",
  "throttle-1.5",
  "throttle--5",
  "throttle-1e1",
  "detach",
])("%s in the journal would stop or crash a run", (name) => {
  expect(CommandSchema.safeParse(name).success).toBe(false);
});

test("slower and faster would stop short of the ends, or pass them", () => {
  const down = [100, 75, 50, 25, 10, 5];
  expect(down.map(slower)).toEqual([75, 50, 25, 10, 5, 5]);
  expect(down.map(faster)).toEqual([100, 100, 75, 50, 25, 10]);
  expect([slower(3), faster(3), slower(60), faster(60)]).toEqual([5, 5, 50, 75]);
});

test("a throttled run would not work the share that was asked for", () => {
  expect([100, 50, 25, 1].map((percent) => restMs(200, percent))).toEqual([0, 200, 600, 19_800]);
});
