/** The columns of a relation and what matters about their types for copying, comparing and hashing. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { jsonRows } from "./json.js";
import type { ColumnInfo } from "./types.js";

const columnRow = z.object({
  attnum: z.number().int(),
  name: z.string(),
  type: z.string(),
  baseType: z.string(),
  typeKind: z.string(),
  typeCategory: z.string(),
  sendFunction: z.string().nullable(),
  deterministic: z.boolean(),
  hasBtree: z.boolean(),
  hasHash: z.boolean(),
  notNull: z.boolean(),
  notNullName: z.string().nullable(),
  default: z.string().nullable(),
  identity: z.enum(["always", "by default"]).nullable(),
  generated: z.enum(["stored", "virtual"]).nullable(),
  collation: z.string().nullable(),
  statistics: z.number().int().nullable(),
  options: z.array(z.string()),
  storage: z.enum(["plain", "external", "main", "extended"]).nullable(),
  compression: z.enum(["pglz", "lz4"]).nullable(),
  comment: z.string().nullable(),
});

/**
 * Types whose equal values always have the same bytes (DESIGN 3.5). Text and varchar only under a deterministic
 * collation; enums are added by their kind. Whatever is not here is compared by its send function.
 */
const IDENTICAL_WHEN_EQUAL = new Set(
  [
    ...["bool", "int2", "int4", "int8", "oid", "char", "name", "text", "varchar", "bytea", "uuid", "money"],
    ...["date", "time", "timetz", "timestamp", "timestamptz"],
    ...["inet", "cidr", "macaddr", "macaddr8", "bit", "varbit"],
  ].map((name) => `pg_catalog.${name}`),
);

/** The extended hash function (support function 2) that hash_record_extended calls. */
const EXTENDED_HASH = /*sql*/ `AND EXISTS (
  SELECT FROM pg_amproc ap
   WHERE ap.amprocfamily = oc.opcfamily AND ap.amproclefttype = oc.opcintype AND ap.amprocrighttype = oc.opcintype
     AND ap.amprocnum = 2)`;

/** Has scalar type `s` a default operator class, its own or by binary coercion (the rule of GetDefaultOpClass)? */
const opclassFor = (method: "btree" | "hash") => /*sql*/ `EXISTS (
  SELECT FROM pg_opclass oc
    JOIN pg_am am ON am.oid = oc.opcmethod AND am.amname = '${method}'
   WHERE oc.opcdefault
     AND (oc.opcintype = s.oid
          OR (s.typtype = 'e' AND oc.opcintype = 'anyenum'::regtype)
          OR EXISTS (SELECT FROM pg_cast ca WHERE ca.castsource = s.oid AND ca.casttarget = oc.opcintype
                        AND ca.castmethod = 'b' AND ca.castcontext = 'i'))
     ${method === "hash" ? EXTENDED_HASH : ""})`;

/**
 * `domains` walks each column's type down to its base type; `parts` walks on into arrays, ranges and composites,
 * because their operator classes fail at run time when an element has none (json[] has one on paper only).
 * A domain over a range has no hash function inside a record, and enum_send takes no domain (tried on 15 and 18).
 * attstattarget is -1 before PostgreSQL 17 and NULL since when unset. A NOT NULL constraint can be NOT VALID since 18:
 * then the column may hold NULLs and is not reported as notNull.
 */
const COLUMNS = /*sql*/ `
  WITH RECURSIVE cols AS (
    SELECT * FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped
  ), domains AS (
    SELECT c.attnum, c.atttypid AS typid FROM cols c
    UNION ALL
    SELECT d.attnum, t.typbasetype FROM domains d JOIN pg_type t ON t.oid = d.typid WHERE t.typtype = 'd'
  ), parts AS (
    SELECT d.attnum, d.typid FROM domains d
    UNION
    SELECT p.attnum, inner_type.typid
      FROM parts p
      JOIN pg_type t ON t.oid = p.typid
     CROSS JOIN LATERAL (
       SELECT t.typbasetype AS typid WHERE t.typtype = 'd'
       UNION ALL
       SELECT t.typelem WHERE t.typelem <> 0 AND t.typsubscript = 'array_subscript_handler'::regproc
       UNION ALL
       SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid OR r.rngmultitypid = t.oid
       UNION ALL
       SELECT f.atttypid FROM pg_attribute f
        WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped
     ) AS inner_type
  ), scalars AS (
    SELECT p.attnum, bool_and(${opclassFor("btree")}) AS has_btree, bool_and(${opclassFor("hash")}) AS has_hash
      FROM parts p
      JOIN pg_type s ON s.oid = p.typid
     WHERE s.typtype IN ('b', 'e')
       AND NOT (s.typelem <> 0 AND s.typsubscript = 'array_subscript_handler'::regproc)
     GROUP BY p.attnum
  ), unhashable AS (
    SELECT DISTINCT p.attnum
      FROM parts p
      JOIN pg_type s ON s.oid = p.typid AND s.typtype = 'd'
      JOIN pg_type over ON over.oid = s.typbasetype AND over.typtype IN ('r', 'm')
  )
  SELECT a.attnum,
         a.attname AS name,
         format_type(a.atttypid, a.atttypmod) AS type,
         bn.nspname || '.' || b.typname AS "baseType",
         b.typtype AS "typeKind",
         b.typcategory AS "typeCategory",
         CASE WHEN b.typsend <> 0 AND NOT (t.typtype = 'd' AND b.typtype = 'e') THEN format('%I.%I', sn.nspname, sf.proname) END AS "sendFunction",
         coalesce(co.collisdeterministic, true) AS deterministic,
         coalesce(sc.has_btree, true) AS "hasBtree",
         coalesce(sc.has_hash, true) AND NOT EXISTS (SELECT FROM unhashable u WHERE u.attnum = a.attnum) AS "hasHash",
         a.attnotnull AND coalesce(nn.convalidated, true) AS "notNull",
         nn.conname AS "notNullName",
         pg_get_expr(def.adbin, def.adrelid) AS "default",
         CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END AS identity,
         CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END AS generated,
         CASE WHEN a.attcollation <> t.typcollation THEN format('%I.%I', cn.nspname, co.collname) END AS collation,
         nullif(a.attstattarget, -1) AS statistics,
         ARRAY(SELECT o FROM unnest(a.attoptions) AS o WHERE starts_with(o, 'n_distinct')) AS options,
         CASE WHEN a.attstorage <> t.typstorage THEN
           CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END
         END AS storage,
         CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS compression,
         col_description(a.attrelid, a.attnum) AS comment
    FROM cols a
    JOIN pg_type t ON t.oid = a.atttypid
    JOIN domains d ON d.attnum = a.attnum
    JOIN pg_type b ON b.oid = d.typid AND b.typtype <> 'd'
    JOIN pg_namespace bn ON bn.oid = b.typnamespace
    LEFT JOIN pg_proc sf ON sf.oid = b.typsend
    LEFT JOIN pg_namespace sn ON sn.oid = sf.pronamespace
    LEFT JOIN scalars sc ON sc.attnum = a.attnum
    LEFT JOIN pg_attrdef def ON def.adrelid = a.attrelid AND def.adnum = a.attnum
    LEFT JOIN pg_collation co ON co.oid = a.attcollation
    LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
    LEFT JOIN pg_constraint nn ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum]
   ORDER BY a.attnum`;

/** The live columns of relation `oid` in order; dropped ones are left out. */
export async function readColumns(session: Session, oid: string): Promise<ColumnInfo[]> {
  const rows = await jsonRows(session, columnRow, COLUMNS, [oid]);
  return rows.map(({ deterministic, notNullName, storage, compression, ...column }) => ({
    ...column,
    equalIsIdentical: column.typeKind === "e" || (deterministic && IDENTICAL_WHEN_EQUAL.has(column.baseType)),
    ...(notNullName === null ? {} : { notNullName }),
    ...(storage === null ? {} : { storage }),
    ...(compression === null ? {} : { compression }),
  }));
}
