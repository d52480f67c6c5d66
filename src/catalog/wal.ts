/** What the server and the role have for logical decoding. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import type { WalFacts } from "../plan/types.js";

/** RDS gives rds_replication instead of the attribute. */
const FACTS = /*sql*/ `
SELECT current_setting('wal_level') AS level,
       (SELECT count(*) FROM pg_replication_slots)::text AS used, current_setting('max_replication_slots') AS most,
       (r.rolsuper OR r.rolreplication OR EXISTS (SELECT FROM pg_roles AS g WHERE g.rolname = 'rds_replication'
          AND pg_has_role(r.oid, g.oid, 'MEMBER')))::text AS replicate,
       has_database_privilege(current_database(), 'CREATE')::text AS publish,
       pg_size_bytes(current_setting('max_slot_wal_keep_size'))::text AS kept
  FROM pg_roles AS r WHERE r.rolname = current_user`;

const bool = z.enum(["true", "false"]).transform((value) => value === "true");
const FactsRow = z.object({
  level: z.string(),
  used: z.coerce.number(),
  most: z.coerce.number(),
  replicate: bool,
  publish: bool,
  kept: z.coerce.number(),
});

/** Reads settings and rights alone. */
export async function readWalFacts(session: Session): Promise<WalFacts> {
  const found = await session.one(FactsRow, FACTS);
  return {
    level: found.level,
    slots: { used: found.used, most: found.most },
    mayReplicate: found.replicate,
    mayPublish: found.publish,
    keptBytes: found.kept < 0 ? null : found.kept,
  };
}
