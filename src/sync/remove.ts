/** Taking away what Partway made: triggers under the lock discipline, then functions, logs and rows (DESIGN 2, 7.13). */
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { dropLogSql, dropTriggersSql } from "./capture.js";
import { leavesOf } from "./leaves.js";
import { inLock, type LockContext } from "./lock.js";
import { removeStored, storeExists } from "./store.js";

/** Triggers whose name is ours on a table: by table and name, never by name alone (DESIGN 7.4). */
const TRIGGERS_SQL = /*sql*/ `
SELECT t.tgname AS name FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgname = ANY ($2::text[])`;

async function hasTriggers(session: Session, oid: string, names: string[]): Promise<boolean> {
  return (await session.query(TRIGGERS_SQL, [oid, names])).rows.length > 0;
}

/** The source's forward triggers, wherever the source stands now (under its own name, or retired). */
export async function removeForwardCapture(context: LockContext, session: Session): Promise<void> {
  const { plan } = context;
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

/** The new table's reverse triggers, on the parent and on every leaf. */
export async function removeReverseCapture(
  context: LockContext,
  session: Session,
  parentOid: string,
): Promise<void> {
  const { plan } = context;
  const parent = await nameOf(session, parentOid);
  const names = [plan.names.reverseTrigger, plan.names.reverseTruncateTrigger];
  if (parent === null) return;
  const leaves = await leavesOf(session, parentOid);
  const withOurs: string[] = [];
  for (const leaf of leaves)
    if (await hasTriggers(session, leaf.oid, names.slice(1))) withOurs.push(leaf.table);
  if (withOurs.length === 0 && !(await hasTriggers(session, parentOid, names))) return;
  await inLock(context, session, {
    purpose: "removing the reverse capture triggers",
    calm: [parent],
    strong: [{ table: parent, mode: "ACCESS EXCLUSIVE" }],
    work: async () => {
      for (const sql of dropTriggersSql(plan, "reverse", parent)) await session.query(sql);
      for (const leaf of withOurs)
        for (const sql of dropTriggersSql(plan, "reverse", leaf).slice(1)) await session.query(sql);
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
