/**
 * The canary: one small statement a second, timed from here, network included. It says what an application's statement
 * would have to wait for now; it is not the application's own latency. By default a look-up in the source by its key,
 * which takes the lock of a SELECT for the time of a SELECT and writes nothing.
 */
import { z } from "zod";
import { AS_THE_ROLE } from "../checks/read-only.js";
import { messageOf } from "../errors.js";
import { ident } from "../pg/quote.js";
import { ConnectionLost, isConnectionError, type Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { Plan } from "../plan/types.js";
import { sidesOf } from "../sync/pairs.js";

/** Longer than this it is given up, and counts as this long, ms. */
export const CANARY_TIMEOUT_MS = 5000;

export type Timed = { ms: number } | { error: string };

/** Places all over the key, as ANALYZE has found them: rows that are not all in memory because of the canary. */
const PLACES = /*sql*/ `
SELECT unnest(histogram_bounds::text::text[]) AS place FROM pg_stats
 WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND NOT inherited`;

export class Canary {
  readonly #own: string | null;
  readonly #plan: Plan;
  #places: string[] | null = null;

  /** `own`: the operator's statement. */
  constructor(plan: Plan, own: string | null) {
    this.#plan = plan;
    this.#own = own;
  }

  get isOwn(): boolean {
    return this.#own !== null;
  }

  /** Runs it once. Errors: ConnectionLost. */
  async run(session: Session): Promise<Timed> {
    let from = performance.now();
    try {
      const place = this.#own === null ? await this.#place(session) : null;
      // The operator's may write to a table that is there for it: then the COMMIT is what a writer waits for.
      await session.begin({ readOnly: this.#own === null });
      for (const [name, value] of this.#limits())
        await session.query("SELECT pg_catalog.set_config($1, $2, true)", [name, value]);
      if (this.#own !== null) for (const sql of AS_THE_ROLE) await session.query(sql);
      from = performance.now();
      if (this.#own === null)
        await session.query(lookUpSql(this.#plan, place), place === null ? [] : [place]);
      else for await (const rows of session.cursor(this.#own, [], 100)) if (rows.length === 0) break;
      // A process that has been taken over commits nothing, not even what only read.
      await (this.#own === null ? session.rollback() : session.commit());
      return { ms: performance.now() - from };
    } catch (error) {
      if (error instanceof ConnectionLost) throw error;
      if (session.lost || isConnectionError(error)) throw new ConnectionLost(error);
      await session.rollback();
      const state = sqlState(error);
      // Given up by our own timeout: it counts as this long.
      if (state === SQLSTATE.queryCanceled || state === SQLSTATE.lockNotAvailable)
        return { ms: Math.max(CANARY_TIMEOUT_MS, performance.now() - from) };
      return { error: messageOf(error) };
    }
  }

  #limits(): [name: string, value: string][] {
    const ms = String(CANARY_TIMEOUT_MS);
    return [
      ["statement_timeout", ms],
      ["lock_timeout", ms],
      // A process that is frozen before its COMMIT must not keep the SELECT's lock.
      ["idle_in_transaction_session_timeout", ms],
    ];
  }

  async #place(session: Session): Promise<string | null> {
    if (this.#places === null) {
      const { names, key } = this.#plan;
      const rows = await session.rows(z.object({ place: z.string() }), PLACES, [
        names.schema,
        names.source,
        key[0]?.name ?? "",
      ]);
      this.#places = rows.map(({ place }) => place);
    }
    return this.#places[Math.floor(Math.random() * this.#places.length)] ?? null;
  }
}

/** The first row from a place of the key ($1) on; the key's first column leads its index. */
export function lookUpSql(plan: Plan, place: string | null): string {
  const [first] = plan.key;
  const { live } = sidesOf(plan, "forward");
  if (first === undefined) return "SELECT";
  const column = `s.${ident(first.name)}`;
  const where = place === null ? "" : ` WHERE ${column} >= $1::${first.type}`;
  // Named: pg_stat_statements is to tell it from the application's (rehearse, advise).
  return `SELECT /* partway canary */ ${column} FROM ONLY ${live} AS s${where} ORDER BY ${column} LIMIT 1`;
}
