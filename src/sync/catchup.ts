/** Drain and follow with everything a phase expects around them: missing leaves made, truncation starts the copy again. */
import type { Session } from "../pg/session.js";
import { type AlongsideContext, alongside, type Gates } from "../wal/alongside.js";
import { filling } from "../wal/fill.js";
import { readsWal } from "../wal/identity.js";
import { TruncateSeen } from "./apply.js";
import { type DrainContext, type DrainOptions, drain, follow } from "./drain.js";
import { assertCaptured } from "./guard.js";
import { type OutsideContext, withMissingLeaves } from "./outside.js";
import { pairMatchesLive, sidesOf } from "./pairs.js";
import { restartCopy } from "./reset.js";

export type CatchUpContext = DrainContext & OutsideContext & AlongsideContext;

/**
 * Forward drain until the log is short. Errors: `copy-restart` after a TRUNCATE of the source, `drift` when capture
 * has not stood all the time.
 */
export async function catchUp(session: Session, context: CatchUpContext): Promise<number> {
  return guarded(session, context, (gates) => drain(session, forward(context), { ...context, ...gates }));
}

/** Forward follow until `until` fires. */
export async function followForward(
  session: Session,
  context: CatchUpContext,
  until: AbortSignal,
): Promise<void> {
  await guarded(session, context, (gates) =>
    follow(session, forward(context), { ...context, ...gates }, until),
  );
}

function forward(context: CatchUpContext): DrainOptions {
  const { plan, lease } = context;
  const options = { plan, lease, sides: sidesOf(plan, "forward") };
  if (!readsWal(plan)) return options;
  return { ...options, fill: filling(context) };
}

async function guarded<T>(
  session: Session,
  context: CatchUpContext,
  work: (gates: Gates) => Promise<T>,
): Promise<T> {
  const { live, log } = sidesOf(context.plan, "forward");
  await assertCaptured(session, context.plan);
  const rows = `FROM (SELECT s.* FROM ${log} AS d JOIN ${live} AS s ON ${pairMatchesLive(context.plan, "s", "d")}) AS s`;
  try {
    // Also while the operator has it paused: a log that waits costs less than WAL that is kept.
    return await alongside(context, (gates) => withMissingLeaves(session, context, rows, () => work(gates)));
  } catch (error) {
    if (error instanceof TruncateSeen) return restartCopy(session, context, "the source was truncated");
    throw error;
  }
}
