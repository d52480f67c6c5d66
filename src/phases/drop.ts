/** Finalize: after the deadline, the reverse capture, the retired table and every artefact go; no CASCADE (A12). */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { qualified } from "../pg/quote.js";
import type { Plan, Statement } from "../plan/types.js";
import { dropLogSql, dropTriggersSql } from "../sync/capture.js";
import { finishCarried } from "../sync/carried.js";
import { oidOf } from "../sync/leaves.js";
import { inLock } from "../sync/lock.js";
import { sidesOf } from "../sync/pairs.js";
import { removeReverseCapture, removeSlot, removeStore } from "../sync/remove.js";
import { mustReadStored, STORE_SQL, type StoredMigration } from "../sync/store.js";
import { nameHolder } from "../sync/swap.js";
import type { Phase, PhaseContext } from "./phase.js";

function sql(plan: Plan): Statement[] {
  const { live, lagging } = sidesOf(plan, "reverse");
  return [
    ...dropTriggersSql(plan, "reverse", live).map((text) => ({
      sql: text,
      note: "TRUNCATE triggers on each leaf too",
    })),
    { sql: `DROP TABLE ${lagging}`, note: "after the deadline only; never CASCADE" },
    ...[...dropLogSql(plan, "forward"), ...dropLogSql(plan, "reverse")].map((text) => ({ sql: text })),
  ];
}

/**
 * Errors: `refused` before the deadline (the database's clock), unless settings.forceDrop: the operator typed the
 * table's name.
 */
async function run(context: PhaseContext): Promise<void> {
  const { plan, lease, settings } = context;
  const session = await context.open();
  const stored = await mustReadStored(session, plan.id);
  const { shadowOid, secondsLeft } = stored;
  if (shadowOid === null || (await nameHolder(session, plan, shadowOid)) !== "new") {
    throw new PartwayError("bad-input", {
      what: `migration ${plan.id} has not been cut over, so there is no retired table to drop`,
      state: "Nothing was touched.",
      next: `partway status ${plan.id}`,
    });
  }
  if (stored.phase !== "drop" && !settings.forceDrop && (secondsLeft ?? 1) > 0) throw stillOpen(plan, stored);
  // A machine that was lost right after cutover may have left foreign keys that are not validated yet.
  if (stored.phase !== "drop") await finishCarried(context, session, "forward", shadowOid);
  await lease.tx(session, async () => {
    // Asked again in the statement that ends it: `partway extend` may have come in between.
    const args = [plan.id, String(settings.forceDrop)];
    if ((await session.maybe(z.object({ id: z.string() }), STORE_SQL.beginDrop, args)) === null)
      throw stillOpen(plan, await mustReadStored(session, plan.id));
  });
  await removeSlot(context, session);
  await removeReverseCapture(context, session);
  await dropRetired(context);
  await removeStore(context, session);
}

function stillOpen(plan: Plan, { deadline, secondsLeft }: StoredMigration): PartwayError {
  return new PartwayError("refused", {
    what: `the retention window of ${plan.id} is open until ${deadline} (${secondsLeft} s left by the database's clock)`,
    state: "Nothing was dropped; rollback is still promised.",
    next: `Wait, or: partway finalize ${plan.id} --force ${plan.names.source}`,
  });
}

async function dropRetired(context: PhaseContext): Promise<void> {
  const { plan } = context;
  const session = await context.open();
  const retired = qualified(plan.names.schema, plan.names.retired);
  if ((await oidOf(session, retired)) !== plan.source.oid) return;
  await inLock(context, session, {
    purpose: "dropping the retired table",
    calm: [retired],
    strong: [{ table: retired, mode: "ACCESS EXCLUSIVE" }],
    work: async () => {
      await session.query(`DROP TABLE ${retired}`);
    },
  });
}

/** What was dropped is dropped. */
async function undo(): Promise<void> {
  return Promise.resolve();
}

export const drop = { name: "drop", sql, run, undo } satisfies Phase;
