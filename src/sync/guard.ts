/** Drift (DESIGN 3.9): the live side's definition against the one the plan was made from. */
import { z } from "zod";
import { diffFingerprints, fingerprint } from "../catalog/fingerprint.js";
import { messageOf, PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { Fingerprint, Plan } from "../plan/types.js";
import { readsWal } from "../wal/identity.js";
import { CaptureLost, whyLost } from "../wal/slot.js";
import { NEVER_OFF } from "./capture.js";
import { type Direction, sidesOf } from "./pairs.js";

/** Throws `drift` with the difference when the relation `oid` is not as `expected` says. */
export async function assertNoDrift(
  session: Session,
  plan: Plan,
  oid: string,
  expected: Fingerprint,
): Promise<void> {
  const differences = diffFingerprints(expected, await fingerprint(session, oid));
  if (differences.length === 0) return;
  throw new PartwayError("drift", {
    what: `the definition of ${plan.names.schema}.${plan.names.source} has changed since the plan:\n${differences
      .slice(0, 20)
      .map((line) => `    ${line}`)
      .join("\n")}`,
    state:
      "Nothing was lost; the run stopped before acting on the new definition. Changes are still captured.",
    next: `Undo the change and partway resume ${plan.id}, or partway abort ${plan.id} and plan again.`,
  });
}

/** SQLSTATE classes of a statement that no longer fits the table: a value, a constraint, a schema, a name or a right. */
const MISFIT = /^(22|23|3F|42)/;

export function misfit(error: unknown): boolean {
  if (error instanceof PartwayError && error.kind === "unexpected") return true;
  return MISFIT.test(sqlState(error) ?? "");
}

/** Also as pg_dump says it, in words. */
function rightMissing(error: unknown): boolean {
  return sqlState(error) === SQLSTATE.insufficientPrivilege || /permission denied/.test(messageOf(error));
}

const RIGHTS_SQL = /*sql*/ `
SELECT current_user AS role, pg_get_userbyid(c.relowner) AS owner
  FROM pg_class c WHERE c.oid = $1::oid`;

/**
 * What stands behind a server's error before cutover: when the statement failed because the table was changed, or a
 * right taken away, the drift with its difference; else the error itself.
 */
export async function explainByDrift(
  open: () => Promise<Session>,
  plan: Plan,
  error: unknown,
): Promise<unknown> {
  if (!misfit(error)) return error;
  const session = await open();
  const named = await session.maybe(z.object({ oid: z.string(), kind: z.string() }), NAMED_SQL, [
    plan.names.schema,
    plan.names.source,
  ]);
  // Cut over already: the name leads to the new table.
  if (named?.kind === "p") return error;
  try {
    await assertSameTable(plan, named?.oid ?? null);
    await assertNoDrift(session, plan, plan.source.oid, plan.fingerprint);
  } catch (drift) {
    return drift;
  }
  if (!rightMissing(error)) return error;
  const { role, owner } = await session.one(z.object({ role: z.string(), owner: z.string() }), RIGHTS_SQL, [
    plan.source.oid,
  ]);
  return new PartwayError("drift", {
    what: `a right that Partway needs was taken away since the plan: ${messageOf(error)} (connected as ${role}; the table belongs to ${owner})`,
    state: "Nothing is lost; the run stopped there. Changes are still captured.",
    next: `Give the right back (partway plan names every missing one), then: partway resume ${plan.id}`,
  });
}

/** By the catalog: to_regclass asks for USAGE on the schema, which may be what was taken away. */
const NAMED_SQL = /*sql*/ `
SELECT c.oid::text AS oid, c.relkind::text AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2`;

/** The capture triggers of one direction on `oid` that are missing, off, or have been off since they were made. */
export async function touchedCapture(
  session: Session,
  plan: Plan,
  direction: Direction,
  oid: string,
): Promise<string[]> {
  const n = plan.names;
  const names =
    direction === "forward"
      ? [n.forwardTrigger, n.forwardTruncateTrigger]
      : [n.reverseTrigger, n.reverseTruncateTrigger];
  const rows = await session.rows(
    z.object({ name: z.string() }),
    `SELECT n.name FROM unnest($2::text[]) AS n(name)
      WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = $1::oid AND t.tgname = n.name AND ${NEVER_OFF})
      ORDER BY n.name`,
    [oid, names],
    "touched_capture",
  );
  return rows.map((row) => row.name);
}

/**
 * Throws `drift` when writes to the source may have passed the change log by: no drain would ever bring them. With
 * capture from the write-ahead log CaptureLost, after which the copy begins again.
 */
export async function assertCaptured(session: Session, plan: Plan): Promise<void> {
  if (readsWal(plan)) {
    const why = await whyLost(session, plan);
    if (why !== null) throw new CaptureLost(why);
    return;
  }
  const touched = await touchedCapture(session, plan, "forward", plan.source.oid);
  if (touched.length === 0) return;
  const { schema, source } = plan.names;
  throw new PartwayError("drift", {
    what: `the capture triggers of ${schema}.${source} were disabled, enabled again, or dropped since they were made (${touched.join(", ")}); writes meanwhile were not recorded`,
    state: `Nothing was switched, and ${schema}.${source} has every row; the copy may lack some.`,
    next: `partway abort ${plan.id}, then plan again; keep triggers enabled during a migration.`,
  });
}

/** Throws `drift` when the source's name no longer leads to the table the plan was made from. */
export async function assertSameTable(plan: Plan, found: string | null): Promise<void> {
  if (found === plan.source.oid) return;
  throw new PartwayError("drift", {
    what: `${plan.names.schema}.${plan.names.source} is no longer the table the plan was made from (it was ${
      found === null ? "dropped or renamed" : "replaced"
    })`,
    state: "Partway wrote nothing to it.",
    next: `partway abort ${plan.id} removes what Partway made.`,
  });
}

const FILENODE_SQL = /*sql*/ `SELECT pg_relation_filenode($1::oid)::text AS filenode`;

/** The file of a relation: another one after every rewrite (VACUUM FULL, CLUSTER, TRUNCATE, a rewriting ALTER). */
export async function filenodeOf(session: Session, oid: string): Promise<string | null> {
  return (await session.one(z.object({ filenode: z.string().nullable() }), FILENODE_SQL, [oid], "filenode"))
    .filenode;
}

/** The new table is not the one that was validated: the copy starts again. */
export class ShadowTouched extends Error {}

/**
 * Nobody but Partway has a reason to touch the new table before cutover, but its name is there for everybody: a leaf,
 * column or index that went away since validation would go live missing. Leaves that Partway made since are no harm.
 */
export function assertShadowWhole(validated: Fingerprint, now: Fingerprint): void {
  const differences = diffFingerprints(validated, now).filter((line) => /^(- |\+ column )/.test(line));
  if (differences.length > 0)
    throw new ShadowTouched(
      `somebody changed the new table since it was validated (${differences.slice(0, 3).join("; ")})`,
    );
}

/** Somebody else than Partway wrote to the new table since validation began: it has to be validated again. */
export class ShadowWritten extends Error {}

/** Throws ShadowWritten when the reverse triggers have logged something before cutover. Partway's writes are not logged. */
export async function assertShadowUnwritten(session: Session, plan: Plan): Promise<void> {
  const { log } = sidesOf(plan, "reverse");
  if ((await session.query(`SELECT FROM ${log} LIMIT 1`)).rows.length > 0) throw new ShadowWritten();
}

/** The source was rewritten since it was validated: values may have changed without a trigger seeing it. */
export class Rewritten extends Error {}

/** Throws Rewritten when the source's file is not the one that was validated. Also run inside the cutover's lock. */
export async function assertNotRewritten(
  session: Session,
  oid: string,
  filenode: string | null,
): Promise<void> {
  if ((await filenodeOf(session, oid)) !== filenode) throw new Rewritten();
}
