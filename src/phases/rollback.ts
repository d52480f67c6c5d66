/** Rollback (DESIGN 3.8): drain, the same lock discipline, the names swapped back; no write made since cutover is lost. */
import { messageOf, PartwayError } from "../errors.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { carry, NOTHING } from "../plan/carry.js";
import { freeName } from "../plan/names.js";
import type { Plan, Statement } from "../plan/types.js";
import { backlog } from "../sync/apply.js";
import { attachedMark, carriedNow, finishCarried, givenUp } from "../sync/carried.js";
import { leavesOf } from "../sync/leaves.js";
import { tellLikeness } from "../sync/likeness.js";
import { sidesOf } from "../sync/pairs.js";
import { removeForwardCapture, removeReverseCapture, removeStore } from "../sync/remove.js";
import { catchUpReverse, followAgain, refusedByRetired } from "../sync/reverse.js";
import { mustReadStored, STORE_SQL, type StoredMigration } from "../sync/store.js";
import { assertSequencesAhead, goneIndexes, nameHolder, renameSql, sequenceSql } from "../sync/swap.js";
import { GENERIC_PLANS, swapWithinBounds } from "../sync/swap-locked.js";
import { definitionReasons, verdict } from "../sync/verdict.js";
import type { Phase, PhaseContext } from "./phase.js";

function sql(plan: Plan): Statement[] {
  const { live, lagging } = sidesOf(plan, "reverse");
  return [
    {
      sql: `LOCK TABLE ${lagging} IN ACCESS EXCLUSIVE MODE`,
      note: "with lock_timeout and statement_timeout, retried",
    },
    { sql: `LOCK TABLE ${live} IN ACCESS EXCLUSIVE MODE`, note: "then the last reverse drain" },
    { sql: renameSql(plan, "reverse") },
    ...(plan.sequences.length === 0 ? [] : [{ sql: sequenceSql(plan, "reverse") }]),
    ...carry(plan, "reverse", {
      live: {
        ...(plan.source.attached ?? NOTHING),
        ...(givenUp(plan).length > 0 ? { incomingKeys: [] } : {}),
      },
      lagging: NOTHING,
      leaves: [],
      returning: givenUp(plan),
    }).inside,
  ];
}

function notSafe(plan: Plan, sentence: string): PartwayError {
  return new PartwayError("not-safe", {
    what: sentence,
    state: "Nothing was switched: the application stays on the new table, and nothing is lost.",
    next: `Mend the reason, then: partway rollback ${plan.id}`,
  });
}

async function assertSafe(session: Session, plan: Plan, stored: StoredMigration): Promise<void> {
  const reasons = await definitionReasons(session, plan, stored);
  if (reasons.length > 0) throw notSafe(plan, `rollback is not safe because ${reasons.join("; and ")}`);
}

async function swapBack(
  context: PhaseContext,
  session: Session,
  stored: StoredMigration,
  shadowOid: string,
): Promise<void> {
  const { plan } = context;
  await session.query(GENERIC_PLANS);
  if (context.settings.repair) await followAgain(session, context);
  await assertSafe(session, plan, stored);
  try {
    await catchUpReverse(session, context);
    const now = await verdict(session, plan, stored);
    if (!now.safe) throw notSafe(plan, now.sentence);
    await swapWithinBounds(context, session, {
      direction: "reverse",
      oids: [plan.source.oid, shadowOid],
      drain: () => catchUpReverse(session, context),
      carry: () => carriedNow(session, plan, "reverse", shadowOid),
      mark: () => attachedMark(session, [shadowOid, plan.source.oid]),
      check: async () => {
        await assertSafe(session, plan, stored);
        return goneIndexes(session, plan, shadowOid);
      },
      commit: { sql: STORE_SQL.setPhase, params: [plan.id, "rolled-back"] },
    });
  } catch (error) {
    if (!refusedByRetired(error)) throw error;
    const now = await verdict(session, plan, stored);
    throw notSafe(
      plan,
      now.safe
        ? `rollback is not safe because the retired table refuses it: ${messageOf(error)}`
        : now.sentence,
    );
  }
}

async function run(context: PhaseContext): Promise<void> {
  const { plan } = context;
  const session = await context.open();
  const stored = await mustReadStored(session, plan.id);
  const { shadowOid } = stored;
  const holder = await nameHolder(session, plan, shadowOid);
  if (stored.phase !== "retain" && stored.phase !== "rolled-back") {
    throw new PartwayError("bad-input", {
      what: `migration ${plan.id} has not been cut over (it is at ${stored.phase}), so there is nothing to roll back`,
      state: "Nothing was touched.",
      next: `partway abort ${plan.id} removes what Partway has made so far.`,
    });
  }
  if (shadowOid === null) throw new Error("a migration after cutover has no new table recorded");
  if (holder !== "source") await swapBack(context, session, stored, shadowOid);
  await afterwards(context, session, shadowOid);
}

/** What is left is idempotent: assert, take the triggers away, free the leaf names, forget the migration. */
async function afterwards(context: PhaseContext, session: Session, shadowOid: string): Promise<void> {
  const { plan } = context;
  const { log } = sidesOf(plan, "reverse");
  const late = await backlog(session, log);
  if (late > 0) {
    const message = `${late} changes reached ${plan.names.failed} after the rollback: find who writes to it by name`;
    context.emit({ event: "log", level: "error", message });
  }
  await assertSequencesAhead(session, plan);
  await finishCarried(context, session, "reverse", plan.source.oid);
  await tellLikeness(context, session, plan.source.oid, "source");
  await removeForwardCapture(context, session);
  await removeReverseCapture(context, session);
  await freeNames(context, session, shadowOid);
  await removeStore(context, session);
}

const INDEXES_SQL = /*sql*/ `
SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::oid`;
const NAMES_SQL = /*sql*/ `
SELECT relname AS name FROM pg_class WHERE relnamespace = $1::regnamespace`;

/** The failed table's leaves and their indexes give their names back, so that a new attempt does not collide (3.8). */
async function freeNames(context: PhaseContext, session: Session, shadowOid: string): Promise<void> {
  const { plan, lease } = context;
  const { schema } = plan.names;
  await lease.tx(session, async () => {
    const { rows } = await session.query(NAMES_SQL, [ident(schema)]);
    const taken = new Set(rows.map((row) => row["name"] ?? ""));
    const free = (name: string): string => {
      const fresh = freeName(`${name}_failed`, taken);
      taken.add(fresh);
      return fresh;
    };
    for (const leaf of await leavesOf(session, shadowOid)) {
      if (/_failed(_\d+)?$/.test(leaf.name)) continue;
      for (const row of (await session.query(INDEXES_SQL, [leaf.oid])).rows) {
        const name = row["name"] ?? "";
        await session.query(`ALTER INDEX ${qualified(schema, name)} RENAME TO ${ident(free(name))}`);
      }
      await session.query(`ALTER TABLE ${leaf.table} RENAME TO ${ident(free(leaf.name))}`);
    }
  });
}

/** Rolling a rollback back is a new migration. */
async function undo(): Promise<void> {
  return Promise.resolve();
}

export const rollback = { name: "rollback", sql, run, undo } satisfies Phase;
