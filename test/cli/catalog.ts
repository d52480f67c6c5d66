/** A database in words, as pg_dump would tell it, for servers that no pg_dump here is new enough for. */
import { z } from "zod";
import type { Session } from "../../src/pg/session.js";

const OURS = "!~ '^pg_|^information_schema$'";

/** One line an object, property and right; OIDs, file nodes and values of sequences left out. */
const SQL = /*sql*/ `
WITH n AS (SELECT * FROM pg_namespace WHERE nspname ${OURS}),
c AS (SELECT c.* , n.nspname FROM pg_class c JOIN n ON n.oid = c.relnamespace)
SELECT format('schema %s %s %s', nspname, nspowner::regrole, nspacl) AS line FROM n
UNION ALL SELECT format('relation %s.%s %s owner %s acl %s options %s persistence %s identity %s rls %s %s partition %s %s tablespace %s',
  nspname, relname, relkind, relowner::regrole, relacl, reloptions, relpersistence, relreplident, relrowsecurity,
  relforcerowsecurity, relispartition, pg_get_expr(relpartbound, c.oid), reltablespace) FROM c
UNION ALL SELECT format('column %s.%s %s %s %s null %s default %s identity %s generated %s storage %s acl %s options %s dropped %s local %s inherited %s',
  nspname, relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity,
  attgenerated, attstorage, attacl, attoptions, attisdropped, attislocal, attinhcount)
  FROM c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE attnum > 0
UNION ALL SELECT format('constraint %s.%s %s %s %s', nspname, relname, conname, convalidated, pg_get_constraintdef(k.oid))
  FROM pg_constraint k JOIN c ON c.oid = k.conrelid
UNION ALL SELECT format('index %s %s %s %s', pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident)
  FROM pg_index i JOIN c ON c.oid = i.indexrelid
UNION ALL SELECT format('trigger %s %s', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t JOIN c ON c.oid = t.tgrelid WHERE NOT tgisinternal
UNION ALL SELECT format('rule %s', pg_get_ruledef(r.oid)) FROM pg_rewrite r JOIN c ON c.oid = r.ev_class
UNION ALL SELECT format('policy %s.%s %s %s %s', nspname, relname, polname, pg_get_expr(polqual, polrelid), polroles::text) FROM pg_policy p JOIN c ON c.oid = p.polrelid
UNION ALL SELECT format('function %s %s', pg_get_functiondef(p.oid), proacl) FROM pg_proc p JOIN n ON n.oid = p.pronamespace WHERE prokind IN ('f', 'p')
UNION ALL SELECT format('sequence %s %s %s %s %s %s %s', schemaname, sequencename, data_type, start_value, increment_by, max_value, cycle) FROM pg_sequences
UNION ALL SELECT format('depends %s %s %s', pg_describe_object(classid, objid, objsubid), pg_describe_object(refclassid, refobjid, refobjsubid), deptype)
  FROM pg_depend WHERE deptype = 'a' AND classid = 'pg_class'::regclass AND objid IN (SELECT oid FROM c)
UNION ALL SELECT format('comment %s %s', pg_describe_object(classoid, objoid, objsubid), description) FROM pg_description WHERE objoid IN (SELECT oid FROM c UNION SELECT oid FROM n)
UNION ALL SELECT format('type %s.%s %s', n.nspname, typname, typtype) FROM pg_type t JOIN n ON n.oid = t.typnamespace
UNION ALL SELECT format('publication %s %s', pubname, puballtables) FROM pg_publication
UNION ALL SELECT format('event trigger %s %s', evtname, evtenabled) FROM pg_event_trigger
UNION ALL SELECT format('statistics %s', pg_get_statisticsobjdef(s.oid)) FROM pg_statistic_ext s
UNION ALL SELECT format('default rights %s %s %s', defaclrole::regrole, defaclobjtype, defaclacl) FROM pg_default_acl
ORDER BY 1`;

/** Every definition in the database that is not the system's. */
export async function definitionOf(session: Session): Promise<string[]> {
  const rows = await session.rows(z.object({ line: z.string() }), SQL);
  return rows.map((row) => row.line);
}

/** Rows and content of public.orders as one line. */
export async function contentOf(session: Session): Promise<string> {
  const { content } = await session.one(
    z.object({ content: z.string() }),
    "SELECT format('%s rows, hash %s', count(*), sum(hashtextextended(t::text, 0))) AS content FROM public.orders t",
  );
  return content;
}
