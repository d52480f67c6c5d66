/** Who may do what with the table: table grants, column grants, and what default privileges would add. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { jsonRows } from "./json.js";
import type { GrantInfo } from "./types.js";

export const grantInfo = z.object({
  grantee: z.string().nullable(),
  grantor: z.string(),
  privilege: z.string(),
  grantable: z.boolean(),
  column: z.string().nullable(),
});

/** The entries of an aclitem[] in their stored order, which lets a grant option come before what was granted with it. */
const entries = (acl: string, column: string) => /*sql*/ `
  SELECT CASE WHEN acl.grantee = 0 THEN NULL ELSE pg_get_userbyid(acl.grantee) END AS grantee,
         pg_get_userbyid(acl.grantor) AS grantor,
         acl.privilege_type AS privilege,
         acl.is_grantable AS grantable,
         ${column} AS "column"
    FROM ${acl}`;

const RELATION_GRANTS = /*sql*/ `${entries(
  "pg_class c, LATERAL aclexplode(c.relacl) WITH ORDINALITY AS acl(grantor, grantee, privilege_type, is_grantable, at)",
  "NULL::text",
)}
   WHERE c.oid = $1::oid
   ORDER BY acl.at`;

const COLUMN_GRANTS = /*sql*/ `${entries(
  "pg_attribute a, LATERAL aclexplode(a.attacl) WITH ORDINALITY AS acl(grantor, grantee, privilege_type, is_grantable, at)",
  "a.attname::text",
)}
   WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
   ORDER BY a.attnum, acl.at`;

/**
 * New tables are made by the connected role, so its default privileges count; the owner's as well, in case a phase
 * works as the owner. A role's own entry is not a grant.
 */
const DEFAULT_GRANTEES = /*sql*/ `
  SELECT DISTINCT CASE WHEN acl.grantee = 0 THEN NULL ELSE pg_get_userbyid(acl.grantee) END AS grantee
    FROM pg_class c
    JOIN pg_default_acl d ON d.defaclobjtype = $2
     AND d.defaclnamespace IN (0, coalesce((SELECT n.oid FROM pg_namespace n WHERE n.nspname = $3), c.relnamespace))
     AND d.defaclrole IN (c.relowner, (SELECT oid FROM pg_roles WHERE rolname = current_user))
   CROSS JOIN LATERAL aclexplode(d.defaclacl) AS acl
   WHERE c.oid = $1::oid AND acl.grantee NOT IN (d.defaclrole, c.relowner)
   ORDER BY grantee`;

/** Grants on a relation (table or sequence), in ACL order; an empty list when it has none or only implicit rights. */
export async function readRelationGrants(session: Session, oid: string): Promise<GrantInfo[]> {
  return jsonRows(session, grantInfo, RELATION_GRANTS, [oid]);
}

/** Column grants in column order. */
export async function readColumnGrants(session: Session, oid: string): Promise<GrantInfo[]> {
  return jsonRows(session, grantInfo, COLUMN_GRANTS, [oid]);
}

/** Roles (null = PUBLIC) that ALTER DEFAULT PRIVILEGES gives rights on new objects in this table's schema, or in `schema`. */
export async function readDefaultGrantees(
  session: Session,
  oid: string,
  on: "tables" | "sequences" = "tables",
  schema: string | null = null,
): Promise<(string | null)[]> {
  const kind = on === "tables" ? "r" : "S";
  const Grantee = z.object({ grantee: z.string().nullable() });
  const rows = await jsonRows(session, Grantee, DEFAULT_GRANTEES, [oid, kind, schema]);
  return rows.map((row) => row.grantee);
}
