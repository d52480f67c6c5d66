/** What the connected role may do here, read before anything is made. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { jsonRows } from "./json.js";
import type { RightsInfo } from "./types.js";

const rightsInfo = z.object({
  role: z.string(),
  superuser: z.boolean(),
  ownsTable: z.boolean(),
  createInSchema: z.boolean(),
  createInDatabase: z.boolean(),
  partwaySchema: z.enum(["absent", "usable", "foreign"]),
  selectTable: z.boolean(),
  bypassRowSecurity: z.boolean(),
});

/** 'USAGE' is what ALTER TABLE asks for (has_privs_of_role): membership with inheritance, not SET ROLE alone. */
const RIGHTS = /*sql*/ `
  SELECT current_user::text AS role,
         r.rolsuper AS superuser,
         r.rolbypassrls AS "bypassRowSecurity",
         pg_has_role(current_user, c.relowner, 'USAGE') AS "ownsTable",
         has_schema_privilege(c.relnamespace, 'CREATE') AND has_schema_privilege(c.relnamespace, 'USAGE')
           AS "createInSchema",
         has_database_privilege(current_database(), 'CREATE') AS "createInDatabase",
         CASE WHEN p.oid IS NULL THEN 'absent'
              WHEN has_schema_privilege(p.oid, 'CREATE') AND has_schema_privilege(p.oid, 'USAGE') THEN 'usable'
              ELSE 'foreign' END AS "partwaySchema",
         has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS "selectTable"
    FROM pg_class c
    JOIN pg_roles r ON r.rolname = current_user
    LEFT JOIN pg_namespace p ON p.nspname = 'partway'
   WHERE c.oid = $1::oid`;

/** The rights of the session's role with regard to relation `oid`. */
export async function readRights(session: Session, oid: string): Promise<RightsInfo> {
  const [rights] = await jsonRows(session, rightsInfo, RIGHTS, [oid]);
  if (rights === undefined) throw new Error(`relation ${oid} disappeared while its rights were read`);
  return rights;
}
