/** Everything that stands on a table or reads it, as text, asked of the catalog without Partway's own reader. */
import type { Session } from "../../src/pg/session.js";
import { lines } from "./shape.js";

const OWN = /*sql*/ `$1::regclass`;

const FACTS = /*sql*/ `
  SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid)) AS line
    FROM pg_trigger t WHERE t.tgrelid = ${OWN} AND NOT t.tgisinternal AND t.tgname NOT LIKE 'partway\\_%'
  UNION ALL
  SELECT concat_ws(' ', 'foreign key', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid), obj_description(k.oid))
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
   WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT c.relispartition AND (k.conrelid = ${OWN} OR k.confrelid = ${OWN})
  UNION ALL
  SELECT concat_ws(' ', 'policy', p.polrelid::regclass, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[],
           pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid)) FROM pg_policy p
   WHERE p.polrelid::regclass::text !~ '_(retired|failed)"?$'
  UNION ALL
  SELECT concat_ws(' ', 'row security', relrowsecurity, relforcerowsecurity, relreplident) FROM pg_class WHERE oid = ${OWN}
  UNION ALL
  SELECT concat_ws(' ', 'view', c.oid, c.oid::regclass, pg_get_viewdef(c.oid), c.reloptions, c.relacl, obj_description(c.oid),
           pg_get_userbyid(c.relowner)) FROM pg_class c
   WHERE c.relkind = 'v' AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  UNION ALL
  SELECT concat_ws(' ', 'function', p.oid, pg_get_functiondef(p.oid), p.proacl, obj_description(p.oid))
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'published', to_jsonb(p)) FROM pg_publication_tables p
  UNION ALL
  SELECT concat_ws(' ', 'statistics', pg_get_statisticsobjdef(s.oid), nullif(s.stxstattarget, -1), obj_description(s.oid))
    FROM pg_statistic_ext s WHERE s.stxrelid = ${OWN}
  ORDER BY 1`;

/** One line a fact, sorted. `table` is quoted and qualified. */
export function attachments(session: Session, table: string): Promise<string[]> {
  return lines(session, FACTS, [table]);
}
