/** What the server and the role have for logical decoding. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import type { WalFacts, WalRights } from "../plan/types.js";

/** RDS gives rds_replication instead of the attribute. */
const RIGHTS = /*sql*/ `
SELECT coalesce((SELECT r.rolsuper OR r.rolreplication OR EXISTS (SELECT FROM pg_roles AS g WHERE g.rolname = 'rds_replication'
          AND pg_has_role(r.oid, g.oid, 'MEMBER')) FROM pg_roles AS r WHERE r.rolname = $1), false)::text AS replicate,
       has_database_privilege($1, current_database(), 'CREATE')::text AS publish,
       has_database_privilege($1, current_database(), 'TEMPORARY')::text AS temporary`;

const FACTS = /*sql*/ `
SELECT current_setting('wal_level') AS level, current_user::text AS role,
       (SELECT count(*) FROM pg_replication_slots)::text AS used, current_setting('max_replication_slots') AS most,
       pg_size_bytes(current_setting('max_slot_wal_keep_size'))::text AS kept`;

const bool = z.enum(["true", "false"]).transform((value) => value === "true");
const RightsRow = z.object({ replicate: bool, publish: bool, temporary: bool });
const FactsRow = z.object({
  level: z.string(),
  role: z.string(),
  used: z.coerce.number(),
  most: z.coerce.number(),
  kept: z.coerce.number(),
});

/** What a role may do; `public`: everybody. The role must exist. */
export async function readWalRights(session: Session, role: string): Promise<WalRights> {
  const found = await session.one(RightsRow, RIGHTS, [role]);
  return { mayReplicate: found.replicate, mayPublish: found.publish, mayMakeTemporary: found.temporary };
}

/** Reads settings and rights alone. */
export async function readWalFacts(session: Session): Promise<WalFacts> {
  const found = await session.one(FactsRow, FACTS);
  return {
    level: found.level,
    slots: { used: found.used, most: found.most },
    ...(await readWalRights(session, found.role)),
    keptBytes: found.kept < 0 ? null : found.kept,
  };
}
