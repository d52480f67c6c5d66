/**
 * Cutover: drain until the log is short, take the locks within bounds, and in one transaction drain the rest, look for
 * drift, swap the names and carry the sequences (DESIGN 3.6). What is unknown after a lost connection is read from the
 * catalog by the next attempt, after the epoch was bumped.
 */

import { PartwayError } from "../errors.js";
import { qualified } from "../pg/quote.js";
import type { Param, Session } from "../pg/session.js";
import { type Carry, carry, NOTHING } from "../plan/carry.js";
import { openFallback } from "../plan/fallback.js";
import type { Fingerprint, Plan, Statement } from "../plan/types.js";
import { backlog } from "../sync/apply.js";
import { triggerDdl } from "../sync/capture.js";
import { carriedNow, finishCarried } from "../sync/carried.js";
import { catchUp } from "../sync/catchup.js";
import {
  assertCaptured,
  assertNoDrift,
  assertNotRewritten,
  assertSameTable,
  assertShadowUnwritten,
  assertShadowWhole,
  Rewritten,
  ShadowTouched,
  ShadowWritten,
} from "../sync/guard.js";
import { oidOf } from "../sync/leaves.js";
import { tellLikeness } from "../sync/likeness.js";
import { sidesOf } from "../sync/pairs.js";
import { removeSlot } from "../sync/remove.js";
import { restartCopy } from "../sync/reset.js";
import { mustReadStored, STORE_SQL } from "../sync/store.js";
import { assertSequencesAhead, nameHolder, renameSql, sequenceSql } from "../sync/swap.js";
import { GENERIC_PLANS, LOCKED_LOG, swapWithinBounds } from "../sync/swap-locked.js";
import {
  byName,
  sketch,
  validatedDefinition,
  validatedFingerprints,
  writtenByName,
} from "../sync/verdict.js";
import { fillInLock, filling, fillUntilQuick } from "../wal/fill.js";
import { readsWal } from "../wal/identity.js";
import type { Phase, PhaseContext } from "./phase.js";

const SQL = {
  commit: /*sql*/ `
UPDATE partway.migration SET phase = 'retain', cutover_at = statement_timestamp(), fingerprint = $3,
       deadline = statement_timestamp() + make_interval(secs => $2::double precision) WHERE id = $1`,
} as const;

/** What is looked at before the locks are asked for, as the operator reads it; most of it again inside the lock. */
const CONDITIONS = {
  validated: "validated equal",
  definition: "definition unchanged",
  captured: "every change captured",
  source: "source not rewritten",
  unwritten: "new table untouched",
  whole: "new table as validated",
  short: "change log short",
} as const;

function sql(plan: Plan): Statement[] {
  const { live, lagging } = sidesOf(plan, "forward");
  const { tables, views } = carried(plan);
  return [
    { sql: `LOCK TABLE ${lagging} IN SHARE UPDATE EXCLUSIVE MODE` },
    {
      sql: `LOCK TABLE ${live} IN SHARE UPDATE EXCLUSIVE MODE`,
      note: "blocks no reader or writer; autovacuum yields",
    },
    {
      sql: `LOCK TABLE ${lagging} IN ACCESS EXCLUSIVE MODE`,
      note: "with lock_timeout and statement_timeout, retried",
    },
    ...views.map((text) => ({ sql: text, note: "locks the view, and changes nothing" })),
    ...tables.map((name) => ({
      sql: `LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`,
      note: "altered beside the two",
    })),
    { sql: `LOCK TABLE ${live} IN ACCESS EXCLUSIVE MODE`, note: "the live side last; then the last drain" },
    ...(readsWal(plan)
      ? triggerDdl(plan, "forward", live).map(({ sql: text }) => ({
          sql: text,
          note: "from now on the old table has the triggers that it did without",
        }))
      : []),
    { sql: renameSql(plan, "forward") },
    ...(plan.sequences.length === 0 ? [] : [{ sql: sequenceSql(plan, "forward") }]),
    ...openFallback(plan),
    ...carried(plan).inside,
    { sql: SQL.commit.trim(), note: "the retention window begins, by the database's clock" },
  ];
}

function carried(plan: Plan): Carry {
  const leaves = plan.leaves.map((leaf) => qualified(plan.names.schema, leaf.name));
  return carry(plan, "forward", {
    live: plan.source.attached ?? NOTHING,
    lagging: NOTHING,
    leaves,
    returning: [],
  });
}

async function run(context: PhaseContext): Promise<void> {
  const { plan } = context;
  const session = await context.open();
  const stored = await mustReadStored(session, plan.id);
  const shadowOid = stored.shadowOid ?? (await restartCopy(session, context, "the shadow is not there"));
  if ((await nameHolder(session, plan, shadowOid)) !== "new") {
    if (!stored.validated) {
      throw new PartwayError("unexpected", {
        what: "cutover was asked for before validation",
        state: "Nothing was switched.",
        next: `partway resume ${plan.id}`,
      });
    }
    const sides = sidesOf(plan, "forward");
    await session.query(GENERIC_PLANS);
    await assertSameTable(plan, await oidOf(session, sides.live));
    const validated = validatedDefinition(stored);
    let outline: Fingerprint | null = null;
    const check = async (holds: Holds = (_, work) => work()): Promise<ReadonlySet<string>> => {
      await holds(CONDITIONS.definition, () =>
        assertNoDrift(session, plan, plan.source.oid, plan.fingerprint),
      );
      await holds(CONDITIONS.captured, () => assertCaptured(session, plan));
      await holds(CONDITIONS.source, () => assertNotRewritten(session, plan.source.oid, stored.filenode));
      if (outline !== null) assertShadowWhole(outline, await sketch(session, shadowOid));
      await holds(CONDITIONS.unwritten, () => assertShadowUnwritten(session, plan));
      return new Set();
    };
    const params: Param[] = [plan.id, plan.request.keepSeconds, null];
    const swap = async (): Promise<void> => {
      for (const name of Object.values(CONDITIONS)) context.emit({ event: "check", name, ok: null });
      context.emit({ event: "check", name: CONDITIONS.validated, ok: true });
      await check(told(context));
      await swapWithinBounds(context, session, {
        direction: "forward",
        oids: [plan.source.oid, shadowOid],
        drain: async () => {
          if (readsWal(plan)) await fillUntilQuick(session, context, context.settings.holdBudgetMs / 4);
          await catchUp(session, context);
          // The window is judged by the definitions of this moment: read later they could hold a change made since.
          outline = await sketch(session, shadowOid);
          const now = await validatedFingerprints(session, plan, shadowOid);
          const whole = told(context);
          await whole(CONDITIONS.whole, () => {
            if (validated !== null) assertShadowWhole(validated, now.live);
          });
          context.emit({ event: "check", name: CONDITIONS.short, ok: true });
          params[2] = JSON.stringify(now);
        },
        ...(readsWal(plan)
          ? {
              fill: {
                beside: filling(context),
                locked: (observer: Session) => fillInLock(session, observer, plan, LOCKED_LOG),
              },
              first: triggerDdl(plan, "forward", sides.live),
            }
          : {}),
        carry: () => carriedNow(session, plan, "forward", shadowOid),
        check: () => check(),
        commit: { sql: SQL.commit, params },
      });
    };
    await swap().catch((error: unknown) => {
      const { schema, source, shadow } = plan.names;
      if (error instanceof ShadowTouched) return restartCopy(session, context, error.message);
      if (error instanceof ShadowWritten)
        return validateAgain(
          context,
          session,
          `somebody wrote to the new table under its name ${schema}.${shadow}`,
        );
      if (error instanceof Rewritten)
        return validateAgain(
          context,
          session,
          `${schema}.${source} was rewritten since it was validated (VACUUM FULL, CLUSTER, pg_repack or ALTER TABLE)`,
        );
      throw error;
    });
  }
  await afterwards(context, shadowOid);
}

/** Looks at one condition of the cutover, named as an operator reads it. */
type Holds = (name: string, work: () => Promise<void> | void) => Promise<void> | void;

/** Tells each condition and how it was found. Never inside the lock: there nobody waits for a screen or a journal. */
function told(context: PhaseContext): Holds {
  return async (name, work) => {
    try {
      await work();
    } catch (error) {
      context.emit({ event: "check", name, ok: false });
      throw error;
    }
    context.emit({ event: "check", name, ok: true });
  };
}

/** What no trigger or no apply saw: the swap is rolled back, and a resume validates again. */
async function validateAgain(context: PhaseContext, session: Session, what: string): Promise<never> {
  const { plan, lease } = context;
  await lease.tx(session, async () => {
    await session.query(STORE_SQL.setUnvalidated, [plan.id]);
  });
  throw new PartwayError("drift", {
    what,
    state: "Nothing was switched, nothing is lost: it has to be validated again.",
    next: `partway resume ${plan.id} validates again, then cuts over.`,
  });
}

/** New transactions look at what the swap promised: nobody writes to the old table, sequences are beyond the keys. */
async function afterwards(context: PhaseContext, shadowOid: string): Promise<void> {
  const { plan } = context;
  const session = await context.open();
  // First: while it stands, the server keeps WAL for nobody.
  await removeSlot(context, session);
  const late = await backlog(session, sidesOf(plan, "forward").log);
  const written = late === 0 ? null : await writtenByName(session, plan);
  // The application is on the new table and goes on: the verdict says it until somebody has decided.
  if (written !== null) context.emit({ event: "log", level: "warn", message: byName(plan, written) });
  for (const { sequence, to } of await assertSequencesAhead(session, plan)) {
    const message =
      to === null
        ? `sequence ${sequence} ends below the largest key: the ids it gives may stand in the table already`
        : `sequence ${sequence} lagged behind the largest key and was moved to ${to}`;
    context.emit({ event: "log", level: "warn", message });
  }
  await finishCarried(context, session, "forward", shadowOid);
  await tellLikeness(context, session, shadowOid, "new");
}

/** After cutover the way back is `partway rollback`; before it there is nothing to undo. */
async function undo(): Promise<void> {
  return Promise.resolve();
}

export const cutover = { name: "cutover", sql, run, undo } satisfies Phase;
