/** The reverse side of catching up: the retired table follows the new one through the retention window (DESIGN 3.8). */
import type { Session } from "../pg/session.js";
import { refresh, TruncateSeen, UniqueConflict } from "./apply.js";
import type { CatchUpContext } from "./catchup.js";
import { drain, follow, rest } from "./drain.js";
import { markSql, overriding, sidesOf, writableList } from "./pairs.js";

function reverse(context: CatchUpContext) {
  return { plan: context.plan, lease: context.lease, sides: sidesOf(context.plan, "reverse") };
}

/**
 * Reverse drain until the log is short. After a TRUNCATE of the new table or a leaf the retired table is rebuilt.
 * Errors: UniqueConflict when the old unique key refuses that.
 */
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
        if (!(failure instanceof UniqueConflict)) throw failure;
        await rest(5000, until);
      });
    }
  }
}

/**
 * Truncates the retired table and fills it from the new one, and takes away every log row of the same snapshot, in
 * one transaction. The new table is locked in ACCESS SHARE first: a snapshot older than the TRUNCATE sees nothing.
 * Errors: UniqueConflict.
 */
export async function rebuildRetired(session: Session, context: CatchUpContext): Promise<void> {
  const { plan, lease } = context;
  const { live, lagging, log } = sidesOf(plan, "reverse");
  context.emit({
    event: "log",
    level: "warn",
    message: "the new table was truncated: the retired table is rebuilt from it",
  });
  const work = async (): Promise<void> => {
    await session.query(markSql(plan));
    await session.query(`TRUNCATE ${lagging}`);
    const columns = writableList(plan);
    await refresh(async () => {
      await session.query(
        `INSERT INTO ${lagging} (${columns}) ${overriding(plan)}SELECT ${columns} FROM ${live}`,
      );
    });
    await session.query(`DELETE FROM ${log}`);
  };
  await lease.tx(session, work, {
    isolation: "repeatable read",
    lock: `LOCK TABLE ${live} IN ACCESS SHARE MODE`,
  });
}
