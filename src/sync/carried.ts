/** What goes over with the name (plan/carry.ts), read when it is needed and finished after the lock. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { readAttached } from "../catalog/attached.js";
import type { Attached, IncomingKeyInfo } from "../catalog/types.js";
import { messageOf, PartwayError } from "../errors.js";
import { setLocal } from "../pg/locks.js";
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
    return carry(plan, direction, {
      live: plan.source.attached ?? NOTHING,
      lagging: NOTHING,
      leaves,
      returning: [],
    });
  const read = (oid: string) => readAttached(session, oid, plan.source.serverVersion);
  return carry(plan, direction, {
    live: await read(shadowOid),
    lagging: await read(plan.source.oid),
    leaves,
    returning: (await comingBack(session, plan)).filter(({ why }) => why === null).map(({ key }) => key),
  });
}

const MARK_SQL = /*sql*/ `
SELECT md5(string_agg(row, ',' ORDER BY row)) AS mark FROM (
  SELECT concat_ws(' ', d.classid, d.objid, d.xmin) AS row FROM pg_depend d
   WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY ($1::oid[])
  UNION ALL SELECT concat_ws(' ', t.oid, t.xmin) FROM pg_trigger t WHERE t.tgrelid = ANY ($1::oid[])
  UNION ALL SELECT concat_ws(' ', k.oid, k.xmin) FROM pg_constraint k
   WHERE k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[])
  UNION ALL SELECT concat_ws(' ', p.oid, p.xmin) FROM pg_policy p WHERE p.polrelid = ANY ($1::oid[])
  UNION ALL SELECT concat_ws(' ', p.oid, p.xmin) FROM pg_publication_rel p WHERE p.prrelid = ANY ($1::oid[])) AS found`;

/**
 * Another text whenever something was attached to one of the relations, taken away, replaced or switched: what hangs
 * on a table has its pg_depend rows written again with it.
 */
export async function attachedMark(session: Session, oids: readonly string[]): Promise<string> {
  const { mark } = await session.one(z.object({ mark: z.string().nullable() }), MARK_SQL, [
    `{${oids.join(",")}}`,
  ]);
  return mark ?? "";
}

/** Foreign keys of other tables that the cutover took away for good: those that it re-points stand on the new table. */
export function givenUp(plan: Plan): readonly IncomingKeyInfo[] {
  return plan.request.incomingFk === "drop" ? (plan.source.attached?.incomingKeys ?? []) : [];
}

/** What keeps a foreign key from coming back: the application may have dropped its table, or made it another one. */
const OBSTACLE_SQL = /*sql*/ `
SELECT CASE
    WHEN c.oid IS NULL THEN 'the table is not there any more'
    WHEN c.relkind::text <> $2 THEN 'the table is of another kind now'
    WHEN NOT pg_has_role(c.relowner, 'USAGE') THEN format('the table belongs to %s', pg_get_userbyid(c.relowner))
    WHEN EXISTS (SELECT FROM unnest($3::text[]) AS wanted(line)
                  WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
                     AND format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) = wanted.line))
      THEN 'its columns are not there any more as they were'
    WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.conname = $4 AND k.confrelid <> $5::oid)
      THEN 'another constraint has its name'
  END AS why
  FROM (SELECT) AS one LEFT JOIN pg_class c ON c.oid = to_regclass($1)`;

/** The foreign keys that a rollback brings back, each with what keeps it from it. Other tables' alone can have changed. */
async function comingBack(
  session: Session,
  plan: Plan,
): Promise<{ key: IncomingKeyInfo; why: string | null }[]> {
  const found: { key: IncomingKeyInfo; why: string | null }[] = [];
  for (const key of givenUp(plan)) {
    const { why } = key.self
      ? { why: null }
      : await session.one(z.object({ why: z.string().nullable() }), OBSTACLE_SQL, [
          key.child,
          key.childKind,
          key.childColumns,
          key.name,
          plan.source.oid,
        ]);
    found.push({ key, why });
  }
  return found;
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
  const none = planned.foreignKeys.length + planned.incomingKeys.length === 0;
  if (direction === "forward" && none) return;
  const now = await readAttached(session, liveOid, plan.source.serverVersion);
  const returning = direction === "reverse" ? await comingBack(session, plan) : [];
  for (const { key, why } of returning.filter((one) => one.why !== null)) {
    const message = `foreign key ${key.name} of ${key.child} was given up at cutover and is not brought back: ${why}`;
    context.emit({ event: "log", level: "warn", message });
  }
  const lost = new Set(returning.filter(({ why }) => why !== null).map(({ key }) => key));
  const work = [
    ...(await ownKeys(session, plan, direction, liveOid, now)),
    ...childKeys(plan, direction, now, lost),
  ];
  for (const { key, steps } of work) {
    try {
      for (const step of steps) await patiently(context, session, key, step);
    } catch (error) {
      if (sqlState(error) !== SQLSTATE.foreignKeyViolation) throw error;
      const message = `foreign key ${key} holds for every new row, but stays NOT VALID: a row that was there breaks it (${messageOf(error)})`;
      context.emit({ event: "log", level: "warn", message });
    }
  }
}

/** SQLSTATEs of a statement that met somebody's lock on a third table: a parent that is being altered. */
const IN_THE_WAY: ReadonlySet<string> = new Set([
  SQLSTATE.lockNotAvailable,
  SQLSTATE.queryCanceled,
  SQLSTATE.deadlockDetected,
]);

/** Nobody waits for this: what is in the way is waited out, as often as a lock is tried. */
async function patiently(context: LockContext, session: Session, key: string, step: Step): Promise<void> {
  const { plan, settings, signal } = context;
  for (let attempt = 1; ; attempt++) {
    try {
      return await taken(context, session, step);
    } catch (error) {
      if (!IN_THE_WAY.has(sqlState(error) ?? "")) throw error;
      if (attempt >= settings.lockTries)
        throw new PartwayError(
          "lock-busy",
          {
            what: `foreign key ${key} could not be validated in ${attempt} tries: ${messageOf(error)}`,
            state: `The names are exchanged and nothing is lost; every new row is checked, those that were there are not yet.`,
            next: `partway resume ${plan.id} validates it`,
          },
          { cause: error },
        );
      await sleep(Math.min(5000, 250 * attempt), undefined, { signal });
    }
  }
}

/** Validation takes locks that no reader or writer waits for: longer than an autovacuum needs to yield to them, ms. */
const CALM_MS = 3000;

function taken(context: LockContext, session: Session, { purpose, strong, sql }: Step): Promise<void> {
  const work = async (): Promise<void> => {
    for (const text of sql) await session.query(text);
  };
  if (strong.length > 0) return inLock(context, session, { purpose, calm: [], strong, work });
  return context.lease.tx(session, async () => {
    await setLocal(session, "lock_timeout", CALM_MS);
    await work();
  });
}

interface Step {
  purpose: string;
  /** Tables that the statements lock against writers. */
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
  // What was NOT VALID stays so; after a rollback that is also what the application has made in the window.
  const planned = plan.source.attached?.foreignKeys ?? [];
  const invalid = new Set(planned.filter((key) => !key.validated).map((key) => key.name));
  const known = new Set(planned.map((key) => key.name));
  const work: Work[] = [];
  for (const key of now.foreignKeys) {
    const { name } = key;
    if (invalid.has(name) || (direction === "forward" && !known.has(name))) continue;
    if (key.onRoot && key.validated) continue;
    const validate = (table: string): Step => ({
      purpose: `validation of foreign key ${name}`,
      strong: [],
      sql: [`ALTER TABLE ${table} VALIDATE CONSTRAINT ${ident(name)}`],
    });
    if (key.onRoot) {
      work.push({ key: name, steps: [validate(live)] });
      continue;
    }
    const attach: Step = {
      purpose: `foreign key ${name}`,
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
function childKeys(
  plan: Plan,
  direction: Direction,
  now: Attached,
  lost: ReadonlySet<IncomingKeyInfo>,
): Work[] {
  const live = qualified(plan.names.schema, plan.names.source);
  const planned = plan.source.attached?.incomingKeys ?? [];
  const wanted = direction === "reverse" || plan.request.incomingFk === "repoint" ? planned : [];
  return wanted.flatMap((key): Work[] => {
    if (lost.has(key)) return [];
    const there = now.incomingKeys.find((one) => one.name === key.name && one.child === key.child);
    const child = key.self ? live : key.child;
    const purpose = `foreign key ${key.name} on ${child}`;
    if (there === undefined) {
      // Pointed at the new table and gone since: the application has dropped it.
      if (
        plan.request.incomingFk === "repoint" ||
        key.childKind !== "p" ||
        plan.source.serverVersion >= ROOT_NOT_VALID
      )
        return [];
      const strong = [child, live].map((table) => ({ table, mode: "SHARE ROW EXCLUSIVE" as const }));
      const sql = [
        `ALTER TABLE ${child} ADD CONSTRAINT ${ident(key.name)} ${key.definition}`,
        ...commentOnConstraint(child, key.name, key.comment).map((statement) => statement.sql),
      ];
      return [{ key: key.name, steps: [{ purpose, strong, sql }] }];
    }
    if (there.validated || !key.validated) return [];
    const sql = [`ALTER TABLE ${child} VALIDATE CONSTRAINT ${ident(key.name)}`];
    return [{ key: key.name, steps: [{ purpose, strong: [], sql }] }];
  });
}
