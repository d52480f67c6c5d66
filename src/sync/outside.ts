/**
 * Rows outside every leaf that arrive after preflight (DESIGN 3.4): their leaf is made, or the run stops and says so.
 * A DEFAULT leaf refuses until cutover what a leaf could hold (plan/fallback.ts), so nothing late is hidden in it.
 */
import { z } from "zod";
import type { RunEventBody } from "../../state/events.js";
import { PartwayError } from "../errors.js";
import type { Lease } from "../pg/lease.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { leafFor } from "../plan/bounds.js";
import { leafDdl } from "../plan/ddl.js";
import { takenSql } from "../plan/fallback.js";
import type { Plan } from "../plan/types.js";
import { captureStands, leafTriggerDdl } from "./capture.js";
import { leavesOf } from "./leaves.js";
import { mustReadStored } from "./store.js";

export interface OutsideContext {
  plan: Plan;
  lease: Lease;
  emit(event: RunEventBody): void;
}

/** Tries in a row that found no leaf to make: the leaf was another worker's, or the row is gone again. */
const IDLE_TRIES = 3;

/**
 * Runs `work`; when a row lies outside every leaf (SQLSTATE 23514, or 23502 for NULL), makes the leaves that the rows
 * `FROM ... WHERE ...` need and runs it again. A refusal that stays though no leaf is missing is thrown as it is.
 */
export async function withMissingLeaves<T>(
  session: Session,
  context: OutsideContext,
  rows: string,
  work: () => Promise<T>,
): Promise<T> {
  for (let idle = 0; ; ) {
    try {
      return await work();
    } catch (error) {
      const state = sqlState(error);
      if (state !== SQLSTATE.checkViolation && state !== SQLSTATE.notNullViolation) throw error;
      idle = (await createMissingLeaves(session, context, rows)) > 0 ? 0 : idle + 1;
      if (idle >= IDLE_TRIES) throw error;
    }
  }
}

/**
 * Makes the leaves that the rows `FROM ... WHERE ...` (alias `s`, the source's columns) need and the shadow lacks.
 * Returns how many were made. Errors: a NULL partition value, which no leaf can hold.
 */
export async function createMissingLeaves(
  session: Session,
  context: OutsideContext,
  rows: string,
): Promise<number> {
  const { plan, lease } = context;
  const shadow = qualified(plan.names.schema, plan.names.shadow);
  return lease.tx(session, async () => {
    // Two workers may meet the same value: the second one looks again after the first has committed.
    await session.query(`LOCK TABLE ${shadow} IN ACCESS EXCLUSIVE MODE`);
    const stored = await mustReadStored(session, plan.id);
    if (stored.shadowOid === null) return 0;
    let made = 0;
    for (;;) {
      const value = await firstOutside(session, plan, stored.shadowOid, rows);
      if (value === undefined) return made;
      if (value === null) throw nullPartition(plan);
      const leaf = leafFor(plan, value);
      for (const statement of leafDdl(plan, leaf)) await session.query(statement.sql);
      if (await captureStands(session, plan, "reverse", stored.shadowOid)) {
        const table = qualified(plan.names.schema, leaf.name);
        for (const statement of leafTriggerDdl(plan, table)) await session.query(statement.sql);
      }
      context.emit({
        event: "leaf-created",
        leaf: leaf.name,
        reason: `a row with ${partitionName(plan)} ${value} arrived`,
      });
      made += 1;
    }
  });
}

function partitionName(plan: Plan): string {
  return plan.partitionBy.map((c) => c.name).join(", ");
}

/** One partition value that no leaf takes, as text; null for NULL; undefined when there is none. */
async function firstOutside(
  session: Session,
  plan: Plan,
  parentOid: string,
  rows: string,
): Promise<string | null | undefined> {
  const column = plan.partitionBy[0];
  if (column === undefined) return undefined;
  const leaves = await leavesOf(session, parentOid);
  const held = leaves.map(({ bound, constraint }) =>
    bound === "DEFAULT" ? (takenSql(plan) ?? constraint) : constraint,
  );
  const anyLeaf = held.length === 0 ? "false" : held.map((condition) => `(${condition})`).join(" OR ");
  const found = await session.maybe(
    z.object({ partway_value: z.string().nullable() }),
    `SELECT s.partway_value::text AS partway_value
       FROM (SELECT ${ident(column.name)}, ${ident(column.name)} AS partway_value ${rows}) AS s
      WHERE s.partway_value IS NULL OR (${anyLeaf}) IS NOT TRUE LIMIT 1`,
  );
  return found === null ? undefined : found.partway_value;
}

function nullPartition(plan: Plan): PartwayError {
  const { schema, source } = plan.names;
  const column = partitionName(plan);
  return new PartwayError("refused", {
    what: `a row with ${column} NULL arrived in ${schema}.${source}; a partitioned table cannot hold it`,
    state: "Nothing is lost: the source has the row, and the run can be resumed.",
    next: `UPDATE ${qualified(schema, source)} SET ${ident(column)} = ... WHERE ${ident(column)} IS NULL; then: partway resume ${plan.id}`,
  });
}
