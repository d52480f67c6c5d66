/** The live side's definition as a list of facts, and the difference of two such lists (DESIGN 3.9). */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import type { Fingerprint } from "../plan/types.js";
import { dependentsSql, NOT_OURS, PUBLICATION_NOT_OURS } from "./dependents.js";
import { INDEX_TAIL } from "./indexes.js";

/** True of an object that pg_depend says reads the table. */
const reads = (catalog: string, oid: string) => /*sql*/ `${oid} IN (SELECT d.objid FROM pg_depend d
     WHERE d.classid = '${catalog}'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid)`;

/**
 * One fact a row. Triggers, rules and policies carry their row's xmin: it changes with every ALTER or CREATE OR
 * REPLACE, so DISABLE followed by ENABLE shows although the state is the same again; renaming the table or freezing
 * does not change it. Columns carry their number: DROP then ADD of the same column shows. An absent ACL is written
 * out as what it stands for, so a GRANT that changes nothing is no difference. $1 = oid.
 */
const FACTS = /*sql*/ `
  SELECT concat_ws(' ', 'column', a.attnum, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
           CASE WHEN a.attcollation <> ty.typcollation THEN 'collate ' || a.attcollation::regcollation END,
           CASE WHEN a.attnotnull THEN 'not null' END,
           CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
           CASE a.attgenerated WHEN 's' THEN 'generated stored' WHEN 'v' THEN 'generated virtual' END,
           'default ' || pg_get_expr(def.adbin, def.adrelid)) AS line
    FROM pg_attribute a
    JOIN pg_type ty ON ty.oid = a.atttypid
    LEFT JOIN pg_attrdef def ON def.adrelid = a.attrelid AND def.adnum = a.attnum
   WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT concat_ws(' ', 'constraint', quote_ident(k.conname), pg_get_constraintdef(k.oid))
    FROM pg_constraint k WHERE k.conrelid = $1::oid AND k.contype <> 't'
  UNION ALL
  SELECT concat_ws(' ', CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END, quote_ident(ix.relname)) ||
         ${INDEX_TAIL} || CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN '' ELSE ' (invalid)' END
    FROM pg_index i
    JOIN pg_class ix ON ix.oid = i.indexrelid
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE i.indrelid = $1::oid
  UNION ALL
  SELECT format('trigger %s (%s, xmin %s)', pg_get_triggerdef(t.oid),
           CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled replica' WHEN 'A' THEN 'enabled always'
                ELSE 'enabled' END, t.xmin)
    FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND ${NOT_OURS}
  UNION ALL
  SELECT format('rule %I (%s, xmin %s)', r.rulename,
           CASE r.ev_enabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled replica' WHEN 'A' THEN 'enabled always'
                ELSE 'enabled' END, r.xmin)
    FROM pg_rewrite r WHERE r.ev_class = $1::oid
  UNION ALL
  SELECT format('policy %I (xmin %s)', p.polname, p.xmin) FROM pg_policy p WHERE p.polrelid = $1::oid
  UNION ALL
  SELECT unnest(ARRAY[
           'owner ' || quote_ident(pg_get_userbyid(c.relowner)),
           'row security ' || CASE WHEN c.relforcerowsecurity THEN 'forced' WHEN c.relrowsecurity THEN 'on' ELSE 'off' END,
           'replica identity ' || c.relreplident::text,
           'persistence ' || c.relpersistence::text,
           'partition key ' || CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE 'none' END])
    FROM pg_class c WHERE c.oid = $1::oid
  UNION ALL
  SELECT format('grant %s to %s by %I%s', acl.privilege_type,
           CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
           pg_get_userbyid(acl.grantor), CASE WHEN acl.is_grantable THEN ' with grant option' ELSE '' END)
    FROM pg_class c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS acl
   WHERE c.oid = $1::oid
  UNION ALL
  SELECT format('grant %s (%I) to %s by %I%s', acl.privilege_type, a.attname,
           CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
           pg_get_userbyid(acl.grantor), CASE WHEN acl.is_grantable THEN ' with grant option' ELSE '' END)
    FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
   WHERE a.attrelid = $1::oid AND NOT a.attisdropped
  UNION ALL
  SELECT format('leaf %I.%I %s', n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)) AND c.oid <> $1::oid
  UNION ALL
  SELECT format('definition of %s %s', c.oid::regclass, md5(concat(pg_get_viewdef(c.oid), c.reloptions)))
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
   WHERE r.rulename = '_RETURN' AND ${reads("pg_rewrite", "r.oid")}
  UNION ALL
  SELECT format('definition of %s %s', p.oid::regprocedure, md5(pg_get_functiondef(p.oid)))
    FROM pg_proc p WHERE p.prokind IN ('f', 'p') AND ${reads("pg_proc", "p.oid")}
  UNION ALL
  SELECT format('definition of policy %I on %s %s', p.polname, p.polrelid::regclass,
           md5(concat(pg_get_expr(p.polqual, p.polrelid), '/', pg_get_expr(p.polwithcheck, p.polrelid))))
    FROM pg_policy p WHERE p.polrelid <> $1::oid AND ${reads("pg_policy", "p.oid")}
  UNION ALL
  SELECT format('publication %I via root %s %s', p.pubname, p.pubviaroot, to_jsonb(r) - 'oid' - 'prpubid' - 'prrelid' - 'prqual')
    FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = $1::oid AND ${PUBLICATION_NOT_OURS}`;

/**
 * What hangs on the table but is not written on it. Left out: kinds FACTS lists, and defaults elsewhere that use the
 * table's sequence, because Partway's own shadow has one.
 */
const hanging = (serverVersion: number) => /*sql*/ `
  SELECT format('%s %s: %s', d.kind, d.name, d.detail)
    FROM (${dependentsSql(serverVersion)}) AS d
   WHERE d.kind NOT IN ('outgoing-foreign-key', 'exclusion-constraint')
     AND NOT (d.kind IN ('trigger', 'rule', 'policy') AND EXISTS (
           SELECT FROM pg_trigger t WHERE d.kind = 'trigger' AND t.tgrelid = $1::oid AND t.tgname = d.name
           UNION ALL
           SELECT FROM pg_rewrite r WHERE d.kind = 'rule' AND r.ev_class = $1::oid AND r.rulename = d.name
           UNION ALL
           SELECT FROM pg_policy p WHERE d.kind = 'policy' AND p.polrelid = $1::oid AND p.polname = d.name))
     AND NOT (d.kind = 'other' AND starts_with(d.name, 'default value '))`;

const SELF = /*sql*/ `
  SELECT current_setting('server_version_num') AS version, format('%I.%I', n.nspname, c.relname) AS qualified,
         quote_ident(c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = $1::oid`;

/**
 * The definition of relation `oid`, one line a fact, sorted. Two fingerprints are equal exactly when nothing that
 * matters was changed in between; the table's own name, its statistics and its filenode are no part of it (but a view
 * that reads it is told by its text, which names it: compare those only under one name). One
 * relation that does not exist has no lines. Prepared: planning takes four fifths of its time, and a cutover, which has
 * generic plans, asks for it before the lock and then inside it.
 */
export async function fingerprint(session: Session, oid: string): Promise<Fingerprint> {
  const self = await session.maybe(
    z.object({ version: z.coerce.number(), qualified: z.string(), name: z.string() }),
    SELF,
    [oid],
  );
  if (self === null) return { lines: [] };
  const rows = await session.rows(
    z.object({ line: z.string() }),
    `${FACTS} UNION ALL ${hanging(self.version)}`,
    [oid],
    "fingerprint",
  );
  return { lines: rows.map(({ line }) => withoutName(line, self.qualified, self.name)).sort() };
}

/** The line with `<table>` for the table's own name, qualified or as the row `orders.*`. Names are as quoted by SQL. */
export function withoutName(line: string, qualifiedName: string, name: string): string {
  const whole = (text: string, after: string) =>
    new RegExp(`(?<![\\p{L}\\p{N}_$".])${text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")}${after}`, "gu");
  return line
    .replace(whole(qualifiedName, '(?![\\p{L}\\p{N}_$"])'), "<table>")
    .replace(whole(`${name}.*`, ""), "<table>.*");
}

/**
 * What changed from `before` to `after`: `- fact` when it is gone, `+ fact` when it is new; a changed fact is both.
 * Sorted by fact, so the two stand together. Empty when they are equal.
 */
export function diffFingerprints(before: Fingerprint, after: Fingerprint): string[] {
  const counts = new Map<string, number>();
  for (const line of after.lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const line of before.lines) counts.set(line, (counts.get(line) ?? 0) - 1);
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([line, count]) =>
      Array.from({ length: Math.abs(count) }, () => `${count < 0 ? "-" : "+"} ${line}`),
    );
}
