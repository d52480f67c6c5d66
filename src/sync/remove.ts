/** Taking away what Partway made: triggers under the lock discipline, then functions, logs and rows (DESIGN 2, 7.13). */
import { z } from "zod";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { readsWal } from "../wal/identity.js";
import { removeWal } from "../wal/slot.js";
import { captureNames, dropLogSql, dropTriggersSql } from "./capture.js";
import { inLock, type LockContext } from "./lock.js";
import { removeStored, storeExists } from "./store.js";

/** Triggers whose name is ours on a table: by table and name, never by name alone (DESIGN 7.4). */
const TRIGGERS_SQL = /*sql*/ `
SELECT t.tgname AS name FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgname = ANY ($2::text[])`;

async function hasTriggers(session: Session, oid: string, names: string[]): Promise<boolean> {
  return (await session.query(TRIGGERS_SQL, [oid, names])).rows.length > 0;
}

/** The source's forward capture: slot, publication, and the triggers wherever the source stands now (under its own name, or retired). */
export async function removeForwardCapture(context: LockContext, session: Session): Promise<void> {
  const { plan } = context;
  await removeSlot(context, session);
  const table = await nameOf(session, plan.source.oid);
  const names = [plan.names.forwardTrigger, plan.names.forwardTruncateTrigger];
  if (table === null || !(await hasTriggers(session, plan.source.oid, names))) return;
  await inLock(context, session, {
    purpose: "removing the capture triggers",
    calm: [table],
    strong: [{ table, mode: "ACCESS EXCLUSIVE" }],
    work: async () => {
      for (const sql of dropTriggersSql(plan, "forward", table)) await session.query(sql);
    },
  });
}

/** Slot and publication of a capture from the write-ahead log, if there are. */
export async function removeSlot({ plan, lease }: LockContext, session: Session): Promise<void> {
  if (readsWal(plan)) await removeWal(session, plan, (work) => lease.tx(session, work));
}

const CARRIERS_SQL = /*sql*/ `
SELECT DISTINCT c.oid::text AS oid, c.relispartition::text AS leaf, n.nspname AS schema, c.relname AS name
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE t.tgfoid = to_regproc($1) AND t.tgparentid = 0 ORDER BY leaf, oid`;

const Carrier = z
  .object({ oid: z.string(), leaf: z.string(), schema: z.string(), name: z.string() })
  .transform((r) => ({ oid: r.oid, attached: r.leaf === "true", table: qualified(r.schema, r.name) }));

/**
 * The reverse triggers, on the new table, on every leaf, and on a leaf that was detached meanwhile: found by their
 * function, because as long as one stands the function cannot be dropped.
 */
export async function removeReverseCapture(context: LockContext, session: Session): Promise<void> {
  const { plan } = context;
  const carriers = await session.rows(Carrier, CARRIERS_SQL, [captureNames(plan, "reverse").fn]);
  if (carriers.length === 0) return;
  // LOCK TABLE of the parent takes its leaves along.
  const own = carriers.filter((carrier) => !carrier.attached).map((carrier) => carrier.table);
  const locked = own.length > 0 ? own : carriers.map((carrier) => carrier.table);
  await inLock(context, session, {
    purpose: "removing the reverse capture triggers",
    calm: locked,
    strong: locked.map((table) => ({ table, mode: "ACCESS EXCLUSIVE" as const })),
    work: async () => {
      for (const { table } of carriers)
        for (const sql of dropTriggersSql(plan, "reverse", table)) await session.query(sql);
    },
  });
}

/** Functions, change logs, ledger, row, and the schema when nothing else is in it. The triggers must be gone. */
export async function removeStore(context: LockContext, session: Session): Promise<void> {
  const { plan } = context;
  if (!(await storeExists(session))) return;
  await context.lease.tx(session, async () => {
    for (const direction of ["forward", "reverse"] as const)
      for (const sql of dropLogSql(plan, direction)) await session.query(sql);
    await removeStored(session, plan.id);
    // Under the epoch's FOR SHARE: from here to the COMMIT nobody else can have the migration.
    context.lease.ending = true;
  });
}

const NAME_SQL = /*sql*/ `
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = $1::oid`;

/** Quoted, qualified name of the relation `oid` as it is called now; null when it is gone. */
export async function nameOf(session: Session, oid: string): Promise<string | null> {
  const row = (await session.query(NAME_SQL, [oid])).rows[0];
  const schema = row?.["schema"];
  const name = row?.["name"];
  if (schema === undefined || schema === null || name === undefined || name === null) return null;
  return qualified(schema, name);
}
