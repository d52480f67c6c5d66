/** Builds the partitioned table beside the source: parent, owner, grants, comments, leaves; no index, no trigger. */
import { qualified } from "../pg/quote.js";
import type { Plan, Statement } from "../plan/types.js";
import { oidOf } from "../sync/leaves.js";
import { mustReadStored, STORE_SQL } from "../sync/store.js";
import type { Phase, PhaseContext } from "./phase.js";

function sql(plan: Plan): Statement[] {
  return plan.shadowDdl;
}

/**
 * One transaction makes all of it and writes the shadow's OID into the migration's row, so there is either a whole
 * shadow that the database knows of, or none.
 */
async function run(context: PhaseContext): Promise<void> {
  const { plan, lease } = context;
  const session = await context.open();
  const stored = await mustReadStored(session, plan.id);
  if (stored.shadowOid !== null) return;
  const shadow = qualified(plan.names.schema, plan.names.shadow);
  await lease.tx(session, async () => {
    for (const statement of plan.shadowDdl) await session.query(statement.sql);
    await session.query(STORE_SQL.setShadow, [plan.id, shadow]);
    await session.query(STORE_SQL.setPhase, [plan.id, "copy"]);
  });
}

/** Drops the shadow if it is the one this migration made. */
async function undo(context: PhaseContext): Promise<void> {
  const { plan, lease } = context;
  const session = await context.open();
  const stored = await mustReadStored(session, plan.id);
  const shadow = qualified(plan.names.schema, plan.names.shadow);
  if (stored.shadowOid === null || (await oidOf(session, shadow)) !== stored.shadowOid) return;
  await lease.tx(session, async () => {
    await session.query(`DROP TABLE ${shadow}`);
    await session.query(`UPDATE partway.migration SET shadow_oid = NULL WHERE id = $1`, [plan.id]);
  });
}

export const shadow = { name: "shadow", sql, run, undo } satisfies Phase;
