/** Who may read a cold leaf by its name: who could read the leaf, and nobody else. */

import { Present } from "../care/store.js";
import { granteeSql } from "../care/template.js";
import { readColumnGrants, readDefaultGrantees, readRelationGrants } from "../catalog/grants.js";
import type { GrantInfo } from "../catalog/types.js";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";

const RIGHTS_SQL = {
  secured: /*sql*/ `SELECT relrowsecurity::text AS present FROM pg_class WHERE oid = $1::oid`,
} as const;

export interface Rights {
  grants: GrantInfo[];
  /** Whom ALTER DEFAULT PRIVILEGES lets in on what is new; null: everybody. */
  others: (string | null)[];
}

/** Of a relation. Of one with row security none are carried: what takes its place has no policies. */
export async function rightsOf(session: Session, oid: string): Promise<Rights> {
  const others = await readDefaultGrantees(session, oid);
  if ((await session.one(Present, RIGHTS_SQL.secured, [oid])).present === "true")
    return { grants: [], others };
  return {
    grants: [...(await readRelationGrants(session, oid)), ...(await readColumnGrants(session, oid))],
    others,
  };
}

/** Those of `may` onto `name`, quoted, which is new and ours; what default privileges have given is taken away. */
export async function giveRights(
  session: Session,
  name: string,
  { grants, others }: Rights,
  { owner, may }: { owner: string; may: readonly string[] },
): Promise<void> {
  const uninvited = others.filter((one) => one !== owner);
  if (uninvited.length > 0)
    await session.query(`REVOKE ALL ON ${name} FROM ${uninvited.map(granteeSql).join(", ")}`);
  for (const { privilege, column, grantee } of grants)
    if (may.includes(privilege) && grantee !== owner)
      await session.query(
        `GRANT ${privilege}${column === null ? "" : ` (${ident(column)})`} ON ${name} TO ${granteeSql(grantee)}`,
      );
}
