/** Drift (DESIGN 3.9): the live side's definition against the one the plan was made from. */
import { z } from "zod";
import { diffFingerprints, fingerprint } from "../catalog/fingerprint.js";
import { PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { Fingerprint, Plan } from "../plan/types.js";

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
