/** Rights the connected role lacks on the table itself; all are named at once. */
import { ident } from "../../pg/quote.js";
import { type Grant, grantsFor } from "../grants.js";
import type { Refusal } from "../types.js";
import { type Check, nameOf } from "./check.js";

export const rights: Check = ({ table }) => {
  const { role, superuser, ownsTable, createInSchema, createInDatabase, partwaySchema, selectTable } =
    table.rights;
  if (superuser) return [];
  const me = ident(role);
  const grants = table.grantFacts === undefined ? [] : grantsFor(table.grantFacts);
  /** As `partway grants` says it. */
  const statement = (code: Grant["code"]) => grants.find((grant) => grant.code === code)?.sql;
  const refusals: Refusal[] = [];
  const missing = (code: string, what: string, why: string, remedy: string) =>
    refusals.push({ code, what, why, remedy });
  if (!ownsTable)
    missing(
      "not-owner",
      `role ${role} is not a member of ${table.owner}, which owns ${nameOf(table)}`,
      "Only the owner may rename the table and make triggers on it that always fire.",
      statement("not-owner") ?? `GRANT ${ident(table.owner)} TO ${me};`,
    );
  if (!selectTable)
    missing(
      "no-select",
      `role ${role} may not read ${nameOf(table)}`,
      "The copy reads every row.",
      `GRANT SELECT ON ${nameOf(table)} TO ${me};`,
    );
  if (!createInSchema)
    missing(
      "no-create-in-schema",
      `role ${role} may not create tables in schema ${table.schema}`,
      "The partitioned table is built in the schema of the source.",
      statement("no-create-in-schema") ?? `GRANT USAGE, CREATE ON SCHEMA ${ident(table.schema)} TO ${me};`,
    );
  if (partwaySchema === "absent" && !createInDatabase)
    missing(
      "no-create-in-database",
      `role ${role} may not create schema partway in database ${table.database}`,
      "The ledger and the change log are kept there, beside the data.",
      `GRANT CREATE ON DATABASE ${ident(table.database)} TO ${me};  -- or: CREATE SCHEMA partway AUTHORIZATION ${me};`,
    );
  if (partwaySchema === "foreign")
    missing(
      "partway-schema-foreign",
      `schema partway exists and role ${role} may not create in it`,
      "The ledger and the change log are kept there, beside the data.",
      `GRANT USAGE, CREATE ON SCHEMA partway TO ${me};  -- or: ALTER SCHEMA partway OWNER TO ${me};`,
    );
  return refusals;
};
