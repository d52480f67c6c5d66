/**
 * One row as one number, over every column: identical rows, not merely equal ones, have the same (DESIGN 3.5). Summed
 * over a table it does not depend on the order of the rows. Used by validation and by backups.
 */
import type { ColumnInfo } from "../catalog/types.js";
import { ident } from "../pg/quote.js";

/** Base types whose value is an OID: the name is what it means, and the only thing the same in another database. */
const BY_NAME = new Set(
  [
    ...["regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator"],
    ...["regdatabase", "regproc", "regprocedure", "regrole", "regtype"],
  ].map((name) => `pg_catalog.${name}`),
);

/** An array of these has array_send, which then fails: its elements have no send function. */
const NO_ELEMENT_SEND = new Set(["pg_catalog._aclitem", "pg_catalog._gtsvector"]);

/**
 * The SQL expression (bigint, never null) that hashes the row `alias`. `columns` are all of the table's, generated
 * ones included, in attnum order. https://www.postgresql.org/docs/current/functions-comparisons.html#COMPOSITE-TYPE-COMPARISON
 */
export function rowHash(columns: readonly ColumnInfo[], alias: string): string {
  const values = columns.map((column) => hashable(column, `${ident(alias)}.${ident(column.name)}`));
  return `hash_record_extended(ROW(${values.join(", ")}), 0)`;
}

/** `ref` as a value that has a hash function and of which equal means identical. */
function hashable(column: ColumnInfo, ref: string): string {
  const { baseType, typeKind, typeCategory } = column;
  const builtIn = baseType.startsWith("pg_catalog.");
  // Enums hash by OID, and the send forms of composites and of arrays of own types carry type OIDs: as text they
  // hash the same in every database a backup is restored into. enum_send does not take a domain over an enum.
  const carriesOid = typeKind === "e" || typeKind === "c" || (typeCategory === "A" && !builtIn);
  const element = baseType.replace(/^pg_catalog\._/, "pg_catalog.");
  if (carriesOid || BY_NAME.has(element) || NO_ELEMENT_SEND.has(baseType)) return `${ref}::text`;
  if (column.equalIsIdentical && column.hasHash && builtIn) return ref;
  return column.sendFunction === null ? `${ref}::text` : `${column.sendFunction}(${ref})`;
}
