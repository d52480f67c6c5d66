/**
 * Stepping aside (DESIGN 3.6, 3.7). A scan holds ACCESS SHARE on the application's table for as long as it runs: an
 * ALTER TABLE or TRUNCATE waits behind it, and everybody else behind that one, as with pg_dump. So while Partway works
 * somebody looks who waits behind it; whoever has waited for longer than Partway itself would have others wait gets the
 * table: the step is cancelled and done again. One mechanism for backup, copy, validation, apply and rebuild.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { ConnectionLost, type Session } from "./session.js";

export interface Waiter {
  pid: number;
  waitedMs: number;
  query: string;
  application: string;
}

/**
 * `$1`: Partway's own backends, `$2`: ms. Only ACCESS EXCLUSIVE waits for a scan. Where one of ours holds more than a
 * scan needs it is the cutover's lock, which has a budget of its own. pg_locks.waitstart: PostgreSQL 14.
 */
const WAITER_SQL = /*sql*/ `
WITH l AS MATERIALIZED (SELECT * FROM pg_locks WHERE locktype = 'relation'),
     ours AS (SELECT database, relation, bool_and(mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')) AS weak
                FROM l WHERE granted AND pid = ANY ($1::int[]) GROUP BY database, relation)
SELECT w.pid::text AS pid, (extract(epoch FROM clock_timestamp() - w.waitstart) * 1000)::text AS ms,
       coalesce(left(regexp_replace(a.query, '\\s+', ' ', 'g'), 200), '(hidden: needs pg_read_all_stats)') AS query,
       coalesce(a.application_name, '') AS application
  FROM l AS w JOIN ours ON ours.database = w.database AND ours.relation = w.relation AND ours.weak
  LEFT JOIN pg_stat_activity a ON a.pid = w.pid
 WHERE NOT w.granted AND w.mode = 'AccessExclusiveLock' AND w.pid <> ALL ($1::int[])
   AND clock_timestamp() - w.waitstart > $2::double precision * interval '1 millisecond'
 ORDER BY w.waitstart LIMIT 1`;

const WaiterRow = z
  .object({ pid: z.coerce.number(), ms: z.coerce.number(), query: z.string(), application: z.string() })
  .transform((r) => ({ pid: r.pid, waitedMs: r.ms, query: r.query, application: r.application }));

/** Who has waited longest, and for more than `afterMs`, behind a scan of the backends `pids`; null: nobody. */
export function waiterBehind(
  observer: Session,
  pids: readonly number[],
  afterMs: number,
): Promise<Waiter | null> {
  return observer.maybe(WaiterRow, WAITER_SQL, [`{${pids.join(",")}}`, afterMs]);
}

export interface AsideOptions {
  /** What is being done, for the message: `validate`. */
  what: string;
  /** The command that does it again later. */
  next: string;
  /** How long somebody may wait behind it, ms. */
  afterMs: number;
  /** The operator's stop. */
  signal: AbortSignal;
  /** Asked every LOOK_MS. */
  waiter(afterMs: number): Promise<Waiter | null>;
  /** Cancels whatever the step's own sessions execute. */
  cancel(): Promise<void>;
  /** Gives the step's sessions back, and with them their locks. */
  close(): Promise<void>;
  warn(message: string): void;
  /** The look itself failed: the step goes on, the next look may succeed. */
  trouble(error: unknown): void;
}

/** One look costs a few ms of one connection. */
const LOOK_MS = 200;

/** Steps aside so many times, then the run stops and says for whom: a scan of hours cannot be begun for ever. */
export const ASIDE_TRIES = 5;

/** Undisturbed for so long, ms, it is as if it had begun anew. */
const UNDISTURBED_MS = 600_000;

/**
 * Runs `work`, which must be possible to run again from wherever it was cut off; its signal fires when it has to step
 * aside. Errors: `lock-busy` when that happened ASIDE_TRIES times; what `work` throws.
 */
export async function steppingAside<T>(
  options: AsideOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let times = 1; ; times++) {
    const started = performance.now();
    const watch = watchBehind(options);
    try {
      return await work(AbortSignal.any([options.signal, watch.signal]));
    } catch (error) {
      const waiter = await watch.stop();
      if (waiter === null || options.signal.aborted || speaksForItself(error)) throw error;
      await options.close();
      if (performance.now() - started > UNDISTURBED_MS) times = 1;
      const who = `pid ${waiter.pid} (${waiter.application || "no name"}) waited ${Math.round(waiter.waitedMs)} ms behind ${options.what}: ${waiter.query.slice(0, 80)}`;
      if (times >= ASIDE_TRIES) throw tooOften(options, who);
      options.warn(`${who}; stepped aside, and trying again (${times} of ${ASIDE_TRIES})`);
    } finally {
      await watch.stop();
    }
  }
}

/** A result of its own, or a lost connection, which has its own way of going on; anything else is the cancel's. */
function speaksForItself(error: unknown): boolean {
  if (error instanceof PartwayError) return error.kind !== "stopped" && error.kind !== "unexpected";
  return error instanceof ConnectionLost;
}

function tooOften({ what, next }: AsideOptions, who: string): PartwayError {
  return new PartwayError("lock-busy", {
    what: `${what} stepped aside ${ASIDE_TRIES} times for sessions that wanted the table for themselves; the last: ${who}`,
    state: "Nothing is lost: what was committed is in the database, and the run can be resumed.",
    next: `Let the other session finish, then: ${next}`,
  });
}

/** Looks until stopped; when somebody waits, fires the signal and cancels until the step has ended. */
function watchBehind(options: AsideOptions) {
  const found = new AbortController();
  const ended = new AbortController();
  let seen: Waiter | null = null;
  const look = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal: ended.signal });
      try {
        seen ??= await options.waiter(options.afterMs);
        if (seen === null || ended.signal.aborted) continue;
        found.abort(new Error("stepping aside"));
        await options.cancel();
      } catch (error) {
        options.trouble(error);
      }
    }
  };
  const looking = look().catch((error: unknown) => {
    if (!ended.signal.aborted) options.trouble(error);
  });
  return {
    signal: found.signal,
    /** Ends the looking; gives for whom it stepped aside. */
    async stop(): Promise<Waiter | null> {
      ended.abort();
      await looking;
      return found.signal.aborted ? seen : null;
    },
  };
}
