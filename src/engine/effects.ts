/** Which phase each working state of the machine runs. The one place where the phases meet. */
import type { Working } from "../../state/machine.js";
import { afterCutover, beforeCutover, noteWal } from "../checks/around-cutover.js";
import { badInput } from "../errors.js";
import { backup } from "../phases/backup.js";
import { copy } from "../phases/copy.js";
import { cutover } from "../phases/cutover.js";
import { drop } from "../phases/drop.js";
import { index } from "../phases/index-build.js";
import type { Phase, PhaseContext } from "../phases/phase.js";
import { beginWindow, retain, tendOnce } from "../phases/retain.js";
import { rollback } from "../phases/rollback.js";
import { shadow } from "../phases/shadow.js";
import { validate } from "../phases/validate.js";
import type { Plan, Statement } from "../plan/types.js";
import { catchUp, followForward } from "../sync/catchup.js";
import { explainByDrift, misfit } from "../sync/guard.js";
import { nameOf, removeStore } from "../sync/remove.js";
import { restartCopy } from "../sync/reset.js";
import { mustReadStored, readStored, STORE_SQL } from "../sync/store.js";
import { CaptureLost } from "../wal/slot.js";
import { AFTER_CUTOVER } from "./reconcile.js";

/** The phases in order: the procedure of DESIGN 2. */
export const PHASE_ORDER: readonly Phase[] = [backup, shadow, copy, index, validate, cutover, retain, drop];

/** The exact SQL of every phase, and of the way back. */
export function explain(plan: Plan): { phase: string; statements: Statement[] }[] {
  return [...PHASE_ORDER, rollback].map((phase) => ({ phase: phase.name, statements: phase.sql(plan) }));
}

export interface EffectOptions {
  hold: boolean;
  /** At ready: stay there until the cutover is allowed, also without hold. */
  postponed?: boolean;
}

/** Ready for cutover: the shadow is kept current until somebody says cutover; once, with neither --hold nor --postpone. */
async function ready(context: PhaseContext, options: EffectOptions): Promise<void> {
  const session = await context.open();
  await catchUp(session, context);
  const { id } = context.plan;
  const message =
    options.postponed === true
      ? `ready; the cutover is postponed: partway postpone ${id} --off, or partway cutover ${id}`
      : `ready for cutover: partway cutover ${id}`;
  context.emit({ event: "ready", message });
  if (!options.hold && options.postponed !== true) return;
  await followForward(session, context, context.signal);
  context.signal.throwIfAborted();
}

/** Undo before cutover: each phase takes away what it made, last first; then the rows and the schema. */
async function abort(context: PhaseContext): Promise<void> {
  const { plan } = context;
  const session = await context.open();
  const stored = await readStored(session, plan.id);
  // Asked of the database under the lease: a cutover of unknown outcome may have been committed.
  if (stored !== null && AFTER_CUTOVER.includes(stored.phase)) {
    throw badInput(
      `${plan.names.schema}.${plan.names.source} has been cut over: there is nothing to abort`,
      `partway rollback ${plan.id} goes back to the old table.`,
    );
  }
  if (stored !== null)
    await context.lease.tx(session, async () => {
      await session.query(STORE_SQL.setPhase, [plan.id, "abort"]);
    });
  for (const phase of [...PHASE_ORDER.slice(0, PHASE_ORDER.indexOf(cutover))].reverse())
    await phase.undo(context);
  await removeStore(context, session);
}

/** Before the swap a statement that fails may be somebody else's change of the table. */
const MAY_DRIFT: readonly Working[] = ["backup", "shadow", "copy", "index", "validate", "ready", "cutover"];

/** Runs the effect of one working state. Errors: the phase's; `drift` where that is what stands behind one. */
export async function runEffect(
  state: Working,
  context: PhaseContext,
  options: EffectOptions,
): Promise<void> {
  try {
    await effect(state, context, options);
  } catch (error) {
    throw MAY_DRIFT.includes(state) ? await explained(context, error) : error;
  }
}

/** What stands behind a failure before cutover: drift, a new table that somebody dropped, or only the error itself. */
async function explained(context: PhaseContext, error: unknown): Promise<unknown> {
  if (error instanceof CaptureLost) return beginAgain(context, error);
  const why = await explainByDrift(() => context.open(), context.plan, error);
  if (why !== error || !misfit(error)) return why;
  const session = await context.open();
  const { shadowOid } = await mustReadStored(session, context.plan.id);
  if (shadowOid === null || (await nameOf(session, shadowOid)) !== null) return error;
  return restartCopy(session, context, "somebody dropped the new table").catch((restart: unknown) => restart);
}

/** Changes were not read: what was copied cannot be brought up to date any more. */
async function beginAgain(context: PhaseContext, lost: CaptureLost): Promise<unknown> {
  const state = "Nothing is lost: the source has every row. It is copied anew, with a new replication slot.";
  return restartCopy(await context.open(), context, lost.message, state).catch((restart: unknown) => restart);
}

async function effect(state: Working, context: PhaseContext, options: EffectOptions): Promise<void> {
  switch (state) {
    case "ready":
      return ready(context, options);
    case "abort":
      return abort(context);
    case "rollback":
      return rollback.run(context);
    case "retain":
      return options.hold ? retain.run(context) : tendOnce(context);
    case "copy":
      await noteWal(context);
      await copy.run(context);
      return noteWal(context);
    case "index":
      await index.run(context);
      return noteWal(context);
    case "validate":
      await validate.run(context);
      return beforeCutover(context);
    case "cutover":
      await cutover.run(context);
      await beginWindow(context);
      return afterCutover(context);
    default: {
      const phase = PHASE_ORDER.find((p) => p.name === state);
      if (phase === undefined) throw new Error(`no phase is called ${state}`);
      return phase.run(context);
    }
  }
}
