/**
 * The engine of one run: machine, journal, connections and phases, and one stream of events out of them. The command
 * line and the programmatic API both drive this; neither has logic of its own.
 */
import { hostname } from "node:os";
import type { Logger } from "pino";
import { type Actor, createActor, type SnapshotFrom } from "xstate";
import { eventOfCommand, obeyed } from "../../state/commands.js";
import type { Outcome, PhaseName, RunEvent, RunEventBody, Wish } from "../../state/events.js";
import { PHASES } from "../../state/events.js";
import type { Journal, Owner } from "../../state/journal.js";
import { type MachineContext, type MachineEvent, partwayMachine, type Working } from "../../state/machine.js";
import { emptyView, type ViewSource } from "../../state/view.js";
import { EXIT, messageOf, PartwayError } from "../errors.js";
import { Hooks } from "../hooks/hooks.js";
import { describeTarget, type Target } from "../pg/target.js";
import type { OnHangup, PhaseContext, Settings } from "../phases/phase.js";
import { phaseForecast } from "../plan/forecast.js";
import type { Plan } from "../plan/types.js";
import { settingsFor } from "../throttle/ask.js";
import { Brake } from "../throttle/brake.js";
import { isWatched, Monitor } from "../throttle/monitor.js";
import { readsWal } from "../wal/identity.js";
import { type SlotStatus, slotStatus } from "../wal/slot.js";
import { Audience } from "./audience.js";
import { Connections } from "./connections.js";
import { runEffect } from "./effects.js";
import { Endurance } from "./endure.js";
import { explainFault } from "./faults.js";
import { gatesOf } from "./gates.js";
import { cannot, closing, eventOf, goneMeanwhile, haltedBy, type Intent } from "./intent.js";
import { introduction, recordOf } from "./introduce.js";
import { obeyOthers } from "./other-terminal.js";
import { Patience } from "./patience.js";
import { reconcile } from "./reconcile.js";
import { heldUp, rehearseFirst } from "./rehearsed.js";
import { monitored, Sampler, sampledLog } from "./sampler.js";
import { Samples } from "./samples.js";
import { smokeFailed, smokeFailure } from "./smoke-failure.js";
import { Steering } from "./steering.js";
import type { Controls } from "./stored-plan.js";

export interface EngineOptions {
  plan: Plan;
  target: Target;
  journal: Journal;
  settings: Settings;
  log: Logger;
  hold: boolean;
  until: PhaseName | null;
  controls: Controls;
  takeover: boolean;
  /** null: a new migration starts at the backup; else where to go on from. */
  from: Working | null;
  intent: Intent;
}

export interface RunResult {
  migration: string;
  outcome: Outcome;
  exitCode: number;
  /** What went wrong, when something did. */
  error: PartwayError | null;
}

type PartwayMachine = ReturnType<typeof partwayMachine>;

/** The machine's final states, and what they are called. */
const ENDS: ReadonlyMap<string, Outcome> = new Map([
  ["done", "done"],
  ["rolledBack", "rolled-back"],
  ["aborted", "aborted"],
]);

export class Engine {
  readonly #o: EngineOptions;
  readonly #connections: Connections;
  readonly #endurance: Endurance;
  readonly #sampler: Sampler;
  readonly #brake: Brake;
  readonly #monitor: Monitor;
  readonly #owner: Owner;
  readonly #hooks: Hooks;
  readonly #audience: Audience;
  readonly #machine: PartwayMachine;
  /** The machine's context before anything runs. */
  readonly #idle: MachineContext;
  readonly #actor: Actor<PartwayMachine>;
  #lastState = "halted";
  readonly #samples = new Samples();
  /** The exit code of a run that rests: not 0 when a smoke check failed in it. */
  #restCode: number = EXIT.done;
  #fault: PartwayError | null = null;
  #isBroken = false;
  /** The journal is no longer this process's to write. */
  #isReleased = false;
  #effect: Promise<void> = Promise.resolve();
  readonly #steering: Steering;
  #detaching = false;
  #deafen: () => void = () => undefined;
  #finish: (result: RunResult) => void = () => undefined;
  /** Resolves when the run has ended or rests, with every connection closed. */
  readonly finished: Promise<RunResult>;

  constructor(options: EngineOptions) {
    this.#o = options;
    const { plan, target } = options;
    const patience = new Patience(target.connectTimeoutMs);
    const warn = (message: string) => this.#emit({ event: "log", level: "warn", message });
    this.#connections = new Connections(target, plan.id, patience, (message) =>
      this.#guarded(() => warn(message)),
    );
    this.#endurance = new Endurance({
      ...{ plan, connections: this.#connections, patience, log: options.log, warn },
      afterMs: options.settings.lockTimeoutMs,
    });
    this.#sampler = new Sampler({
      session: () => this.#connections.observer,
      log: () => sampledLog(plan, this.#lastState),
      emit: (body) => this.#guarded(() => this.#emit(body)),
      ...(readsWal(plan) ? { slot: () => this.#slot() } : {}),
      beside: () => ({ canary: this.#monitor.canary, held: [...this.#brake.holding] }),
    });
    const throttle = settingsFor(plan, options.settings.throttle);
    this.#brake = new Brake(isWatched(throttle), (event) => this.#guarded(() => this.#emit(event)));
    this.#monitor = new Monitor({
      ...{ plan, settings: throttle, warn: (message) => this.#guarded(() => warn(message)) },
      open: (signal) => this.#connections.beside(signal),
      when: () => monitored(plan, this.#lastState),
      judged: (held) => this.#brake.set(held),
    });
    this.#owner = { pid: process.pid, host: hostname(), startedAt: new Date().toISOString() };
    const table = `${plan.names.schema}.${plan.names.source}`;
    const server = describeTarget(target);
    const startedAt = new Date().toISOString();
    this.#audience = new Audience(options.log, emptyView({ migration: plan.id, table, server, startedAt }));
    this.#audience.recall(options.journal.events(plan.id));
    this.#steering = new Steering(options.controls, (event) => this.#emit(event));
    this.#hooks = new Hooks({
      hooks: options.settings.hooks,
      timeoutMs: options.settings.hookTimeoutMs,
      run: { migration: plan.id, table, server },
      log: options.log,
      phase: () => (this.#lastState === "halted" ? this.#lastFrom() : this.#lastState),
      tell: (level, message) => this.#say({ event: "log", level, message }),
    });
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    const machine = partwayMachine({
      run: (state, stopped) => {
        // The effect that was left finishes first: it gives back connections, and must not give back the next one's.
        const before = this.#effect.catch(() => undefined);
        this.#effect = before.then(() => this.#perform(state, stopped));
        return this.#effect;
      },
      kindOf: (error) => (error instanceof PartwayError ? error.kind : "unexpected"),
      onFault: (error) => {
        this.#fault = this.#explain(error);
      },
    });
    this.#machine = machine;
    const context: MachineContext = {
      from: options.from ?? "backup",
      paused: false,
      hold: options.hold,
      until: options.until,
      ...options.controls,
      halt: null,
    };
    this.#idle = context;
    this.#actor = createActor(machine, {
      input: { hold: options.hold, until: options.until },
      // Every run begins halted: what the database says decides where it goes on, before any effect starts.
      snapshot: machine.resolveState({ value: "halted", context }),
      inspect: (inspection) => {
        if (inspection.type !== "@xstate.snapshot" || inspection.actorRef !== this.#actor) return;
        this.#guarded(() => this.#moved(inspection.event.type, this.#actor.getSnapshot()));
      },
    });
  }

  /** The view a screen shows. */
  get source(): ViewSource {
    return this.#audience.source;
  }

  get onHangup(): OnHangup {
    return this.#o.settings.onHangup;
  }

  /** Calls `listener` with every event (the first one with those before it too); gives the function that ends it. */
  onEvent(listener: (event: RunEvent) => void): () => void {
    return this.#audience.onEvent(listener);
  }

  /** Takes journal and lease and goes on. Errors: `refused` when another process runs this migration. */
  async start(): Promise<void> {
    const { journal, plan, takeover, intent } = this.#o;
    // With --takeover the lease comes first: a takeover that fails must leave the other process its journal.
    if (!takeover) this.#claim(false);
    let event: MachineEvent;
    try {
      // Asked before the lease is taken: what is refused leaves no trace, neither in the database nor as an outcome.
      this.#eventOf(this.#lastFrom());
      await this.#connections.take(takeover);
      if (takeover) this.#claim(true);
      // Under the lease nobody moves it any more: the other process may have, after the caller looked.
      const stored = await this.#connections.storedPhase();
      const to = reconcile(this.#lastFrom(), stored, intent, this.#steering.controls.postponed);
      if (to === "ended" || to === "unknown") throw goneMeanwhile(plan);
      event = this.#eventOf(to);
      await this.#introduce();
      journal.expireCommands(plan.id, "the process it was meant for has ended", new Date().toISOString());
      this.#actor.start();
      this.#actor.send({ type: "RECONCILE", to });
    } catch (error) {
      journal.release(plan.id, this.#owner);
      await this.#connections.close();
      throw error instanceof PartwayError ? error : this.#explain(error);
    }
    // Interrupted on the way back that a failed check had led to: the end is the one it would have had.
    if (
      event.type === "RESUME" &&
      this.#lastFrom() === "rollback" &&
      this.#o.settings.smokeFailure === "rollback"
    )
      if (smokeFailure(this.#audience.view.smoke) !== null) this.#restCode = EXIT.smokeFailed;
    this.#guarded(() => this.#emit({ event: "forecast", phases: phaseForecast(plan.forecast) }));
    this.#guarded(() => this.#steering.begin(this.#audience.view));
    if (this.#isBroken) return;
    this.#sampler.start();
    this.#monitor.start();
    this.#deafen = obeyOthers(
      journal,
      plan.id,
      (command) => {
        const refusal = this.command(command);
        return {
          ok: refusal === null,
          message: refusal ?? obeyed(command, this.#actor.getSnapshot().context),
        };
      },
      (error) => this.#watch(this.#broken(error)),
    );
    this.#actor.send(event);
  }

  async #introduce(): Promise<void> {
    // Only to be told: a connection that is lost here is the first phase's matter.
    const postgres = await this.#connections.serverVersion().catch((error: unknown) => {
      this.#o.log.warn({ error: messageOf(error) }, "the server's version");
      return "unknown";
    });
    this.#emit(introduction(this.#o.intent, this.#o.settings, postgres));
  }

  #claim(force: boolean): void {
    const { journal, plan } = this.#o;
    const claim = journal.claim(plan.id, this.#owner, { force });
    if (claim.claimed) return;
    throw new PartwayError("refused", {
      what: `migration ${plan.id} is being run by process ${claim.owner.pid} on ${claim.owner.host}, since ${claim.owner.startedAt}`,
      state: "Nothing was touched; the other process goes on.",
      next: `partway status ${plan.id}; if that process is dead or stopped: partway resume ${plan.id} --takeover`,
    });
  }

  /** The event that carries out the intent of a run halted before `from`. Errors: bad-input when there is none. */
  #eventOf(from: Working): MachineEvent {
    const { plan, intent } = this.#o;
    const event = eventOf(intent, from);
    const snapshot = this.#machine.resolveState({ value: "halted", context: { ...this.#idle, from } });
    if (!snapshot.can(event)) throw cannot(plan, intent, from);
    return event;
  }

  /**
   * Asks something of the run, as a key or another terminal does. Returns why not, or null when it was taken. "detach"
   * stops it as "stop" does; whoever asks starts it again elsewhere.
   */
  command(wish: Wish): string | null {
    const snapshot = this.#actor.getSnapshot();
    const event = wish === "detach" ? ({ type: "STOP" } as const) : eventOfCommand(wish, snapshot.context);
    if (!snapshot.can(event)) return `${wish} is not possible while the run is at ${String(snapshot.value)}`;
    const leads =
      wish === "cutover" || (wish === "allow" && this.#waitsForLeave() && this.#lastState === "ready");
    const held = leads ? heldUp(this.#o.journal, this.#o.plan) : null;
    if (held !== null) return `${held.message}; next: ${held.next}`;
    this.#detaching = wish === "detach";
    this.#actor.send(event);
    return null;
  }

  #emit(body: RunEventBody): void {
    const event = this.#made(body);
    const { journal, plan } = this.#o;
    journal.event(event);
    for (const sample of this.#samples.of(body, performance.now()))
      journal.measurement(plan.id, { ...sample, at: event.at });
    if (body.event === "smoke-done") this.#restCode = body.failed.length > 0 ? EXIT.smokeFailed : EXIT.done;
    this.#hooks.hear(this.#audience.view, event);
    this.#audience.tell(event);
  }

  #made(body: RunEventBody): RunEvent {
    return { at: new Date().toISOString(), migration: this.#o.plan.id, ...body };
  }

  /** The machine moved: journal first, then whoever looks on. */
  #moved(event: string, snapshot: SnapshotFrom<PartwayMachine>): void {
    const to = String(snapshot.value);
    const { journal, plan } = this.#o;
    const { context } = snapshot;
    this.#steering.setPaused(context.paused, this.#lastState === "halted");
    if (to === this.#lastState && !this.#steering.differs(context)) return;
    journal.transition({
      migration: plan.id,
      from: this.#lastState,
      to,
      event,
      snapshot: { value: snapshot.value, context: snapshot.context },
      // An end is told with the step that makes it: the database has no row any more that a later process could ask.
      outcome: ENDS.get(to) ?? null,
      at: new Date().toISOString(),
    });
    this.#steering.set(context);
    if (to === this.#lastState) return;
    this.#lastState = to;
    this.#monitor.look();
    if (to === "halted") this.#halted(snapshot.context);
    else if (snapshot.status === "done") this.#watch(this.#ended(ENDS.get(to) ?? "done"));
  }

  /** Runs a phase through whatever passes (endure.ts). */
  async #perform(state: Working, stopped: AbortSignal): Promise<void> {
    this.#fault = null;
    // Let the transition reach the journal before the phase writes anything.
    await Promise.resolve();
    const phase =
      PHASES.find((name) => name === state) ?? (state === "rollback" || state === "abort" ? state : null);
    const started = performance.now();
    const report = (status: "started" | "done" | "failed", ms: number | null) => {
      if (phase !== null) this.#emit({ event: "phase", phase, status, ms });
    };
    // A veto is no failure of the phase: it has not begun.
    if (state === "cutover" && this.#hooks.asks) await this.#askBeforeCutover(stopped);
    report("started", null);
    let isRehearsed = false;
    try {
      if (state === "cutover" || state === "rollback") await this.#hooks.hold(stopped);
      await this.#endurance.through(state, stopped, async (signal) => {
        const context = this.#context(signal, state);
        // A run paused between two phases begins none.
        await context.gate();
        // Not once the names are swapped, in this process or before it: a COMMIT of unknown outcome is looked at again.
        if (!isRehearsed && (await this.#connections.storedPhase()) === "cutover")
          await rehearseFirst(state, context, this.#o.journal);
        isRehearsed = true;
        await runEffect(state, context, { hold: this.#o.hold, postponed: this.#waitsForLeave() });
      });
      this.#sampler.flush();
      report("done", performance.now() - started);
    } catch (error) {
      if (!stopped.aborted) report("failed", performance.now() - started);
      throw error;
    } finally {
      this.#hooks.release();
    }
    const failure = smokeFailure(this.#audience.view.smoke);
    if (state === "cutover" && failure !== null && this.#o.settings.smokeFailure === "rollback")
      throw smokeFailed(this.#o.plan, failure);
  }

  /** Not once the names are swapped, when a resume only has the last steps to do. */
  #askBeforeCutover(stopped: AbortSignal): Promise<void> {
    return this.#endurance.through("cutover", stopped, async (signal) => {
      if ((await this.#connections.storedPhase()) === "cutover") await this.#hooks.askBeforeCutover(signal);
    });
  }

  #context(stopped: AbortSignal, state: Working): PhaseContext {
    const { plan, settings, target, journal } = this.#o;
    return {
      plan,
      settings,
      target,
      open: () => this.#connections.open(),
      lease: this.#connections.lease,
      record: recordOf(journal, plan.id, (ms) => this.#monitor.batch(ms)),
      emit: (body) => (body.event === "map" ? this.#sampler.calm(body) : this.#emit(body)),
      signal: stopped,
      ...gatesOf(this.#steering, this.#brake, stopped, state === "cutover" || state === "rollback"),
    };
  }

  #explain(error: unknown): PartwayError {
    return explainFault(error, this.#o.plan.id);
  }

  /** Halted: by the operator, by --until, at rest after cutover, or by a fault. */
  #halted(context: MachineContext): void {
    const { plan } = this.#o;
    const kind = context.halt?.kind ?? "stopped";
    const finish = async (): Promise<void> => {
      // The effect that was left may be finishing its batch.
      await this.#effect.catch(() => undefined);
      // A phase may end with an explanation of the same kind (a row that no leaf can hold): nobody stopped that one.
      if (kind === "stopped" && this.#fault === null) {
        const error = haltedBy(plan, context.from, this.#detaching);
        await this.#end("stopped", error.exitCode, error);
      } else if (kind === "until" || kind === "retained") {
        await this.#end(this.#restOutcome(context), this.#restCode, null);
      } else {
        const error = this.#fault ?? this.#explain(new Error(`stopped by ${kind}`));
        const outcome = kind === "vetoed" ? this.#restOutcome(context) : "failed";
        await this.#end(outcome, error.exitCode, error);
      }
    };
    this.#watch(finish());
  }

  async #slot(): Promise<SlotStatus | null> {
    const session = this.#connections.observer;
    return session === null ? null : slotStatus(session, this.#o.plan);
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#watch(this.#broken(error));
    }
  }

  #watch(ending: Promise<void>): void {
    ending.catch((error: unknown) => this.#broken(error));
  }

  /**
   * The journal cannot be written, or is another process's now: stop at once. The database has what is needed; the run
   * can be resumed. Whoever looks on is told; the journal cannot be.
   */
  async #broken(error: unknown): Promise<void> {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#deafen();
    this.#sampler.stop();
    this.#actor.stop();
    await this.#effect.catch(() => undefined);
    await this.#monitor.stop();
    await this.#connections.close();
    const known = this.#explain(error);
    this.#o.log.error({ stack: known.stack }, "the run broke off");
    await this.#tellLast(this.#made(stoppedBy(known, known.exitCode)));
    this.#finish({ migration: this.#o.plan.id, outcome: "failed", exitCode: known.exitCode, error: known });
  }

  /** Hooks hear of the end when the journal is given back, so that they may go on with the migration; everybody else after them. */
  async #tellLast(event: RunEvent): Promise<void> {
    this.#hooks.hear(this.#audience.view, event);
    await this.#hooks.settled();
    this.#audience.tell(event);
  }

  /** A message that may come when the journal is no longer this process's to write. */
  #say(body: RunEventBody): void {
    if (this.#isReleased || this.#isBroken) this.#audience.tell(this.#made(body));
    else this.#guarded(() => this.#emit(body));
  }

  #restOutcome(context: MachineContext): Outcome {
    if (context.from === "ready") return "ready-for-cutover";
    return context.from === "retain" ? "retained" : "stopped";
  }

  async #ended(outcome: Outcome): Promise<void> {
    await this.#effect.catch(() => undefined);
    await this.#end(outcome, outcome === "rolled-back" ? this.#restCode : EXIT.done, null);
  }

  async #end(outcome: Outcome, exitCode: number, error: PartwayError | null): Promise<void> {
    const { journal, plan } = this.#o;
    this.#deafen();
    this.#sampler.stop();
    await this.#monitor.stop();
    await this.#connections.close();
    if (error !== null) this.#o.log.error({ stack: error.stack, cause: messageOf(error.cause) }, "stopped");
    const last = this.#made(
      error === null
        ? { event: "finished", outcome, message: this.#closing(outcome) }
        : stoppedBy(error, exitCode),
    );
    journal.event(last);
    journal.transition({
      migration: plan.id,
      from: this.#lastState,
      to: this.#lastState,
      event: "end",
      snapshot: this.#persisted(),
      outcome,
      at: new Date().toISOString(),
    });
    journal.expireCommands(plan.id, "the run has ended", new Date().toISOString());
    journal.release(plan.id, this.#owner);
    this.#isReleased = true;
    await this.#tellLast(last);
    this.#finish({ migration: plan.id, outcome, exitCode, error });
  }

  #closing(outcome: Outcome): string {
    return closing(this.#o.plan, outcome, this.#lastFrom(), smokeFailure(this.#audience.view.smoke));
  }

  #lastFrom(): Working {
    return this.#actor.getSnapshot().context.from;
  }

  #persisted(): unknown {
    const snapshot = this.#actor.getSnapshot();
    return { value: snapshot.value, context: snapshot.context };
  }

  /** At ready only the postponement holds the run: it stays until that is taken back, also without --hold. */
  #waitsForLeave(): boolean {
    const { postponed, until } = this.#actor.getSnapshot().context;
    return postponed && until !== "validate";
  }
}

function stoppedBy(error: PartwayError, exitCode: number): RunEventBody {
  const { kind, message: what, state, next } = error;
  return { event: "stopped", kind, what, state, next, exitCode };
}
