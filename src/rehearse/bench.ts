/**
 * Where statements are planned: one read-only transaction each, rolled back, with short timeouts. Nothing is executed
 * unless `measure` is asked for. The locks are those that planning takes (ACCESS SHARE; ROW SHARE or ROW EXCLUSIVE for a
 * statement that locks or changes rows), for as long as planning takes: no statement that reads or writes rows waits.
 */
import { z } from "zod";
import { messageOf } from "../errors.js";
import { ident, literal } from "../pg/quote.js";
import { ConnectionLost, type Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { type PlanFacts, planFacts } from "./planfacts.js";
import type { ColumnValues } from "./values.js";

const SQL = {
  path: /*sql*/ `SELECT reset_val AS path FROM pg_catalog.pg_settings WHERE name = 'search_path'`,
  local: /*sql*/ `
SELECT set_config('search_path', $1, true), set_config('lock_timeout', '100ms', true),
       set_config('statement_timeout', $2, true), set_config('row_security', 'on', true)`,
  resolve: /*sql*/ `
SELECT pg_catalog.to_regclass(t.name)::oid::text AS oid
  FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS t (name, n) ORDER BY t.n`,
  types: /*sql*/ `
SELECT pg_catalog.format_type(u.t, NULL) AS type
  FROM pg_catalog.pg_prepared_statements p, unnest(p.parameter_types) WITH ORDINALITY AS u (t, n)
 WHERE p.name = 'partway_rehearsal' ORDER BY u.n`,
  values: /*sql*/ `
SELECT s.attname AS column, b[(n + 1) / 2] AS middle, b[(n + 1) / 2 + 1] AS next, b[greatest(n - 1, 1)] AS late
  FROM (SELECT attname, coalesce(histogram_bounds::text::text[], most_common_vals::text::text[]) AS b
          FROM pg_catalog.pg_stats WHERE schemaname = $1 AND tablename = $2 AND NOT inherited) s,
       LATERAL (SELECT cardinality(b)) c (n)`,
} as const;

/** How often a statement that met a lock is tried again. */
const TRIES = 3;
const PLANNING_LIMIT = "5s";
const MEASURING_LIMIT = "60s";

export type Planned =
  | { ok: true; custom: PlanFacts; prepared: PlanFacts; measured: PlanFacts | null }
  | { ok: false; state: string | null; why: string };

export class Bench {
  readonly #session: Session;
  readonly #path: string;
  /** Longest time of a statement that is executed, as PostgreSQL writes it. */
  readonly #measuring: string;
  /** Whether the table's name alone means the table, as the connected role's search_path has it. */
  readonly unqualified: boolean;
  /** From the table's statistics, by column. */
  readonly columns: ReadonlyMap<string, ColumnValues>;

  private constructor(
    session: Session,
    path: string,
    unqualified: boolean,
    columns: Map<string, ColumnValues>,
    measuring: string,
  ) {
    this.#session = session;
    this.#path = path;
    this.#measuring = measuring;
    this.unqualified = unqualified;
    this.columns = columns;
  }

  /** For statements about one table. The session is the bench's own. */
  static async open(
    session: Session,
    { schema, table, oid }: { schema: string; table: string; oid: string },
  ): Promise<Bench> {
    const path = await rolesPath(session);
    // The table's schema last: the names of its neighbours are found as well, and nothing is hidden by them.
    const whole = [path, ident(schema)].filter((part) => part !== "").join(", ");
    const rows = await session.rows(
      z.object({
        column: z.string(),
        middle: z.string().nullable(),
        next: z.string().nullable(),
        late: z.string().nullable(),
      }),
      SQL.values,
      [schema, table],
    );
    const [found] = await resolveOn(session, whole, [ident(table)]);
    const columns = new Map(rows.map(({ column, ...v }) => [column, v]));
    return new Bench(session, whole, found === oid, columns, MEASURING_LIMIT);
  }

  /** For any statement, with the connected role's own search_path. `measuringMs`: the longest execution. */
  static async forAny(session: Session, measuringMs: number): Promise<Bench> {
    return new Bench(session, await rolesPath(session), false, new Map(), `${Math.round(measuringMs)}ms`);
  }

  /** The OIDs of relations by their names as a statement writes them; null: there is none of that name. */
  resolve(names: readonly string[]): Promise<(string | null)[]> {
    return resolveOn(this.#session, this.#path, names);
  }

  /** The types of the parameters as the server infers them, or why it does not take the statement. */
  async types(sql: string): Promise<{ ok: true; types: string[] } | Extract<Planned, { ok: false }>> {
    return this.#prepared(sql, PLANNING_LIMIT, async () => ({
      ok: true as const,
      types: (await this.#session.rows(z.object({ type: z.string() }), SQL.types)).map(({ type }) => type),
    }));
  }

  /** Plans the statement with these values, and as one that was prepared long ago; executes it when `measure`. */
  async plan(sql: string, values: readonly (string | null)[], measure: boolean): Promise<Planned> {
    const args = values.map((value) => (value === null ? "NULL" : literal(value))).join(", ");
    const call = `EXECUTE partway_rehearsal${values.length === 0 ? "" : ` (${args})`}`;
    const explain = async (mode: string, options: string) => {
      await this.#session.query("SELECT set_config('plan_cache_mode', $1, true)", [mode]);
      return this.#explained(`EXPLAIN (FORMAT JSON, VERBOSE${options}) ${call}`);
    };
    return this.#prepared(sql, measure ? this.#measuring : PLANNING_LIMIT, async () => ({
      ok: true as const,
      custom: await explain("force_custom_plan", ""),
      prepared: await explain("force_generic_plan", ""),
      measured: measure ? await explain("force_custom_plan", ", ANALYZE, TIMING OFF, BUFFERS") : null,
    }));
  }

  /**
   * The plan that no value is known to. Before 16 there is no GENERIC_PLAN, and an EXECUTE with NULLs shows it, from which
   * the executor has taken away what NULL does not match: `removed` counts that.
   */
  async generic(
    sql: string,
    parameters: number,
    serverVersion: number,
  ): Promise<{ ok: true; plan: PlanFacts } | Extract<Planned, { ok: false }>> {
    if (serverVersion >= 160_000)
      return this.#tried(PLANNING_LIMIT, async () => ({
        ok: true as const,
        plan: await this.#explained(`EXPLAIN (GENERIC_PLAN, FORMAT JSON, VERBOSE) ${sql}`),
      }));
    const planned = await this.plan(
      sql,
      Array.from({ length: parameters }, () => null),
      false,
    );
    return planned.ok ? { ok: true, plan: planned.prepared } : planned;
  }

  async #explained(sql: string): Promise<PlanFacts> {
    const Row = z.object({ "QUERY PLAN": z.string() });
    return planFacts((await this.#session.one(Row, sql))["QUERY PLAN"]);
  }

  #prepared<T>(
    sql: string,
    limit: string,
    work: () => Promise<T>,
  ): Promise<T | Extract<Planned, { ok: false }>> {
    return this.#tried(limit, async () => {
      await this.#session.query(`PREPARE partway_rehearsal AS ${sql}`);
      return work();
    });
  }

  async #tried<T>(limit: string, work: () => Promise<T>): Promise<T | Extract<Planned, { ok: false }>> {
    for (let left = TRIES; ; left--) {
      try {
        return await onPath(this.#session, this.#path, limit, work);
      } catch (error) {
        if (error instanceof ConnectionLost) throw error;
        const state = sqlState(error);
        if (state === null) throw error;
        if (state !== SQLSTATE.lockNotAvailable || left <= 1)
          return { ok: false, state, why: messageOf(error) };
      } finally {
        if (!this.#session.lost) await this.#session.query("DEALLOCATE ALL");
      }
    }
  }
}

async function rolesPath(session: Session): Promise<string> {
  return (await session.one(z.object({ path: z.string() }), SQL.path)).path.trim();
}

function resolveOn(session: Session, path: string, names: readonly string[]): Promise<(string | null)[]> {
  return onPath(session, path, PLANNING_LIMIT, async () => {
    const Oid = z.object({ oid: z.string().nullable() });
    return (await session.rows(Oid, SQL.resolve, [[...names]])).map(({ oid }) => oid);
  });
}

/** In a read-only transaction that is rolled back, with the application's names. */
async function onPath<T>(session: Session, path: string, limit: string, work: () => Promise<T>): Promise<T> {
  await session.begin({ readOnly: true });
  try {
    await session.query(SQL.local, [path, limit]);
    return await work();
  } finally {
    await session.rollback();
  }
}
