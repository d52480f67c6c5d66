/**
 * The machine: it decides when, effects do the work (STYLE 2). States are the phases, events are what an operator or a
 * fault can do. It does no I/O; `phase` is the injected effect. Every state x event pair is pinned by
 * test/state/machine.unit.test.ts.
 */
import { assign, fromCallback, setup } from "xstate";
import type { PhaseName } from "./events.js";

/** States in which an effect runs. `ready` keeps the shadow current until somebody says cutover. */
export const WORKING = [
  "backup",
  "shadow",
  "copy",
  "index",
  "validate",
  "ready",
  "cutover",
  "retain",
  "drop",
  "rollback",
  "abort",
] as const;
export type Working = (typeof WORKING)[number];
export type MachineState = Working | "halted" | "done" | "rolledBack" | "aborted";

/** Before cutover there is something to abort; these are the states abort may be asked from. */
const BEFORE_CUTOVER: readonly Working[] = [
  "backup",
  "shadow",
  "copy",
  "index",
  "validate",
  "ready",
  "cutover",
];

export interface MachineContext {
  /** Where RESUME goes on when halted. */
  from: Working;
  paused: boolean;
  /** Stay after cutover and count the window down; otherwise the process ends and capture goes on in the database. */
  hold: boolean;
  /** Stop after this phase; null: go through. */
  until: PhaseName | null;
  /** Rest at ready instead of beginning the cutover, until it is allowed. */
  postponed: boolean;
  /** The share of the time that the effects may work, in percent, 1 to 100. */
  throttle: number;
  /** Why it halted. */
  halt: Halt | null;
}

export interface Halt {
  kind: string;
  /** Where it halted. */
  at: Working;
}

export type MachineEvent =
  /** The effect finished its work. */
  | { type: "DONE" }
  /** The effect failed; `kind` is a FaultKind. */
  | { type: "FAULT"; kind: string }
  | { type: "PAUSE" }
  | { type: "CONTINUE" }
  | { type: "STOP" }
  | { type: "RESUME" }
  /** What the database knows, on resume: go on from there. */
  | { type: "RECONCILE"; to: Working }
  /** The cutover is not to begin by itself; ALLOW takes it back. */
  | { type: "POSTPONE" }
  | { type: "ALLOW" }
  | { type: "THROTTLE"; percent: number }
  | { type: "CUTOVER" }
  | { type: "ROLLBACK" }
  | { type: "FINALIZE" }
  | { type: "ABORT" };

/** The effect of a working state. `stopped` fires when the machine leaves it. */
export type PhaseEffect = (state: Working, stopped: AbortSignal) => Promise<void>;

const NEXT: Partial<Record<Working, Working>> = {
  backup: "shadow",
  shadow: "copy",
  copy: "index",
  index: "validate",
  validate: "cutover",
};

export interface MachineInput {
  hold: boolean;
  until: PhaseName | null;
}

export interface Effects {
  run: PhaseEffect;
  /** The FaultKind of whatever an effect threw. */
  kindOf(error: unknown): string;
  /** Called before the FAULT event of an effect that failed by itself (not because it was stopped). */
  onFault(error: unknown): void;
}

/** The machine around its effects: runs the one of the state it enters, aborts it when the state is left. */
export function partwayMachine(effects: Effects) {
  const base = setup({
    types: {} as { context: MachineContext; events: MachineEvent; input: MachineInput },
    actors: {
      phase: fromCallback<MachineEvent, { state: Working }>(({ input, sendBack }) => {
        const controller = new AbortController();
        effects.run(input.state, controller.signal).then(
          () => sendBack({ type: "DONE" }),
          (error: unknown) => {
            if (!controller.signal.aborted) effects.onFault(error);
            sendBack({ type: "FAULT", kind: effects.kindOf(error) });
          },
        );
        return () => controller.abort(new Error("stopped"));
      }),
    },
    guards: {
      isCopyRestart: ({ event }) => event.type === "FAULT" && event.kind === "copy-restart",
      staysAfterRefusedRollback: ({ context, event }) =>
        event.type === "FAULT" && event.kind === "not-safe" && context.hold,
      /** A hook said no, and the process stays: ready, until somebody asks for the cutover again. */
      staysAfterVeto: ({ context, event }) =>
        event.type === "FAULT" && event.kind === "vetoed" && context.hold,
      goesBack: ({ event }) => event.type === "FAULT" && event.kind === "smoke-failed",
      holds: ({ context }) => context.hold,
      beforeCutover: ({ context }) => BEFORE_CUTOVER.includes(context.from),
      inWindow: ({ context }) => context.from === "retain",
      /** What held it was the postponement alone: without one it would have cut over. */
      waitsForLeave: ({ context }) => context.postponed && context.until !== "validate",
      staysAtReady: ({ context }) => context.postponed || context.until === "validate",
      isReady: ({ context }) => context.from === "ready" || context.from === "cutover",
    },
    actions: {
      pause: assign({ paused: true }),
      unpause: assign({ paused: false }),
      clearHalt: assign({ halt: null }),
      goThrough: assign({ until: null, postponed: false }),
      postpone: assign({ postponed: true }),
      allow: assign({ postponed: false }),
      throttle: assign({
        throttle: ({ context, event }) => (event.type === "THROTTLE" ? event.percent : context.throttle),
      }),
    },
  });

  const halt = (at: Working, kind: string | null, from: Working) =>
    base.assign({
      from: () => from,
      halt: ({ event }) => ({ at, kind: kind ?? (event.type === "FAULT" ? event.kind : "stopped") }),
      paused: () => false,
    });

  const common = (state: Working) => ({
    invoke: { src: "phase" as const, input: { state } },
    entry: "clearHalt" as const,
  });

  const controls = (state: Working) => ({
    PAUSE: { actions: "pause" as const },
    CONTINUE: { actions: "unpause" as const },
    THROTTLE: { actions: "throttle" as const },
    STOP: { target: "halted" as const, actions: halt(state, "stopped", state) },
  });

  /** Until the cutover has begun: from then on it succeeds or fails, and is not left half-way. */
  const postponing = { POSTPONE: { actions: "postpone" as const }, ALLOW: { actions: "allow" as const } };

  /** A phase before cutover: DONE leads on, or halts when `until` names it; a copy that must start again goes to shadow. */
  const forward = (state: Working & PhaseName) => {
    const next = NEXT[state];
    const until = ({ context }: { context: MachineContext }) => context.until === state;
    return base.createStateConfig({
      ...common(state),
      on: {
        ...controls(state),
        ...postponing,
        DONE: [
          { guard: until, target: "halted", actions: halt(state, "until", next ?? state) },
          { target: next ?? "halted" },
        ],
        FAULT: [
          { guard: "isCopyRestart", target: "shadow" },
          { target: "halted", actions: halt(state, null, state) },
        ],
      },
    });
  };

  return base.createMachine({
    id: "partway",
    context: ({ input }) => ({
      from: "backup",
      paused: false,
      hold: input.hold,
      until: input.until,
      postponed: false,
      throttle: 100,
      halt: null,
    }),
    initial: "backup",
    states: {
      backup: forward("backup"),
      shadow: forward("shadow"),
      copy: forward("copy"),
      index: forward("index"),
      validate: base.createStateConfig({
        ...common("validate"),
        on: {
          ...controls("validate"),
          ...postponing,
          DONE: [{ guard: "staysAtReady", target: "ready" }, { target: "cutover" }],
          FAULT: [
            { guard: "isCopyRestart", target: "shadow" },
            { target: "halted", actions: halt("validate", null, "validate") },
          ],
        },
      }),
      ready: base.createStateConfig({
        ...common("ready"),
        on: {
          ...controls("ready"),
          ...postponing,
          ALLOW: [
            { guard: "waitsForLeave", target: "cutover", actions: ["allow", "unpause"] },
            { actions: "allow" },
          ],
          // Who asks for it wants it now, paused or not.
          CUTOVER: { target: "cutover", actions: ["goThrough", "unpause"] },
          DONE: { target: "halted", actions: halt("ready", "until", "ready") },
          FAULT: [
            { guard: "isCopyRestart", target: "shadow" },
            { target: "halted", actions: halt("ready", null, "ready") },
          ],
        },
      }),
      cutover: base.createStateConfig({
        ...common("cutover"),
        on: {
          ...controls("cutover"),
          DONE: [
            { guard: "holds", target: "retain" },
            { target: "halted", actions: halt("cutover", "retained", "retain") },
          ],
          FAULT: [
            // The names are swapped, and a check of the new table failed that was to lead back.
            { guard: "goesBack", target: "rollback", actions: "unpause" },
            { guard: "isCopyRestart", target: "shadow" },
            { guard: "staysAfterVeto", target: "ready" },
            {
              guard: ({ event }) => event.kind === "vetoed",
              target: "halted",
              actions: halt("cutover", null, "ready"),
            },
            { target: "halted", actions: halt("cutover", null, "cutover") },
          ],
        },
      }),
      retain: base.createStateConfig({
        ...common("retain"),
        on: {
          ...controls("retain"),
          ROLLBACK: { target: "rollback", actions: "unpause" },
          FINALIZE: { target: "drop" },
          // Held: the deadline has passed. Not held: the retired table was brought up to date once.
          DONE: [
            { guard: "holds", target: "drop" },
            { target: "halted", actions: halt("retain", "retained", "retain") },
          ],
          FAULT: { target: "halted", actions: halt("retain", null, "retain") },
        },
      }),
      drop: base.createStateConfig({
        ...common("drop"),
        on: {
          ...controls("drop"),
          DONE: { target: "done" },
          FAULT: [
            // Asked for before the deadline: the window stays open.
            {
              guard: ({ event }) => event.kind === "refused",
              target: "halted",
              actions: halt("drop", null, "retain"),
            },
            { target: "halted", actions: halt("drop", null, "drop") },
          ],
        },
      }),
      rollback: base.createStateConfig({
        ...common("rollback"),
        on: {
          ...controls("rollback"),
          DONE: { target: "rolledBack" },
          FAULT: [
            { guard: "staysAfterRefusedRollback", target: "retain" },
            {
              guard: ({ event }) => event.kind === "not-safe",
              target: "halted",
              actions: halt("rollback", null, "retain"),
            },
            { target: "halted", actions: halt("rollback", null, "rollback") },
          ],
        },
      }),
      abort: base.createStateConfig({
        ...common("abort"),
        on: {
          ...controls("abort"),
          DONE: { target: "aborted" },
          FAULT: { target: "halted", actions: halt("abort", null, "abort") },
        },
      }),
      halted: {
        on: {
          RECONCILE: { actions: assign({ from: ({ event }) => event.to }) },
          RESUME: WORKING.map((state) => ({
            guard: ({ context }: { context: MachineContext }) => context.from === state,
            target: state,
          })),
          CUTOVER: { guard: "isReady", target: "cutover", actions: "goThrough" },
          ROLLBACK: { guard: "inWindow", target: "rollback" },
          FINALIZE: { guard: "inWindow", target: "drop" },
          ABORT: { guard: "beforeCutover", target: "abort" },
        },
      },
      done: { type: "final" },
      rolledBack: { type: "final" },
      aborted: { type: "final" },
    },
  });
}
