/** What goes over with the name (plan/carry.ts), read when it is needed and finished after the lock. */
import { readAttached } from "../catalog/attached.js";
import type { Attached } from "../catalog/types.js";
import { messageOf } from "../errors.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { type Carry, carry, commentOnConstraint, NOTHING, ROOT_NOT_VALID } from "../plan/carry.js";
import type { Plan } from "../plan/types.js";
import { leavesOf } from "./leaves.js";
import { inLock, type LockContext } from "./lock.js";
import type { Direction } from "./pairs.js";

/**
 * What cutover or rollback carries. Cutover: what the plan found, since the fingerprint stops at anything else; no
 * query inside the lock. Rollback: what the two tables have now, since the application has lived with the new one.
 */
export async function carriedNow(
  session: Session,
  plan: Plan,
  direction: Direction,
  shadowOid: string,
): Promise<Carry> {
  const leaves = (await leavesOf(session, shadowOid)).map((leaf) => leaf.table);
  if (direction === "forward")
    return carry(plan, direction, { live: plan.source.attached ?? NOTHING, lagging: NOTHING, leaves });
  const read = (oid: string) => readAttached(session, oid, plan.source.serverVersion);
  return carry(plan, direction, {
    live: await read(shadowOid),
    lagging: await read(plan.source.oid),
    leaves,
  });
}

/**
 * Foreign keys went over NOT VALID, which the application does not notice: every write is checked. Now the rows that
 * are there are checked too, without a lock that anybody waits for, and what the leaves have is attached to the root.
 * Idempotent. A row that breaks one leaves it NOT VALID and is said as a warning.
 */
export async function finishCarried(
  context: LockContext,
  session: Session,
  direction: Direction,
  liveOid: string,
): Promise<void> {
  const { plan } = context;
  const planned = plan.source.attached ?? NOTHING;
  if (planned.foreignKeys.length + planned.incomingKeys.length === 0) return;
  const now = await readAttached(session, liveOid, plan.source.serverVersion);
  const work = [
    ...(await ownKeys(session, plan, direction, liveOid, now)),
    ...childKeys(plan, direction, now),
  ];
  for (const { key, steps } of work) {
    try {
      for (const step of steps) await inLock(context, session, { ...step, work: run(session, step.sql) });
    } catch (error) {
      if (sqlState(error) !== SQLSTATE.foreignKeyViolation) throw error;
      const message = `foreign key ${key} holds for every new row, but stays NOT VALID: a row that was there breaks it (${messageOf(error)})`;
      context.emit({ event: "log", level: "warn", message });
    }
  }
}

const run = (session: Session, sql: readonly string[]) => async (): Promise<void> => {
  for (const text of sql) await session.query(text);
};

interface Step {
  purpose: string;
  calm: string[];
  strong: { table: string; mode: "SHARE ROW EXCLUSIVE" }[];
  sql: string[];
}

interface Work {
  key: string;
  steps: Step[];
}

async function ownKeys(
  session: Session,
  plan: Plan,
  direction: Direction,
  liveOid: string,
  now: Attached,
): Promise<Work[]> {
  const live = qualified(plan.names.schema, plan.names.source);
  const wanted = (plan.source.attached?.foreignKeys ?? []).filter((key) => key.validated);
  const work: Work[] = [];
  for (const { name } of wanted) {
    const key = now.foreignKeys.find((one) => one.name === name);
    if (key === undefined || (key.onRoot && key.validated)) continue;
    const validate = (table: string): Step => ({
      purpose: `validation of foreign key ${name}`,
      calm: [table],
      strong: [],
      sql: [`ALTER TABLE ${table} VALIDATE CONSTRAINT ${ident(name)}`],
    });
    if (key.onRoot) {
      work.push({ key: name, steps: [validate(live)] });
      continue;
    }
    const attach: Step = {
      purpose: `foreign key ${name}`,
      calm: [],
      strong: [key.parent, live].map((table) => ({ table, mode: "SHARE ROW EXCLUSIVE" })),
      sql: [
        `ALTER TABLE ${live} ADD CONSTRAINT ${ident(name)} ${key.definition}`,
        ...commentOnConstraint(live, name, comment(plan, name)).map((statement) => statement.sql),
      ],
    };
    const leaves = direction === "forward" ? await notValidated(session, liveOid, name) : [];
    work.push({ key: name, steps: [...leaves.map(validate), attach] });
  }
  return work;
}

function comment(plan: Plan, name: string): string | null {
  return plan.source.attached?.foreignKeys.find((key) => key.name === name)?.comment ?? null;
}

const NOT_VALIDATED_SQL = /*sql*/ `
SELECT format('%I.%I', n.nspname, c.relname) AS table
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' AND k.conname = $2 AND NOT k.convalidated
 WHERE i.inhparent = $1::oid ORDER BY c.oid`;

async function notValidated(session: Session, liveOid: string, name: string): Promise<string[]> {
  const { rows } = await session.query(NOT_VALIDATED_SQL, [liveOid, name]);
  return rows.flatMap((row) => row["table"] ?? []);
}

/** Foreign keys of other tables: validated, or given back to a partitioned child, which takes them validated only. */
function childKeys(plan: Plan, direction: Direction, now: Attached): Work[] {
  const live = qualified(plan.names.schema, plan.names.source);
  const planned = plan.source.attached?.incomingKeys ?? [];
  const wanted = direction === "reverse" || plan.request.incomingFk === "repoint" ? planned : [];
  return wanted.flatMap((key): Work[] => {
    const there = now.incomingKeys.find((one) => one.name === key.name && one.child === key.child);
    const child = key.self ? live : key.child;
    const purpose = `foreign key ${key.name} on ${child}`;
    if (there === undefined) {
      if (key.childKind !== "p" || plan.source.serverVersion >= ROOT_NOT_VALID) return [];
      const strong = [child, live].map((table) => ({ table, mode: "SHARE ROW EXCLUSIVE" as const }));
      const sql = [
        `ALTER TABLE ${child} ADD CONSTRAINT ${ident(key.name)} ${key.definition}`,
        ...commentOnConstraint(child, key.name, key.comment).map((statement) => statement.sql),
      ];
      return [{ key: key.name, steps: [{ purpose, calm: [], strong, sql }] }];
    }
    if (there.validated || !key.validated) return [];
    const sql = [`ALTER TABLE ${child} VALIDATE CONSTRAINT ${ident(key.name)}`];
    return [{ key: key.name, steps: [{ purpose, calm: [child], strong: [], sql }] }];
  });
}
