/** The statements of this database that pg_stat_statements has counted, where it is installed and may be read. */
import { z } from "zod";
import type { Statement } from "../advise/statements.js";
import { messageOf } from "../errors.js";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { sqlState } from "../pg/sqlstate.js";
import { jsonRows } from "./json.js";

/** Its default holds 5,000 statements of all databases; a query's text is cut here. */
const MOST = 5_000;
const TEXT = 20_000;

const row = z.object({ query: z.string(), calls: z.number(), totalMs: z.number() });

export interface CountedStatements {
  statements: Statement[];
  /** Why there are none, or not all; null: they are all there. */
  missing: string | null;
}

/** Those most called first. Never fails for want of the extension or of rights: `missing` says so. */
export async function readStatements(session: Session): Promise<CountedStatements> {
  const where = await session.maybe(
    z.object({ schema: z.string() }),
    `SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
      WHERE e.extname = 'pg_stat_statements'`,
  );
  if (where === null)
    return { statements: [], missing: "pg_stat_statements is not installed in this database" };
  try {
    const all = await jsonRows(
      session,
      row,
      /*sql*/ `
        SELECT left(query, ${TEXT}) AS query, calls, total_exec_time AS "totalMs"
          FROM ${ident(where.schema)}.pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         ORDER BY calls DESC LIMIT ${MOST}`,
      [],
    );
    const statements = all.filter(({ query }) => query !== "<insufficient privilege>");
    const hidden = all.length - statements.length;
    return {
      statements,
      missing:
        hidden === 0
          ? null
          : `pg_stat_statements hides ${hidden} statements of other roles: GRANT pg_read_all_stats lets them be counted`,
    };
  } catch (error) {
    // 55000: installed, but the server was started without it in shared_preload_libraries.
    if (!["55000", "42501"].includes(sqlState(error) ?? "")) throw error;
    return { statements: [], missing: `pg_stat_statements cannot be read: ${messageOf(error)}` };
  }
}
