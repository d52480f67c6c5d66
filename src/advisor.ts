/** `partway advise`: which tables are worth partitioning, by what and how finely. Reads only. Part of the programmatic interface. */
import { type Advice, byUrgency } from "./advise/advice.js";
import type { Measured, TableFacts, TableSummary } from "./advise/facts.js";
import { healthLine } from "./advise/health.js";
import { judge } from "./advise/judge.js";
import { adviceOf, worthALook } from "./advise/say.js";
import { type Statement, statementUse } from "./advise/statements.js";
import { type ConnectOptions, targetOf, withSession } from "./api.js";
import { readColumnFacts } from "./catalog/column-stats.js";
import { readTableByOid } from "./catalog/read.js";
import { resolveTable } from "./catalog/resolve.js";
import { readStatements } from "./catalog/statement-stats.js";
import { readLeafFacts, readMeasured, readOpenMigrations, readSummaries } from "./catalog/summaries.js";
import { explainUntouched } from "./engine/faults.js";
import { badInput, PartwayError } from "./errors.js";
import type { Session } from "./pg/session.js";
import { SQLSTATE, sqlState } from "./pg/sqlstate.js";

export interface AdviseOptions extends ConnectOptions {
  /** As typed; none: all tables of the database, or of `schema`. */
  tables?: readonly string[] | undefined;
  schema?: string | undefined;
}

export interface AdviceReport {
  database: string;
  /** Since when the server's counters count, days; null: it does not say. */
  countedDays: number | null;
  /** Why pg_stat_statements is not used, or not whole; null: it is. */
  noStatements: string | null;
  /** Most urgent first. */
  tables: Advice[];
}

/** Reading sizes waits for whoever has a table locked; the advisor does not wait, and nobody waits behind it. */
const LOCK_TIMEOUT = "2s";

/**
 * Advice for each table. Reads catalog and statistics, and ends of indexes with a time limit; never a table's rows.
 * Errors: bad-input for a table or schema that is not there, lock-busy where a table is locked by somebody.
 */
export async function advise(options: AdviseOptions = {}): Promise<AdviceReport> {
  const { tables = [], schema } = options;
  if (tables.length > 0 && schema !== undefined)
    throw badInput(
      "tables are named, and --schema as well",
      "Give one of them; a table can be named as schema.table.",
    );
  const target = await targetOf(options);
  try {
    return await withSession(target, async (session) => {
      await session.query(
        "SELECT set_config('default_transaction_read_only', 'on', false), set_config('lock_timeout', $1, false)",
        [LOCK_TIMEOUT],
      );
      return { database: target.database, ...(await report(session, tables, schema ?? null)) };
    });
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw explainUntouched(error);
    throw new PartwayError(
      "lock-busy",
      {
        what: `a table is locked by another session, and was not let go within ${LOCK_TIMEOUT}`,
        state: "Nothing was touched.",
        next: "partway advise <table> for others, or the same command again later.",
      },
      { cause: error },
    );
  }
}

async function report(
  session: Session,
  tables: readonly string[],
  schema: string | null,
): Promise<Omit<AdviceReport, "database">> {
  const oids = tables.length === 0 ? null : await resolveAll(session, tables);
  const summaries = await readSummaries(session, { schema, oids });
  const others = tables.filter((_, at) => !summaries.some(({ oid }) => oid === oids?.[at]));
  if (others.length > 0) throw notForAdvice(others);
  if (summaries.length === 0) throw nothing(schema);
  const { statements, missing: noStatements } = await readStatements(session);
  const measured: Measured = { ...(await readMeasured(session)), noStatements };
  const advice: Advice[] = [];
  const open = await readOpenMigrations(session);
  for (const summary of summaries) {
    const migration = open.get(summary.oid);
    advice.push(
      migration === undefined
        ? await adviseOn(session, summary, measured, statements)
        : adviceOf.migrating(summary, migration),
    );
  }
  return { countedDays: measured.countedDays, noStatements, tables: byUrgency(advice) };
}

async function resolveAll(session: Session, names: readonly string[]): Promise<string[]> {
  return session.tx(
    async () => {
      const oids: string[] = [];
      for (const name of names) oids.push(await resolveTable(session, name));
      return oids;
    },
    { readOnly: true },
  );
}

function notForAdvice(names: readonly string[]): PartwayError {
  return badInput(
    `${names.join(", ")}: no table that could be partitioned (a view, a leaf, a temporary table, or a table of an extension or of Partway)`,
    "Name a table, or the partitioned table that a leaf belongs to.",
  );
}

function nothing(schema: string | null): PartwayError {
  return badInput(
    schema === null ? "this database has no tables" : `schema "${schema}" has no tables, or is not there`,
    "Check the name, and that --url points at the right database.",
  );
}

async function adviseOn(
  session: Session,
  summary: TableSummary,
  measured: Measured,
  statements: readonly Statement[],
): Promise<Advice> {
  if (summary.kind === "p") {
    const leaves = await readLeafFacts(session, summary.oid);
    const bytes = leaves.leaves.reduce((sum, leaf) => sum + leaf.bytes, 0);
    return adviceOf.partitioned(summary, healthLine(leaves, measured.now), bytes);
  }
  if (!worthALook(summary)) return adviceOf.small(summary);
  const table = await session.tx(() => readTableByOid(session, summary.oid), {
    isolation: "repeatable read",
    readOnly: true,
  });
  const names = new Set(table.columns.map((column) => column.name));
  const facts: TableFacts = {
    summary,
    table,
    ...(await readColumnFacts(session, table)),
    use: statementUse(statements, summary, names),
  };
  return adviceOf.judged(facts, judge(facts, measured), measured);
}
