import { expect, test } from "vitest";
import { initialTransition, transition } from "xstate";
import {
  type MachineContext,
  type MachineEvent,
  type MachineState,
  partwayMachine,
  WORKING,
  type Working,
} from "../../state/machine.js";

/** No effect ever ends: what happens next is the test's event. */
const machine = partwayMachine({
  run: () => new Promise(() => undefined),
  kindOf: () => "unexpected",
  onFault: () => undefined,
});

const CONTEXT: MachineContext = {
  from: "copy",
  paused: false,
  hold: false,
  until: null,
  postponed: false,
  throttle: 100,
  halt: null,
};

function after(from: MachineState, event: MachineEvent, context: Partial<MachineContext> = {}) {
  const before = machine.resolveState({ value: from, context: { ...CONTEXT, ...context } });
  const [next] = transition(machine, before, event);
  return { state: String(next.value), context: next.context, taken: before.can(event) };
}

type EventName = MachineEvent["type"];
const EVENTS: Record<EventName, MachineEvent> = {
  DONE: { type: "DONE" },
  FAULT: { type: "FAULT", kind: "unexpected" },
  PAUSE: { type: "PAUSE" },
  CONTINUE: { type: "CONTINUE" },
  STOP: { type: "STOP" },
  RESUME: { type: "RESUME" },
  RECONCILE: { type: "RECONCILE", to: "index" },
  POSTPONE: { type: "POSTPONE" },
  ALLOW: { type: "ALLOW" },
  THROTTLE: { type: "THROTTLE", percent: 50 },
  CUTOVER: { type: "CUTOVER" },
  ROLLBACK: { type: "ROLLBACK" },
  FINALIZE: { type: "FINALIZE" },
  ABORT: { type: "ABORT" },
};

/** Every event in `state`: it stays unless said otherwise. */
function row(
  state: MachineState,
  moves: Partial<Record<EventName, MachineState>>,
): Record<EventName, MachineState> {
  const stays = (name: EventName): MachineState => moves[name] ?? state;
  return {
    DONE: stays("DONE"),
    FAULT: stays("FAULT"),
    PAUSE: stays("PAUSE"),
    CONTINUE: stays("CONTINUE"),
    STOP: stays("STOP"),
    RESUME: stays("RESUME"),
    RECONCILE: stays("RECONCILE"),
    POSTPONE: stays("POSTPONE"),
    ALLOW: stays("ALLOW"),
    THROTTLE: stays("THROTTLE"),
    CUTOVER: stays("CUTOVER"),
    ROLLBACK: stays("ROLLBACK"),
    FINALIZE: stays("FINALIZE"),
    ABORT: stays("ABORT"),
  };
}

/** Without --hold, without --until; halted stands before `copy`; the fault is an unexpected one. */
const TABLE: Record<MachineState, Record<EventName, MachineState>> = {
  backup: row("backup", { DONE: "shadow", FAULT: "halted", STOP: "halted" }),
  shadow: row("shadow", { DONE: "copy", FAULT: "halted", STOP: "halted" }),
  copy: row("copy", { DONE: "index", FAULT: "halted", STOP: "halted" }),
  index: row("index", { DONE: "validate", FAULT: "halted", STOP: "halted" }),
  validate: row("validate", { DONE: "cutover", FAULT: "halted", STOP: "halted" }),
  ready: row("ready", { DONE: "halted", FAULT: "halted", STOP: "halted", CUTOVER: "cutover" }),
  cutover: row("cutover", { DONE: "halted", FAULT: "halted", STOP: "halted" }),
  retain: row("retain", {
    DONE: "halted",
    FAULT: "halted",
    STOP: "halted",
    ROLLBACK: "rollback",
    FINALIZE: "drop",
  }),
  drop: row("drop", { DONE: "done", FAULT: "halted", STOP: "halted" }),
  rollback: row("rollback", { DONE: "rolledBack", FAULT: "halted", STOP: "halted" }),
  abort: row("abort", { DONE: "aborted", FAULT: "halted", STOP: "halted" }),
  halted: row("halted", { RESUME: "copy", ABORT: "abort" }),
  done: row("done", {}),
  rolledBack: row("rolledBack", {}),
  aborted: row("aborted", {}),
};

const STATES = Object.keys(TABLE) as MachineState[];
const NAMES = Object.keys(EVENTS) as EventName[];

for (const from of STATES) {
  for (const event of NAMES) {
    const to = TABLE[from][event];
    test(`${from} x ${event} -> ${to}`, () => {
      expect(after(from, EVENTS[event]).state).toBe(to);
    });
  }
}

test("a state could be added and its events left to chance", () => {
  expect(Object.keys(machine.states).sort()).toEqual([...STATES].sort());
});

const FROM: [from: Working, event: EventName, to: MachineState][] = WORKING.flatMap((from) => {
  const before = ["backup", "shadow", "copy", "index", "validate", "ready", "cutover"].includes(from);
  return [
    [from, "RESUME", from],
    [from, "ABORT", before ? "abort" : "halted"],
    [from, "CUTOVER", from === "ready" || from === "cutover" ? "cutover" : "halted"],
    [from, "ROLLBACK", from === "retain" ? "rollback" : "halted"],
    [from, "FINALIZE", from === "retain" ? "drop" : "halted"],
  ] as [Working, EventName, MachineState][];
});

test.each(FROM)("halted before %s x %s -> %s", (from, event, to) => {
  expect(after("halted", EVENTS[event], { from }).state).toBe(to);
});

test.each(["shadow", "copy", "index", "validate", "ready", "cutover"] as const)(
  "a copy that must start again during %s would stop the run",
  (state) => {
    expect(after(state, { type: "FAULT", kind: "copy-restart" }).state).toBe("shadow");
  },
);

test.each(WORKING)(
  "a failed smoke check during %s would not lead back, or lead back where it must not",
  (state) => {
    const to = state === "cutover" ? "rollback" : "halted";
    expect(after(state, { type: "FAULT", kind: "smoke-failed" }).state).toBe(to);
  },
);

test.each(WORKING)("a run stopped during %s would go on somewhere else", (state) => {
  const { context } = after(state, EVENTS.STOP, { from: "backup", paused: true });
  expect(context).toMatchObject({ from: state, halt: { at: state, kind: "stopped" }, paused: false });
});

test.each(WORKING)("a fault during %s would hide its kind", (state) => {
  const { context } = after(state, { type: "FAULT", kind: "drift" }, { from: "backup" });
  expect(context).toMatchObject({ from: state, halt: { at: state, kind: "drift" } });
});

test.each(WORKING)("pause and continue would not be taken during %s, or move it", (state) => {
  expect(after(state, EVENTS.PAUSE)).toMatchObject({ state, taken: true, context: { paused: true } });
  expect(after(state, EVENTS.CONTINUE, { paused: true })).toMatchObject({
    state,
    context: { paused: false },
  });
});

test.each(WORKING)("a throttle would not be taken during %s, or move it", (state) => {
  expect(after(state, EVENTS.THROTTLE)).toMatchObject({ state, taken: true, context: { throttle: 50 } });
});

const POSTPONABLE = ["backup", "shadow", "copy", "index", "validate", "ready"];

test.each(WORKING)("%s would take a postponement that it cannot keep, or lose one that it can", (state) => {
  const postponed = after(state, EVENTS.POSTPONE);
  const taken = POSTPONABLE.includes(state);
  expect(postponed).toMatchObject({ state, taken, context: { postponed: taken } });
  // --until validate: what is allowed is only not to be postponed.
  const allowed = after(state, EVENTS.ALLOW, { postponed: true, until: "validate" });
  expect(allowed).toMatchObject({ state, taken, context: { postponed: !taken } });
});

test("a postponed run would cut over by itself, or not once it is allowed or told to", () => {
  expect(after("validate", EVENTS.DONE, { postponed: true }).state).toBe("ready");
  const cutover = { state: "cutover", context: { postponed: false, until: null } };
  expect(after("ready", EVENTS.ALLOW, { postponed: true })).toMatchObject(cutover);
  expect(after("ready", EVENTS.CUTOVER, { postponed: true, until: "validate" })).toMatchObject(cutover);
  expect(after("halted", EVENTS.CUTOVER, { postponed: true, from: "ready" })).toMatchObject(cutover);
});

test("a run resumed at ready would cut over because of a word that changes nothing", () => {
  expect(after("ready", EVENTS.ALLOW, { postponed: false }).state).toBe("ready");
});

test("throttle and postponement would not outlive a stop", () => {
  const { context } = after("copy", EVENTS.STOP, { postponed: true, throttle: 25 });
  expect(context).toMatchObject({ postponed: true, throttle: 25, paused: false });
});

test("a run paused at the end of one phase would run through the next", () => {
  expect(after("copy", EVENTS.DONE, { paused: true }).context.paused).toBe(true);
});

test.each([
  ["backup", "shadow"],
  ["shadow", "copy"],
  ["copy", "index"],
  ["index", "validate"],
] as const)("--until %s would not stop there", (until, next) => {
  const { state, context } = after(until, EVENTS.DONE, { until });
  expect(state).toBe("halted");
  expect(context).toMatchObject({ from: next, halt: { kind: "until", at: until } });
});

test("--until validate would cut over, or a later cutover stop again", () => {
  expect(after("validate", EVENTS.DONE, { until: "validate" }).state).toBe("ready");
  const ready = after("ready", EVENTS.DONE, { until: "validate" });
  expect(ready).toMatchObject({ state: "halted", context: { from: "ready" } });
  expect(after("ready", EVENTS.CUTOVER, { until: "validate" })).toMatchObject({
    state: "cutover",
    context: { until: null },
  });
});

test("after cutover the run would not wait where it was told to", () => {
  expect(after("cutover", EVENTS.DONE, { hold: true }).state).toBe("retain");
  expect(after("cutover", EVENTS.DONE, { hold: false })).toMatchObject({
    state: "halted",
    context: { from: "retain", halt: { kind: "retained" } },
  });
});

test("without --hold a look at the window would drop the retired table", () => {
  expect(after("retain", EVENTS.DONE, { hold: true }).state).toBe("drop");
  expect(after("retain", EVENTS.DONE, { hold: false })).toMatchObject({
    state: "halted",
    context: { from: "retain", halt: { kind: "retained" } },
  });
});

test("a rollback that is not safe would end the window", () => {
  const refused: MachineEvent = { type: "FAULT", kind: "not-safe" };
  expect(after("rollback", refused, { hold: true }).state).toBe("retain");
  expect(after("rollback", refused, { hold: false })).toMatchObject({
    state: "halted",
    context: { from: "retain", halt: { kind: "not-safe" } },
  });
});

test("a hook that says no before the cutover would end a run that stays, or let it through", () => {
  const vetoed: MachineEvent = { type: "FAULT", kind: "vetoed" };
  expect(after("cutover", vetoed, { hold: true }).state).toBe("ready");
  const { state, context } = after("cutover", vetoed, { hold: false });
  expect(state).toBe("halted");
  expect(context).toMatchObject({ from: "ready", halt: { kind: "vetoed", at: "cutover" } });
  expect(after("halted", EVENTS.CUTOVER, context).state).toBe("cutover");
});

test("finalize asked for too early would close the window", () => {
  expect(after("drop", { type: "FAULT", kind: "refused" })).toMatchObject({
    state: "halted",
    context: { from: "retain", halt: { kind: "refused" } },
  });
});

test("where the database says the run stands would be overruled by the journal", () => {
  expect(after("halted", { type: "RECONCILE", to: "validate" })).toMatchObject({
    state: "halted",
    context: { from: "validate" },
  });
});

test("a run restored from the journal would begin from the start", () => {
  const { context } = after("index", EVENTS.STOP, { until: "validate" });
  const kept = JSON.parse(JSON.stringify({ value: "halted", context })) as {
    value: "halted";
    context: MachineContext;
  };
  const [resumed] = transition(machine, machine.resolveState(kept), EVENTS.RESUME);
  expect(String(resumed.value)).toBe("index");
  expect(resumed.context).toMatchObject({ until: "validate", halt: null });
  expect(String(initialTransition(machine, { hold: false, until: null })[0].value)).toBe("backup");
});

test.each<[MachineState, MachineEvent, string]>([
  ["retain", { type: "ROLLBACK" }, "rollback"],
  ["ready", { type: "CUTOVER" }, "cutover"],
  ["ready", { type: "ALLOW" }, "cutover"],
  ["cutover", { type: "FAULT", kind: "smoke-failed" }, "rollback"],
])("a paused run at %s would take %o and then stand still", (from, event, to) => {
  const next = after(from, event, { paused: true, hold: true, postponed: event.type === "ALLOW" });
  expect(next).toMatchObject({ state: to, context: { paused: false } });
});

test("a postponed run that is to end in the window would end at ready, or never cut over when allowed", () => {
  const context = { postponed: true, until: "cutover" } as const;
  expect(after("validate", { type: "DONE" }, context).state).toBe("ready");
  expect(after("ready", { type: "ALLOW" }, context).state).toBe("cutover");
  expect(after("ready", { type: "ALLOW" }, { ...context, until: "validate" }).state).toBe("ready");
});
