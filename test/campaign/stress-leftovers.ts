/** What is in a database that held only the writers' table, and should not be there any more. */
import type { AppConnection } from "../../src/demo/application.js";
import type { Ending } from "./stress-choice.js";

/** `keep` is the array of tables that may stay; sequences that belong to one of them may too. */
const LEFT_SQL = /*sql*/ `
WITH kept AS (SELECT oid FROM pg_class WHERE relname = ANY ($1::text[]) AND relnamespace = 'public'::regnamespace),
     all_kept AS (SELECT oid FROM kept UNION SELECT inhrelid FROM pg_inherits WHERE inhparent IN (SELECT oid FROM kept))
SELECT 'schema ' || nspname AS leaf FROM pg_namespace WHERE nspname ILIKE '%partway%'
UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
UNION ALL SELECT 'publication ' || pubname FROM pg_publication
UNION ALL SELECT format('trigger %s on %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname !~ '^pg_|^information_schema$'
UNION ALL SELECT format('relation %s (%s)', c.oid::regclass, c.relkind) FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname !~ '^pg_|^information_schema$' AND c.relkind NOT IN ('i', 'I')
             AND c.oid NOT IN (SELECT oid FROM all_kept)
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND c.relkind = 'S'
                              AND d.refobjid IN (SELECT oid FROM all_kept) AND d.deptype IN ('a', 'i'))
UNION ALL SELECT format('index %s of another table''s name: %s', i.indexrelid::regclass, x.relname)
           FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
           WHERE x.relname ~ 'partitioned|retired' AND i.indrelid = 'public.items'::regclass`;

/** Lines that name what is left; the table's kind and the failed table (with its leaves) are asked for too. */
export async function leftovers(db: AppConnection, endings: readonly Ending[]): Promise<string[]> {
  const failed = endings.includes("rollback");
  const keep = ["items", "items_gen", ...(failed ? ["items_partitioned_failed"] : [])];
  const { rows } = await db.query("left", LEFT_SQL, [keep]);
  const kinds = await db.query(
    "kinds",
    `SELECT (SELECT relkind::text FROM pg_class WHERE oid = 'public.items'::regclass) AS key,
            (SELECT count(*)::text FROM pg_inherits WHERE inhparent = to_regclass('public.items_partitioned_failed')) AS n`,
  );
  const { key: kind, n: leaves } = kinds.rows[0] ?? {};
  const wanted = endings.at(-1) === "finalize" ? "p" : "r";
  return [
    ...rows.map((row) => row.leaf ?? ""),
    ...(kind === wanted ? [] : [`items is of kind ${kind}, not ${wanted}`]),
    ...(failed && Number(leaves) === 0 ? ["the failed table has no leaves"] : []),
  ];
}
