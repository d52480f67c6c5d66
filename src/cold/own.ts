/** What a leaf has and its table has not: it goes with the leaf, and does not come back. */
import { z } from "zod";
import type { Session } from "../pg/session.js";

export const OWN_SQL = {
  look: /*sql*/ `
SELECT what FROM (
  SELECT 'the trigger ' || t.tgname AS what FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgparentid = 0
  UNION ALL SELECT 'its place in the publication ' || p.pubname
    FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = $1::oid
  UNION ALL SELECT 'the policy ' || p.polname FROM pg_policy p WHERE p.polrelid = $1::oid
  UNION ALL SELECT 'the statistics ' || s.stxname FROM pg_statistic_ext s WHERE s.stxrelid = $1::oid
  UNION ALL SELECT 'the constraint ' || k.conname
    FROM pg_constraint k WHERE k.conrelid = $1::oid AND k.contype = 'c' AND k.coninhcount = 0
  UNION ALL SELECT 'the index ' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
   WHERE i.indrelid = $1::oid AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)) AS own
 ORDER BY what`,
} as const;

const Own = z.object({ what: z.string() });

/** A note where there is anything; none else. */
export async function ownNote(session: Session, leaf: { oid: string; name: string }): Promise<string[]> {
  const own = (await session.rows(Own, OWN_SQL.look, [leaf.oid])).map(({ what }) => what);
  return own.length === 0
    ? []
    : [
        `${leaf.name} has of its own, and partway warm does not bring it back (an index stays on the copy): ${own.join(", ")}`,
      ];
}
