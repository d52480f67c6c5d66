/**
 * What a table is, as the application and its operator see it, read with SQL of the tests' own: none of it comes from
 * the code under test.
 */
import { z } from "zod";
import type { Session } from "../../src/pg/session.js";

const Lines = z.object({ line: z.string() });

/** One column of text named `line`. */
export async function lines(session: Session, sql: string, params: string[] = []): Promise<string[]> {
  return (await session.rows(Lines, sql, params)).map((row) => row.line);
}

export interface Shape {
  columns: string[];
  checks: string[];
  rights: string[];
  sequences: string[];
  comments: string[];
  /** name -> definition without name and table, comment, constraint. */
  indexes: Record<string, string>;
  options: string[];
  triggers: string[];
}

/** Live columns in order, with everything that can be set on one; NOT NULL by the name of its constraint (18). */
const COLUMNS = /*sql*/ `
  SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), 'coll', a.attcollation,
           CASE WHEN a.attnotnull THEN 'not null ' || coalesce(n.conname, '') END,
           'identity', a.attidentity, 'generated', a.attgenerated, 'storage', a.attstorage, a.attcompression,
           pg_get_expr(d.adbin, d.adrelid), 'statistics', nullif(a.attstattarget, -1),
           'comment', col_description(a.attrelid, a.attnum)) AS line
    FROM pg_attribute a
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_constraint n ON n.conrelid = a.attrelid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum]
   WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

const CHECKS = /*sql*/ `
  SELECT concat_ws(' ', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')) AS line
    FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c' ORDER BY 1`;

/** Owner, table rights, column rights; the owner's implicit ones written out. */
const RIGHTS = /*sql*/ `
  SELECT concat_ws(' ', coalesce(r.rolname, 'PUBLIC'), acl.privilege_type, acl.is_grantable) AS line
    FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) acl
    LEFT JOIN pg_roles r ON r.oid = acl.grantee WHERE c.oid = $1::regclass
  UNION ALL
  SELECT concat_ws(' ', 'column', a.attname, coalesce(r.rolname, 'PUBLIC'), acl.privilege_type, acl.is_grantable)
    FROM pg_attribute a, aclexplode(a.attacl) acl
    LEFT JOIN pg_roles r ON r.oid = acl.grantee WHERE a.attrelid = $1::regclass
  UNION ALL SELECT 'owner ' || pg_get_userbyid(relowner) FROM pg_class WHERE oid = $1::regclass
   ORDER BY 1`;

/** Sequences of the table's columns: name, options, owner, rights, comment; not the position. */
const SEQUENCES = /*sql*/ `
  SELECT concat_ws(' ', s.relname, d.deptype, a.attname, pg_get_userbyid(s.relowner), q.seqstart, q.seqincrement,
           q.seqmin, q.seqmax, q.seqcache, q.seqcycle, obj_description(s.oid, 'pg_class'),
           (SELECT string_agg(concat_ws(' ', coalesce(r.rolname, 'PUBLIC'), acl.privilege_type, acl.is_grantable), ', '
                              ORDER BY r.rolname, acl.privilege_type)
              FROM aclexplode(coalesce(s.relacl, acldefault('s', s.relowner))) acl
              LEFT JOIN pg_roles r ON r.oid = acl.grantee)) AS line
    FROM pg_depend d
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::regclass
     AND d.deptype IN ('a', 'i') ORDER BY 1`;

/** The table's own comment, and those of constraints that are not CHECKs. */
const COMMENTS = /*sql*/ `
  SELECT 'table ' || obj_description($1::regclass, 'pg_class') AS line
   WHERE obj_description($1::regclass, 'pg_class') IS NOT NULL
  UNION ALL
  SELECT concat_ws(' ', 'constraint', conname, obj_description(oid, 'pg_constraint'))
    FROM pg_constraint WHERE conrelid = $1::regclass AND contype <> 'c'
     AND obj_description(oid, 'pg_constraint') IS NOT NULL
   ORDER BY 1`;

const INDEXES = /*sql*/ `
  SELECT ix.relname AS name,
         concat_ws(' ', CASE WHEN i.indisunique THEN 'unique' END,
           substr(pg_get_indexdef(i.indexrelid), strpos(pg_get_indexdef(i.indexrelid), ' USING ') + 1),
           'constraint', k.contype, k.conname, 'valid', i.indisvalid AND i.indisready,
           'comment', obj_description(i.indexrelid, 'pg_class')) AS line
    FROM pg_index i JOIN pg_class ix ON ix.oid = i.indexrelid
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
   WHERE i.indrelid = $1::regclass ORDER BY 1`;

const OPTIONS = /*sql*/ `
  SELECT unnest(c.reloptions) AS line FROM pg_class c WHERE c.oid = $1::regclass
  UNION ALL
  SELECT 'toast.' || unnest(t.reloptions) FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid
   WHERE c.oid = $1::regclass ORDER BY 1`;

/** The shape of `table` (quoted, qualified). */
export async function shapeOf(session: Session, table: string): Promise<Shape> {
  const read = (sql: string) => lines(session, sql, [table]);
  const found = await session.rows(z.object({ name: z.string(), line: z.string() }), INDEXES, [table]);
  return {
    columns: await read(COLUMNS),
    checks: await read(CHECKS),
    rights: await read(RIGHTS),
    sequences: await read(SEQUENCES),
    comments: await read(COMMENTS),
    indexes: Object.fromEntries(found.map(({ name, line }) => [name, line])),
    options: await read(OPTIONS),
    triggers: await read(
      "SELECT pg_get_triggerdef(oid) AS line FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal ORDER BY 1",
    ),
  };
}

/** Every row's text, every column spelled out: 1.0 and 1.00, 0 and -0 differ. */
export async function rowText(session: Session, table: string, alias = "t"): Promise<string> {
  const columns = await lines(
    session,
    `SELECT quote_ident(attname) AS line FROM pg_attribute
      WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [table],
  );
  return `ROW(${columns.map((column) => `${alias}.${column}`).join(", ")})::text`;
}

export interface LeafShape {
  name: string;
  bound: string;
  /** Those of its TOAST table with `toast.` in front. */
  options: string[];
  owner: string;
  /** Grants to others than the owner. */
  grants: string[];
}

/** The leaves in the order of their creation. */
export async function leavesOf(session: Session, table: string): Promise<LeafShape[]> {
  const Leaf = z.object({
    name: z.string(),
    bound: z.string(),
    options: z.string(),
    owner: z.string(),
    grants: z.string(),
  });
  const rows = await session.rows(
    Leaf,
    /*sql*/ `
    SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound, pg_get_userbyid(c.relowner) AS owner,
           to_json(ARRAY(SELECT unnest(c.reloptions) UNION ALL
                         SELECT 'toast.' || unnest(t.reloptions) FROM pg_class t WHERE t.oid = c.reltoastrelid
                          ORDER BY 1))::text AS options,
           to_json(ARRAY(SELECT concat_ws(' ', r.rolname, acl.privilege_type)
                           FROM aclexplode(c.relacl) acl LEFT JOIN pg_roles r ON r.oid = acl.grantee
                          WHERE acl.grantee <> c.relowner ORDER BY 1))::text AS grants
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass ORDER BY c.oid`,
    [table],
  );
  const texts = (json: string) => z.array(z.string()).parse(JSON.parse(json));
  return rows.map((row) => ({ ...row, options: texts(row.options), grants: texts(row.grants) }));
}

/** For each of the parent's indexes how many leaves have a valid, attached one; and the leaves' indexes beyond those. */
export async function indexCover(
  session: Session,
  table: string,
): Promise<{ short: string[]; extra: string[] }> {
  const leaf = `SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::regclass`;
  return {
    short: await lines(
      session,
      /*sql*/ `
      SELECT format('%s on %s: %s', p.indexrelid::regclass, l.inhrelid::regclass, count(i.indexrelid)) AS line
        FROM pg_index p CROSS JOIN (${leaf}) l
        LEFT JOIN (pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid AND i.indisvalid AND i.indisready)
          ON h.inhparent = p.indexrelid AND i.indrelid = l.inhrelid
       WHERE p.indrelid = $1::regclass GROUP BY p.indexrelid, l.inhrelid HAVING count(i.indexrelid) <> 1`,
      [table],
    ),
    extra: await lines(
      session,
      /*sql*/ `
      SELECT i.indexrelid::regclass::text AS line FROM pg_index i
       WHERE i.indrelid IN (${leaf}) AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)`,
      [table],
    ),
  };
}

/** What Partway has in the database, whatever it is called for: schema, functions, triggers. */
export function traces(session: Session): Promise<string[]> {
  return lines(
    session,
    /*sql*/ `
    SELECT 'schema ' || nspname AS line FROM pg_namespace WHERE nspname ILIKE '%partway%'
    UNION ALL SELECT 'relation ' || oid::regclass FROM pg_class WHERE relname ILIKE '%partway%' OR relname LIKE '%retired%'
    UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE proname ILIKE '%partway%' OR proname ~ '^(fwd|rev)_'
    UNION ALL SELECT format('trigger %s on %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE tgname ILIKE '%partway%'
     ORDER BY 1`,
  );
}
