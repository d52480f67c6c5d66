/** The leaf's twin on the cold server: a plain table of the same name, columns and indexes, with its bound as a CHECK. */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import type { ColumnInfo } from "../catalog/types.js";
import { PartwayError } from "../errors.js";
import { setLocal } from "../pg/locks.js";
import { ident, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { shorten } from "../plan/names.js";

export const TWIN_SQL = {
  /** What stands under the name there, and whether it is what a row of partition_cold is about. */
  there: /*sql*/ `
SELECT c.oid::text AS oid, coalesce(obj_description(c.oid, 'pg_class'), '') AS mark
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
  means: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS "hasSchema", current_user AS role, current_database() AS database,
       coalesce((SELECT json_agg(t) FROM unnest($2::text[]) AS t WHERE to_regtype(t) IS NULL), '[]') AS types,
       coalesce((SELECT json_agg(l) FROM unnest($3::text[]) AS l WHERE to_regcollation(l) IS NULL), '[]') AS collations,
       coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $1),
                has_database_privilege(current_database(), 'CREATE')) AS "mayMake"`,
  home: /*sql*/ `
SELECT c.system_identifier || '/' || d.oid AS text FROM pg_control_system() AS c, pg_database d WHERE d.datname = current_database()`,
  fsync: /*sql*/ `SELECT current_setting('fsync') AS text`,
  sorting: /*sql*/ `
SELECT d.datcollate || ' ' || d.datctype || ' ' || pg_encoding_to_char(d.encoding) AS text
  FROM pg_database d WHERE d.datname = current_database()`,
  /** The statements of the leaf's indexes; those of constraints as constraints. */
  indexes: /*sql*/ `
SELECT coalesce('ALTER TABLE ' || i.indrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid),
                pg_get_indexdef(i.indexrelid)) AS text
  FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
 WHERE i.indrelid = $1::oid AND i.indisvalid ORDER BY i.indexrelid`,
  enumOf: /*sql*/ `
SELECT 'CREATE TYPE ' || t.oid::regtype || ' AS ENUM (' || string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) || ')' AS text
  FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.oid = to_regtype($1) GROUP BY t.oid`,
} as const;

export const Text = z.object({ text: z.string() });

export interface Twin {
  /** Of partway.partition_cold; stands in the table's comment. */
  id: string;
  schema: string;
  name: string;
  columns: readonly ColumnInfo[];
  /** The bound, as a condition. */
  condition: string;
  how: "attached" | "beside";
}

const Means = z.object({
  hasSchema: z.boolean(),
  role: z.string(),
  database: z.string(),
  types: z.array(z.string()),
  collations: z.array(z.string()),
  mayMake: z.boolean(),
});
const There = z.object({ oid: z.string(), mark: z.string() });

/** Ends in where it comes from: a copy of the database has the same ids, and must not drop what the original needs. */
const markOf = (id: string, home: string) => `${markStart(id)}${home}`;
const markStart = (id: string) => `partway: cold leaf ${id} of `;
const isOf = (mark: string, id: string) => mark.startsWith(markStart(id));
const UNTOUCHED = "Nothing was touched, here or there.";

/**
 * Whether the cold server can take the leaf. Gives what an operator should know. Errors: bad-input with the statements
 * that are missing there; `known`: ids of this database, whose unfinished twin is no obstacle.
 */
export async function assertTakes(
  session: Session,
  cold: Session,
  leaf: Omit<Twin, "id" | "condition" | "how">,
  known: readonly string[],
): Promise<string[]> {
  const { schema, name, columns } = leaf;
  const types = columns.map(({ type }) => type.replace(/\(.*\)/, ""));
  const collations = columns.flatMap(({ collation }) => (collation === null ? [] : [collation]));
  const [means] = await jsonRows(cold, Means, TWIN_SQL.means, [schema, types, collations]);
  if (means === undefined) throw new Error("a query that must return one row returned none");
  const refuse = (what: string, next: string) => {
    throw new PartwayError("bad-input", { what, state: UNTOUCHED, next });
  };
  if (means.types.length > 0 || means.collations.length > 0) {
    const wanted = [...new Set(means.types)];
    const statements: string[] = [];
    for (const type of wanted)
      statements.push(...(await session.rows(Text, TWIN_SQL.enumOf, [type])).map(({ text }) => text));
    const missing = [
      ...wanted.map((type) => `the type ${type}`),
      ...means.collations.map((one) => `the collation ${one}`),
    ];
    refuse(
      `the database ${means.database} on the cold server has not ${missing.join(", ")}`,
      statements.length === missing.length
        ? `There, then the same command again: ${statements.join("; ")};`
        : "Make them there as they are here (pg_dump --schema-only shows them), then the same command again.",
    );
  }
  if (!means.mayMake)
    refuse(
      `${means.role} may not make the table ${qualified(schema, name)} in the database ${means.database} on the cold server`,
      means.hasSchema
        ? `There: GRANT USAGE, CREATE ON SCHEMA ${ident(schema)} TO ${ident(means.role)};`
        : `There: CREATE SCHEMA ${ident(schema)} AUTHORIZATION ${ident(means.role)};`,
    );
  const there = await cold.maybe(There, TWIN_SQL.there, [schema, name]);
  if (there !== null && !known.some((id) => isOf(there.mark, id)))
    refuse(
      `the cold server has a ${qualified(schema, name)} already, and it is not what this database has left there`,
      "Give another database, or rename that table there.",
    );
  const [here, far] = [await session.one(Text, TWIN_SQL.sorting), await cold.one(Text, TWIN_SQL.sorting)];
  const fsync = (await cold.one(Text, TWIN_SQL.fsync)).text;
  const risk = "the cold server runs with fsync = off: a crash of its machine may lose what was copied";
  const sorted =
    here.text === far.text
      ? []
      : [
          `text is sorted and encoded by ${far.text} there, and by ${here.text} here: < and ORDER BY of text that run there may differ`,
        ];
  return [...(fsync === "off" ? [risk] : []), ...sorted];
}

/** What tells this database from a dump of it elsewhere. Of a copy of all its files, and of a standby, it is the same. */
export async function homeOf(session: Session): Promise<string> {
  return (await session.one(Text, TWIN_SQL.home)).text;
}

/**
 * The twin of `id` away, where there is one; another's is left. `isSame`: asked while nobody writes there. True: it is not
 * there any more.
 */
export async function dropTwin(
  cold: Session,
  { id, schema, name }: Pick<Twin, "id" | "schema" | "name">,
  home: string,
  isSame: (oid: string) => Promise<boolean> = async () => true,
): Promise<boolean> {
  const look = () => cold.maybe(There, TWIN_SQL.there, [schema, name]);
  return cold.tx(async () => {
    const there = await look();
    if (there === null) return true;
    if (there.mark !== markOf(id, home)) return false;
    await cold.query(`LOCK TABLE ${qualified(schema, name)} IN ACCESS EXCLUSIVE MODE`);
    // Who waited may have got another table of that name.
    if ((await look())?.oid !== there.oid || !(await isSame(there.oid))) return false;
    await cold.query(`DROP TABLE ${qualified(schema, name)}`);
    return true;
  });
}

/** `work` while nobody writes into the twin there, or puts another table in its place. Errors: `difference`, `lock-busy`. */
export async function withTwin<T>(
  cold: Session,
  row: Pick<Twin, "id" | "schema" | "name">,
  waitMs: number,
  work: (oid: string) => Promise<T>,
): Promise<T> {
  await cold.begin();
  try {
    await setLocal(cold, "lock_timeout", waitMs);
    await twinOid(cold, row);
    await cold.query(`LOCK TABLE ${qualified(row.schema, row.name)} IN SHARE ROW EXCLUSIVE MODE`).catch(busy);
    return await work(await twinOid(cold, row));
  } finally {
    await cold.rollback();
  }
}

function busy(error: unknown): never {
  if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
  throw new PartwayError(
    "lock-busy",
    {
      what: "the copy on the cold server is locked there by somebody else",
      state: "Nothing was changed here; what was copied is left.",
      next: "End or wait for who has it locked there, then the same command again.",
    },
    { cause: error },
  );
}

/** Whether what was made for `id` stands there. */
export async function hasTwin(
  cold: Session,
  { id, schema, name }: Pick<Twin, "id" | "schema" | "name">,
): Promise<boolean> {
  return isOf((await cold.maybe(There, TWIN_SQL.there, [schema, name]))?.mark ?? "", id);
}

/** OID of the twin there. Errors: `difference` where it is not what was made for `id`. */
export async function twinOid(
  cold: Session,
  { id, schema, name }: Pick<Twin, "id" | "schema" | "name">,
): Promise<string> {
  const there = await cold.maybe(There, TWIN_SQL.there, [schema, name]);
  if (there !== null && isOf(there.mark, id)) return there.oid;
  throw new PartwayError("difference", {
    what: `${qualified(schema, name)} on the cold server is not the copy of ${id}: ${there === null ? "it is not there" : "its comment does not say so"}`,
    state: "Nothing was changed, here or there.",
    next: "Look whether --to names the database that the foreign server reads (partway cool <table> lists the cold leaves).",
  });
}

/**
 * Makes it, empty. Generated columns are plain ones there, and hold what was computed here; but for stored ones of a leaf
 * that stays attached: an UPDATE from here leaves them to the server that has them.
 */
export async function makeTwin(
  cold: Session,
  { id, schema, name, columns, condition, how }: Twin,
  home: string,
): Promise<void> {
  const table = qualified(schema, name);
  await cold.query(`CREATE SCHEMA IF NOT EXISTS ${ident(schema)}`).catch((error: unknown) => {
    // Asks for the right to make schemas even where it is there.
    if (sqlState(error) !== SQLSTATE.insufficientPrivilege) throw error;
  });
  await cold.tx(async () => {
    const lines = [
      ...columns.map((one) => (isComputedThere(one, how) ? computedSql(one) : columnSql(one))),
      `CONSTRAINT ${ident(`${shorten(name, 50)}_bound`)} CHECK (${condition})`,
    ];
    await cold.query(`CREATE TABLE ${table} (${lines.join(", ")})`);
    await cold.query(`COMMENT ON TABLE ${table} IS ${literal(markOf(id, home))}`);
  });
}

export function isComputedThere({ generated }: ColumnInfo, how: Twin["how"]): boolean {
  return how === "attached" && generated === "stored";
}

/** A generated column with its expression. */
export function computedSql(column: ColumnInfo): string {
  const { generated, default: expression, notNull, ...plain } = column;
  const bare = columnSql({ ...plain, generated, default: expression, notNull: false });
  return `${bare} GENERATED ALWAYS AS (${expression}) ${(generated ?? "stored").toUpperCase()}${notNull ? " NOT NULL" : ""}`;
}

/** A column that takes any row it once had. */
export function columnSql({ name, type, collation, notNull }: ColumnInfo): string {
  return `${ident(name)} ${type}${collation === null ? "" : ` COLLATE ${collation}`}${notNull ? " NOT NULL" : ""}`;
}

/** Errors: `refused` where the cold server has not what an index is made of. */
export async function indexTwin(cold: Session, statements: readonly string[]): Promise<void> {
  for (const sql of statements)
    try {
      await cold.query(sql);
    } catch (error) {
      if (!(sqlState(error) ?? "").startsWith("42")) throw error;
      throw new PartwayError(
        "refused",
        {
          what: `the cold server does not make an index of the leaf: ${error instanceof Error ? error.message : String(error)}`,
          state: "The leaf and its rows are there; its copy was not finished.",
          next: `Make what it needs there, then the same command again. The index: ${sql}`,
        },
        { cause: error },
      );
    }
}
