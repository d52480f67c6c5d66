/** The reverse side of catching up: the retired table follows the new one through the retention window (DESIGN 3.8). */
import { messageOf } from "../errors.js";
import type { Session } from "../pg/session.js";
import { sqlState } from "../pg/sqlstate.js";
import { refresh, TruncateSeen, UniqueConflict } from "./apply.js";
import type { CatchUpContext } from "./catchup.js";
import { drain, follow, rest } from "./drain.js";
import { markSql, overriding, pairList, sidesOf, writableList } from "./pairs.js";

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

/**
 * The retired table (or what stands between the two) refuses what the new one holds: a constraint dropped or added, a
 * column or table renamed or gone. SQLSTATE classes 23 and 42. The verdict says why; only a person can mend it.
 */
export function refusedByRetired(error: unknown): boolean {
  return error instanceof UniqueConflict || /^(23|42)/.test(sqlState(error) ?? "");
}

/** Reverse follow until `until` fires. What the retired table refuses is said once, and waited for. */
export async function followReverse(
  session: Session,
  context: CatchUpContext,
  until: AbortSignal,
): Promise<void> {
  let said = "";
  while (!until.aborted) {
    try {
      await follow(session, reverse(context), context, until).catch((error: unknown) =>
        error instanceof TruncateSeen ? rebuildRetired(session, context) : Promise.reject(error),
      );
    } catch (error) {
      if (!refusedByRetired(error)) throw error;
      if (messageOf(error) !== said) tellRefused(context, error);
      said = messageOf(error);
      await rest(5000, until);
    }
  }
}

/** Says that the retired table does not follow for now. */
export function tellRefused(context: CatchUpContext, error: unknown): void {
  const message = `the retired table cannot follow for now: ${messageOf(error)}; the changes stay in the log`;
  context.emit({ event: "log", level: "warn", message });
}

/**
 * What somebody wrote to the retired table by its name gives way to what the new table holds: the pairs move from the
 * forward log to the reverse one, and the next drain refreshes them. Said as `repaired`.
 */
export async function followAgain(session: Session, context: CatchUpContext): Promise<void> {
  const { plan, lease } = context;
  const [from, to] = [sidesOf(plan, "forward").log, sidesOf(plan, "reverse").log];
  const columns = `partway_op, ${pairList(plan)}`;
  const keys = await lease.tx(session, async () => {
    const moved = await session.query(
      `WITH gone AS (DELETE FROM ${from} RETURNING ${columns}) INSERT INTO ${to} (${columns}) SELECT ${columns} FROM gone`,
    );
    return moved.count;
  });
  if (keys > 0) context.emit({ event: "repaired", keys });
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
