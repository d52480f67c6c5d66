/** Runs somebody else's SQL so that it can change nothing and take no longer than it may. */
import { messageOf } from "../errors.js";
import { ConnectionLost, isConnectionError, type Row, type Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";

/** Partway pins an empty search_path and row_security off; this SQL is the application's and gets the role's own. */
export const AS_THE_ROLE = ["SET LOCAL search_path TO DEFAULT", "SET LOCAL row_security TO DEFAULT"];

export type Answer<T> = { ok: true; value: T; ms: number } | { ok: false; error: string; ms: number };

/**
 * `work`, one statement, in a READ ONLY transaction that is rolled back. The server counts its timeout over all pieces of
 * a portal: only completion ends it, not a suspended Execute (15 and 18: test/checks/read-only.test.ts). What the server says against the SQL is an answer. Errors:
 * `ConnectionLost`; a cancel that is not our timeout's (Partway makes way for somebody, or is stopped).
 */
export async function readOnly<T>(
  session: Session,
  timeoutMs: number,
  work: () => Promise<T>,
): Promise<Answer<T>> {
  await session.begin({ readOnly: true });
  let started = performance.now();
  const elapsed = () => performance.now() - started;
  try {
    for (const statement of AS_THE_ROLE) await session.query(statement);
    await session.query("SELECT pg_catalog.set_config('statement_timeout', $1, true)", [String(timeoutMs)]);
    started = performance.now();
    return { ok: true, value: await work(), ms: elapsed() };
  } catch (error) {
    const state = sqlState(error);
    if (error instanceof ConnectionLost) throw error;
    if (session.lost || isConnectionError(error)) throw new ConnectionLost(error);
    if (state === null) throw error;
    if (state !== SQLSTATE.queryCanceled) return { ok: false, error: messageOf(error), ms: elapsed() };
    // The server's clock and ours differ a little.
    if (elapsed() < timeoutMs * 0.95) throw error;
    return { ok: false, error: `it took longer than its timeout of ${timeoutMs} ms`, ms: elapsed() };
  } finally {
    await session.rollback();
  }
}

/**
 * The rows of one statement, at most `limit`, through a portal: the extended protocol takes no second statement, so no
 * COMMIT can hide in it.
 */
export async function portal(
  session: Session,
  sql: string,
  limit = Number.POSITIVE_INFINITY,
): Promise<{ rows: number; first: Row | undefined; texts: string[] }> {
  let rows = 0;
  let first: Row | undefined;
  const texts: string[] = [];
  for await (const batch of session.cursor(sql, [], Math.max(1, Math.min(1000, limit)))) {
    first ??= batch[0];
    rows += batch.length;
    if (rows <= 5000) texts.push(...batch.map((row) => Object.values(row)[0] ?? ""));
    if (rows >= limit) break;
  }
  return { rows, first, texts };
}
