/** Where the statements come from: pg_stat_statements, or a file. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { badInput, messageOf, PartwayError } from "../errors.js";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Parser } from "./parse.js";
import type { WorkloadStatement } from "./types.js";

/** Statements taken, those that took most time in all first. */
const MOST = 1000;

const SQL = {
  where: /*sql*/ `
SELECT n.nspname AS schema FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_stat_statements'`,
  statements: (schema: string) => /*sql*/ `
SELECT query AS text, sum(calls)::text AS calls,
       (sum(total_exec_time) / nullif(sum(calls), 0))::float8::text AS "meanMs"
  FROM ${ident(schema)}.pg_stat_statements s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
 WHERE d.datname = current_database() AND query IS NOT NULL AND strpos(lower(query), $1) > 0
 GROUP BY query ORDER BY sum(total_exec_time) DESC LIMIT ${MOST}`,
  hidden: (schema: string) => /*sql*/ `
SELECT count(*)::text AS n FROM ${ident(schema)}.pg_stat_statements s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
 WHERE d.datname = current_database() AND query = '<insufficient privilege>'`,
} as const;

export interface Workload {
  from: string;
  statements: WorkloadStatement[];
  limits: string[];
}

/** Errors: bad-input naming the file. */
export async function fromFile(file: string, parser: Parser): Promise<Workload> {
  try {
    const statements = parser.split(await readFile(file, "utf8"));
    return {
      from: file,
      statements: statements.map((text) => ({ text, calls: null, meanMs: null })),
      limits: [],
    };
  } catch (error) {
    throw badInput(
      `cannot read the statements in ${file}: ${messageOf(error)}`,
      "Give a file of SQL statements, separated by semicolons; $1 stands for a value.",
      error,
    );
  }
}

/** Everything recorded of this database that has the table's name in it. Errors: bad-input when it is not installed. */
export async function fromServer(session: Session, table: string): Promise<Workload> {
  const found = await session.maybe(z.object({ schema: z.string() }), SQL.where);
  if (found === null) throw notInstalled("is not installed in this database");
  const row = z.object({
    text: z.string(),
    calls: z.coerce.number(),
    meanMs: z.coerce.number().nullable(),
  });
  try {
    const { schema } = found;
    const statements = await session.rows(row, SQL.statements(schema), [table.toLowerCase()]);
    const { n } = await session.one(z.object({ n: z.coerce.number() }), SQL.hidden(schema));
    const limits = n === 0 ? [] : [`${n} statements of other roles are hidden: grant pg_read_all_stats`];
    if (statements.length === MOST)
      limits.push(`only the ${MOST} statements that took most time were looked at`);
    return { from: "pg_stat_statements", statements, limits };
  } catch (error) {
    if (error instanceof PartwayError) throw error;
    throw notInstalled(`cannot be read: ${messageOf(error)}`, error);
  }
}

function notInstalled(what: string, cause?: unknown): PartwayError {
  return badInput(
    `pg_stat_statements ${what}`,
    "Name a file of the application's statements: partway rehearse --file queries.sql",
    cause,
  );
}
