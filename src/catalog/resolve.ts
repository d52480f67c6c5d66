/** From a table name as typed to its oid, the way PostgreSQL would read the name. */
import { z } from "zod";
import { badInput, UnknownTable } from "../errors.js";
import { literal } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { sqlState } from "../pg/sqlstate.js";
import { jsonRows } from "./json.js";
import { nearest } from "./nearest.js";

const relation = z.object({ oid: z.string(), schema: z.string(), name: z.string(), shown: z.string() });
type Relation = z.infer<typeof relation>;

/**
 * The oid of the relation called `typed`: `orders`, `public.orders`, `"Conversation Message"`, `sch."Odd""Name"`.
 * An unqualified name is looked up in the role's usual search_path and in `public`. Must run in a transaction: it
 * sets search_path for a moment. Errors: bad-input with near misses (not a name, unknown, in several schemas).
 */
export async function resolveTable(session: Session, typed: string): Promise<string> {
  const parts = await parseName(session, typed);
  const { database } = await session.one(
    z.object({ database: z.string() }),
    "SELECT current_database() AS database",
  );
  const [name, schema, catalog] = parts.toReversed();
  if (name === undefined || parts.length > 3 || (catalog !== undefined && catalog !== database))
    throw new UnknownTable(
      `${typed} is not a table of database "${database}"`,
      "Write the table as name or schema.name; choose the database with --url.",
    );
  const schemas = schema === undefined ? await usualSchemas(session) : [schema];
  const found = await jsonRows(
    session,
    relation,
    /*sql*/ `
      SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS shown
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relname = $1 AND n.nspname = ANY ($2::text[])
       ORDER BY array_position($2::text[], n.nspname::text)`,
    [name, schemas],
  );
  const [first, ...others] = found;
  if (first === undefined) throw await notFound(session, typed, name, schema ?? null, schemas);
  if (others.length > 0)
    throw badInput(
      `"${name}" is in more than one schema: ${found.map((r) => r.shown).join(", ")}`,
      `Say which one, e.g. ${shell(first.shown)}.`,
    );
  return first.oid;
}

/** The server's own parser; the cast cuts at 63 bytes as PostgreSQL does with any identifier. */
async function parseName(session: Session, typed: string): Promise<string[]> {
  if (typed.trim() === "") throw badInput("the table name is empty", "Name a table, e.g. public.orders.");
  if (typed.includes("\0"))
    throw badInput("the table name contains a NUL character", "Name a table, e.g. public.orders.");
  try {
    const [row] = await jsonRows(
      session,
      z.object({ parts: z.array(z.string()) }),
      "SELECT parse_ident($1)::name[]::text[] AS parts",
      [typed],
    );
    return row?.parts ?? [];
  } catch (error) {
    if (sqlState(error) !== "22023") throw error;
    throw badInput(
      `${typed} is not a table name as PostgreSQL reads one`,
      `Put a name with capitals, spaces or signs in double quotes, and keep them from the shell: ${shell(quoted(typed))}.`,
      error,
    );
  }
}

/**
 * The schemas an unqualified name is looked up in: what this role sees without Partway's pinned search_path (role,
 * database and server settings; pg_settings.reset_val holds the outcome), "$user" included, then public.
 */
async function usualSchemas(session: Session): Promise<string[]> {
  await session.query(
    "SELECT set_config('search_path', reset_val, true) FROM pg_settings WHERE name = 'search_path'",
  );
  const [row] = await jsonRows(
    session,
    z.object({ schemas: z.array(z.string()) }),
    "SELECT current_schemas(false)::text[] AS schemas",
    [],
  );
  await session.query("SELECT set_config('search_path', '', true)");
  return [...new Set([...(row?.schemas ?? []), "public"])];
}

async function notFound(
  session: Session,
  typed: string,
  name: string,
  schema: string | null,
  looked: string[],
): Promise<UnknownTable> {
  const tables = await jsonRows(
    session,
    relation,
    /*sql*/ `
      SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS shown
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
         AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'partway') AND n.nspname !~ '^pg_(toast|temp)'
       ORDER BY n.nspname = ANY ($1::text[]) DESC, n.nspname, c.relname`,
    [looked],
  );
  const what = `table ${typed} does not exist in ${schema === null ? looked.join(", ") : `schema "${schema}"`}`;
  const near: Relation[] = [
    ...tables.filter((t) => t.name === name || `${t.schema}.${t.name}` === typed || t.name === typed),
    ...nearest(name, tables, (t) => t.name),
  ];
  const names = [...new Set(near.map((t) => t.shown))].slice(0, 5);
  if (schema !== null && !tables.some((t) => t.schema === schema)) {
    const schemas = nearest(schema, [...new Set(tables.map((t) => t.schema))], (s) => s);
    const known = await session.maybe(z.object({}), "SELECT FROM pg_namespace WHERE nspname = $1", [schema]);
    if (known === null)
      return new UnknownTable(
        `schema "${schema}" does not exist`,
        didYouMean([...names, ...schemas.map((s) => `schema "${s}"`)]),
      );
  }
  return new UnknownTable(what, didYouMean(names));
}

function didYouMean(names: string[]): string {
  const [first, ...others] = names;
  if (first === undefined) return "Check the name, and that --url points at the right database.";
  if (first.startsWith("schema ")) return `Near names: ${names.join(", ")}.`;
  return `Did you mean ${shell(first)}?${others.length > 0 ? ` Also near: ${others.join(", ")}.` : ""}`;
}

/** As it must be typed at a shell: a name with double quotes goes into single quotes. */
function shell(name: string): string {
  return /["\\ $`!]/.test(name) ? literal(name).replaceAll("''", `'\\''`) : name;
}

function quoted(typed: string): string {
  return `"${typed.replaceAll('"', "")}"`;
}
