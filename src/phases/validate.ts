/** Validation: nothing goes live that is not, row by row and column by column, what the source is (DESIGN 3.5). */
import { PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { Plan, Statement } from "../plan/types.js";
import { TruncateSeen } from "../sync/apply.js";
import { catchUp } from "../sync/catchup.js";
import {
  type Comparison,
  compareSides,
  differingLeaves,
  type Late,
  onSharedSnapshot,
  sumSql,
} from "../sync/compare.js";
import { assertCaptured, assertNoDrift, filenodeOf } from "../sync/guard.js";
import { type LeafRow, leavesOf } from "../sync/leaves.js";
import { compareCatalog, disparityLine } from "../sync/likeness.js";
import { type Difference, locate, markDirty } from "../sync/locate.js";
import { type Direction, type Sides, sidesOf } from "../sync/pairs.js";
import { restartCopy } from "../sync/reset.js";
import { mustReadStored, STORE_SQL } from "../sync/store.js";
import { validatedFingerprints } from "../sync/verdict.js";
import { alongside } from "../wal/alongside.js";
import { fillToNow } from "../wal/fill.js";
import { readsWal } from "../wal/identity.js";
import { lateLog } from "../wal/late.js";
import { CompareProgress } from "./compare-progress.js";
import type { Phase, PhaseContext } from "./phase.js";

/** Keys named when a difference is found; the rest is counted by leaf. */
const NAMED_KEYS = 20;

function sql(plan: Plan): Statement[] {
  const sides = sidesOf(plan, "forward");
  const free = "NOT EXISTS only where the log is not empty";
  return [
    {
      sql: `LOCK TABLE ${sides.live}, ${sides.lagging}, ${sides.log} IN ACCESS SHARE MODE`,
      note: "before the snapshot",
    },
    { sql: "SELECT pg_export_snapshot()", note: "one REPEATABLE READ snapshot shared by the workers" },
    { sql: sumSql(plan, sides, sides.live, "<range of blocks>"), note: `the source, in ranges; ${free}` },
    { sql: sumSql(plan, sides, "<leaf>", "true"), note: `each leaf; ${free}` },
  ];
}

/** Compares both sides of `direction`, reports and records the result. */
export async function compareAndReport(
  context: PhaseContext,
  direction: Direction,
  partitionedOid: string,
  progress = new CompareProgress(context),
): Promise<Comparison> {
  const compare = (sound: () => void) =>
    compareSides({
      watch: progress,
      plan: context.plan,
      direction,
      partitionedOid,
      workers: context.settings.workers,
      open: context.open,
      late: lateLog(context, direction),
      // No pause while the snapshot is open: it would keep VACUUM from its work in the whole database.
      gate: async () => {
        context.signal.throwIfAborted();
        sound();
      },
    });
  const comparison = await (direction === "forward"
    ? alongside(context, (beside) => compare(beside.sound))
    : compare(() => undefined));
  const facts = {
    result: comparison.equal ? ("equal" as const) : ("different" as const),
    rows: comparison.live.rows,
    sourceHash: comparison.live.hash,
    shadowHash: comparison.lagging.hash,
    ms: comparison.ms,
  };
  progress.done(comparison);
  context.record.validation({ direction, ...facts });
  context.emit({ event: "validation", excluded: comparison.excluded, ...facts });
  return comparison;
}

/** The leaves that differ and the first keys in them, read on one snapshot. */
export async function findDifferences(
  plan: Plan,
  comparison: Comparison,
  partitionedOid: string,
  open: () => Promise<Session>,
  late?: Late,
): Promise<{ leaves: LeafRow[]; named: Difference[] }> {
  const find = async ([session]: Session[], sides: Sides) => {
    const named: Difference[] = [];
    if (session === undefined) return { leaves: [], named };
    const all = await leavesOf(session, partitionedOid);
    const leaves = await differingLeaves(session, plan, sides, all, comparison.leaves);
    for (const leaf of leaves) {
      if (named.length >= NAMED_KEYS) break;
      named.push(...(await locate(session, plan, sides, leaf, NAMED_KEYS - named.length)));
    }
    return { leaves, named };
  };
  return onSharedSnapshot(open, 1, sidesOf(plan, comparison.direction), find, late);
}

/** Marks every differing pair of these leaves dirty; the next apply copies the live rows again. */
async function repair(context: PhaseContext, direction: Direction, leaves: LeafRow[]): Promise<number> {
  const session = await context.open();
  const sides = sidesOf(context.plan, direction);
  // A change that is not in the log yet would be counted among the differences.
  if (direction === "forward" && readsWal(context.plan)) await fillToNow(session, context);
  return context.lease.tx(session, async () => {
    let marked = 0;
    for (const leaf of leaves) marked += await markDirty(session, context.plan, sides, leaf);
    return marked;
  });
}

/** The error of a comparison that found a difference: names leaf and key. */
export function different(plan: Plan, comparison: Comparison, named: Difference[]): PartwayError {
  const first = named[0];
  const where =
    first === undefined
      ? ""
      : `; leaf ${first.leaf}, key ${first.key} (${first.kind})${named.length > 1 ? ` and ${named.length - 1} more named above` : ""}`;
  const { live, lagging } = comparison;
  return new PartwayError("difference", {
    what: `validation found a difference: ${live.rows} rows on the live side, ${lagging.rows} on the other, hash ${
      live.hash === lagging.hash ? "equal" : "different"
    }${where}`,
    state: "The live table is untouched and in use; nothing was switched. The run can be resumed.",
    next: `partway resume ${plan.id} --repair copies those rows again and validates again.`,
  });
}

/**
 * Validates one direction: equal, or a `difference` error that names leaf and keys; with --repair at most three
 * rounds of marking the differing pairs dirty, applying and comparing again. `apply` drains that direction.
 */
export async function validateDirection(
  context: PhaseContext,
  direction: Direction,
  partitionedOid: string,
  apply: () => Promise<unknown>,
): Promise<Comparison> {
  for (let round = 1; ; round++) {
    // Before the drain, not after it: what is held here would only let the log grow again.
    await (direction === "forward" ? alongside(context, ({ heavy }) => heavy()) : context.heavy());
    await apply();
    const progress = new CompareProgress(context);
    const comparison = await compareAndReport(context, direction, partitionedOid, progress).catch(
      (error: unknown) => {
        if (error instanceof TruncateSeen) return null;
        throw error;
      },
    );
    // Truncated meanwhile: the next apply sees the marker and rebuilds the lagging side.
    if (comparison === null) continue;
    if (comparison.equal) return comparison;
    // Taken over meanwhile, by an abort perhaps: then the sides may well differ, and this process is not to say so.
    await context.lease.tx(await context.open(), () => Promise.resolve());
    const { leaves, named } = await findDifferences(
      context.plan,
      comparison,
      partitionedOid,
      context.open,
      lateLog(context, direction),
    );
    progress.different(leaves);
    for (const difference of named) context.emit({ event: "difference", ...difference });
    const marked = context.settings.repair && round <= 3 ? await repair(context, direction, leaves) : 0;
    if (marked === 0) throw different(context.plan, comparison, named);
    context.emit({ event: "repaired", keys: marked });
  }
}

async function run(context: PhaseContext): Promise<void> {
  const { plan, lease } = context;
  const session: Session = await context.open();
  const stored = await mustReadStored(session, plan.id);
  const shadowOid = stored.shadowOid ?? (await restartCopy(session, context, "the shadow is not there"));
  await assertNoDrift(session, plan, plan.source.oid, plan.fingerprint);
  await assertCaptured(session, plan);
  // Read before: a rewrite from here on makes the cutover ask for another validation.
  const filenode = await filenodeOf(session, plan.source.oid);
  // And what somebody writes to the new table by its name, or changes of it, from here on does the same.
  await lease.tx(session, async () => {
    await session.query(`DELETE FROM ${sidesOf(plan, "reverse").log}`);
  });
  await assertAlike(context, session, shadowOid);
  const definitions = JSON.stringify(await validatedFingerprints(session, plan, shadowOid));
  await validateDirection(context, "forward", shadowOid, () => catchUp(session, context)).catch(
    async (error: unknown) => {
      const found = error instanceof PartwayError && error.kind === "difference";
      if (!found || (await filenodeOf(session, plan.source.oid)) === stored.filenode) throw error;
      // ALTER TABLE changed values, and was undone since: no trigger saw it, and copied values are not what they were.
      return restartCopy(
        session,
        context,
        "the source was rewritten since the copy, and its values differ now",
      );
    },
  );
  await lease.tx(session, async () => {
    await session.query(STORE_SQL.setValidated, [plan.id, filenode]);
    await session.query(STORE_SQL.setFingerprint, [plan.id, definitions]);
    await session.query(STORE_SQL.setPhase, [plan.id, "cutover"]);
  });
}

/** The new table must have everything the source has before anybody is switched to it. */
async function assertAlike(context: PhaseContext, session: Session, shadowOid: string): Promise<void> {
  const { plan } = context;
  const { unexpected } = await compareCatalog(session, plan, shadowOid, "shadow");
  if (unexpected.length === 0) return;
  throw new PartwayError("difference", {
    what: `the new table is not what the source is:\n${unexpected
      .slice(0, 20)
      .map((one) => `    ${disparityLine(one)}`)
      .join("\n")}`,
    state: "The live table is untouched and in use; nothing was switched. The run can be resumed.",
    next: `If somebody changed the new table, undo that and partway resume ${plan.id}; else partway abort ${plan.id}.`,
  });
}

/** Validation makes nothing. */
async function undo(): Promise<void> {
  return Promise.resolve();
}

export const validate = { name: "validate", sql, run, undo } satisfies Phase;
