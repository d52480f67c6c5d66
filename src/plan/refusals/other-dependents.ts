/** Whatever else hangs on the table: what is not understood is not migrated. */
import type { DependentInfo, TableInfo } from "../../catalog/types.js";
import { type Check, dependents, nameOf, shown } from "./check.js";

/** A NOT NULL constraint that is NOT VALID (PostgreSQL 18), as the catalog names it. */
const NOT_NULL = "not-null constraint ";

/** catalog/dependents.ts: a serial sequence keeps its OID and only changes owner, so other tables go on using it. */
const SHARES_SERIAL = "uses the serial sequence of the table";

export const otherDependents: Check = ({ table }) =>
  [...dependents(table, "other"), ...unread(table)]
    .filter((dependent) => dependent.detail !== SHARES_SERIAL)
    .map((dependent) => ({
      code: "other-dependent",
      what: `${shown(dependent)} depends on ${nameOf(table)}`,
      why: "Partway does not know this kind of object and so cannot carry it; it would stay with the old table.",
      remedy: remedyFor(dependent.name, table),
    }));

/** Views and functions that hang on the table without reading it itself, say an index of it. */
function unread(table: TableInfo): DependentInfo[] {
  const known = new Set(
    [...(table.attached?.views ?? []), ...(table.attached?.functions ?? [])].map((one) => one.name),
  );
  return [...dependents(table, "view"), ...dependents(table, "function")]
    .filter((dependent) => !known.has(dependent.name))
    .map((dependent) => ({ ...dependent, name: `${dependent.kind} ${dependent.name}` }));
}

/** `name` is a type and an identity as pg_identify_object gives them, quoted already. */
function remedyFor(name: string, table: TableInfo): string {
  if (name.startsWith(NOT_NULL))
    return `ALTER TABLE ${nameOf(table)} VALIDATE CONSTRAINT ${name.slice(NOT_NULL.length)};`;
  const [, routine, signature] = /^(function|procedure|aggregate) (.+)$/.exec(name) ?? [];
  if (routine !== undefined)
    return `DROP ${routine.toUpperCase()} ${signature};  -- and create it again after the migration`;
  const [, owner, column] = /^default value for (.+)\.("(?:[^"]|"")+"|[^".]+)$/.exec(name) ?? [];
  if (owner !== undefined)
    return `ALTER TABLE ${owner} ALTER COLUMN ${column} DROP DEFAULT;  -- and set it again after the migration`;
  return `Drop ${name} and create it again after the migration.`;
}
