/** The reverse side of catching up: the retired table follows the new one through the retention window (DESIGN 3.8). */
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { TruncateSeen } from "./apply.js";
import type { CatchUpContext } from "./catchup.js";
import { drain, follow, rest } from "./drain.js";
import { markSql, overriding, sidesOf, writableList } from "./pairs.js";

function reverse(context: CatchUpContext) {
  return { plan: context.plan, lease: context.lease, sides: sidesOf(context.plan, "reverse") };
}

/** Reverse drain until the log is short. After a TRUNCATE of the new table or a leaf the retired table is rebuilt. */
export async function catchUpReverse(session: Session, context: CatchUpContext): Promise<void> {
  for (;;) {
    try {
      await drain(session, reverse(context), context);
      return;
    } catch (error) {
      if (!(error instanceof TruncateSeen)) throw error;
      await rebuildRetired(session, context);
    }
  }
}

/** Reverse follow until `until` fires. A rebuild refused by the old unique key waits: the verdict says why. */
export async function followReverse(
  session: Session,
  context: CatchUpContext,
  until: AbortSignal,
): Promise<void> {
  while (!until.aborted) {
    try {
      await follow(session, reverse(context), context, until);
    } catch (error) {
      if (!(error instanceof TruncateSeen)) throw error;
      await rebuildRetired(session, context).catch(async (failure: unknown) => {
        if (sqlState(failure) !== SQLSTATE.uniqueViolation) throw failure;
        await rest(5000, until);
      });
    }
  }
}

/**
 * Truncates the retired table and fills it from the new one, and takes away every log row of the same snapshot, in
 * one transaction. The new table is locked in ACCESS SHARE first: a snapshot older than the TRUNCATE sees nothing.
 */
export async function rebuildRetired(session: Session, context: CatchUpContext): Promise<void> {
  const { plan, lease } = context;
  const { live, lagging, log } = sidesOf(plan, "reverse");
  context.emit({
    event: "log",
    level: "warn",
    message: "the new table was truncated: the retired table is rebuilt from it",
  });
  await session.begin({ isolation: "repeatable read" });
  try {
    await session.query(`LOCK TABLE ${live} IN ACCESS SHARE MODE`);
    await lease.check(session);
    await session.query(markSql(plan));
    await session.query(`TRUNCATE ${lagging}`);
    await session.query(
      `INSERT INTO ${lagging} (${writableList(plan)}) ${overriding(plan)}SELECT ${writableList(plan)} FROM ${live}`,
    );
    await session.query(`DELETE FROM ${log}`);
    await session.commit();
  } catch (error) {
    if (session.inTransaction) await session.rollback();
    throw error;
  }
}
