/**
 * Starting the copy again (DESIGN 3.2, 3.4): when rows of the source moved without a log row (VACUUM FULL, CLUSTER,
 * pg_repack) or the source was truncated, the shadow and its ledger are discarded. The change log stays: a pair too
 * many is harmless. Only the truncate markers seen now are taken away; a later TRUNCATE writes another.
 */

import type { RunEventBody } from "../../state/events.js";
import { PartwayError } from "../errors.js";
import type { Lease } from "../pg/lease.js";
import { literal } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { oidOf } from "./leaves.js";
import { sidesOf } from "./pairs.js";
import { mustReadStored } from "./store.js";

export interface ResetContext {
  plan: Plan;
  lease: Lease;
  emit(event: RunEventBody): void;
}

/** The statements of a reset, for one transaction. `withLog`: the change log is there. */
export function resetSql(plan: Plan, withLog: boolean): string[] {
  const { log, lagging } = sidesOf(plan, "forward");
  const id = literal(plan.id);
  return [
    ...(withLog ? [`DELETE FROM ${log} WHERE partway_op = 't'`] : []),
    `DROP TABLE IF EXISTS ${lagging}`,
    `DELETE FROM partway.ledger WHERE migration = ${id}`,
    `UPDATE partway.migration SET generation = generation + 1, shadow_oid = NULL, blocks = NULL, filenode = NULL,
       validated_at = NULL, phase = 'shadow' WHERE id = ${id}`,
  ];
}

/** Discards shadow and ledger, and throws `copy-restart`: the machine goes back to the shadow phase. */
export async function restartCopy(
  session: Session,
  context: ResetContext,
  reason: string,
  state = "Nothing is lost: the source has every row, and changes are still captured.",
): Promise<never> {
  const restarts = await context.lease.tx(session, async () => {
    // A shadow dropped by hand before capture stood: there is no log yet.
    const withLog = (await oidOf(session, sidesOf(context.plan, "forward").log)) !== null;
    for (const sql of resetSql(context.plan, withLog)) await session.query(sql);
    return (await mustReadStored(session, context.plan.id)).generation - 1;
  });
  // An application that truncates often keeps a copy from ever ending: the count says so.
  const counted = restarts === 1 ? reason : `${reason} (restart ${restarts} of this migration)`;
  context.emit({ event: "copy-restarted", reason: counted });
  throw new PartwayError("copy-restart", {
    what: `the copy starts again: ${reason}`,
    state,
    next: `partway resume ${context.plan.id}`,
  });
}
