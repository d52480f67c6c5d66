/** Drift (DESIGN 3.9): the live side's definition against the one the plan was made from. */
import { z } from "zod";
import { diffFingerprints, fingerprint } from "../catalog/fingerprint.js";
import { PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { Fingerprint, Plan } from "../plan/types.js";
import { NEVER_OFF } from "./capture.js";
import type { Direction } from "./pairs.js";

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
  );
  return rows.map((row) => row.name);
}

/** Throws `drift` when writes to the source may have passed the change log by: no drain would ever bring them. */
export async function assertCaptured(session: Session, plan: Plan): Promise<void> {
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
export async function assertSameTable(session: Session, plan: Plan, found: string | null): Promise<void> {
  if (found === plan.source.oid) return;
  void session;
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
  return (await session.one(z.object({ filenode: z.string().nullable() }), FILENODE_SQL, [oid])).filenode;
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
