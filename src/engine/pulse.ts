/**
 * Is the server still there? A peer that has vanished, or a network that swallows everything, gives no error: a run
 * would wait for ever and say nothing. So the server is asked from time to time; and a statement whose backend rests
 * or is gone, though we wait for its answer, will never get one (a firewall that forgot one connection).
 */
import { z } from "zod";
import { messageOf } from "../errors.js";
import { CannotConnect } from "../pg/connect-failure.js";
import { ConnectionLost, type Session } from "../pg/session.js";

export interface PulseOptions {
  /** Asked; nothing else that may take long runs on it. */
  helper(): Session;
  /** Those that are watched, the helper apart. */
  sessions(): Iterable<Session>;
  /** Makes anew what the phases do not miss when it is lost: the helper itself, the holder of the advisory lock. */
  mend(): Promise<void>;
  /** Silence that is told to the operator, and silence after which every connection is taken for dead, ms. */
  tellMs: number;
  breakMs: number;
  tell(message: string): void;
}

const SQL = {
  resting: /*sql*/ `
SELECT p.pid::text AS pid FROM unnest($1::int[]) AS p(pid) LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
 WHERE a.pid IS NULL OR (a.state LIKE 'idle%' AND a.state_change < clock_timestamp() - make_interval(secs => $2::float8))`,
} as const;

const Pid = z.object({ pid: z.coerce.number() });

export class Pulse {
  readonly #o: PulseOptions;
  readonly #timer: NodeJS.Timeout;
  /** The question that is out, since when; told: the operator knows. */
  #asked: { since: number; told: boolean } | null = null;
  /** Statements that found their backend at rest the last time. */
  #suspects = new Set<object>();

  constructor(options: PulseOptions) {
    this.#o = options;
    this.#timer = setInterval(() => this.#beat(), Math.min(options.tellMs / 2, 10_000));
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    const { tellMs, breakMs, tell } = this.#o;
    if (this.#asked === null) {
      void this.#ask();
      return;
    }
    const silentMs = performance.now() - this.#asked.since;
    if (silentMs >= breakMs) {
      this.stop();
      const why = `the server has not answered for ${Math.round(silentMs / 1000)} s`;
      for (const session of [this.#o.helper(), ...this.#o.sessions()]) session.break(why);
    } else if (silentMs >= tellMs && !this.#asked.told) {
      this.#asked.told = true;
      tell(
        `the server has not answered for ${Math.round(silentMs / 1000)} s; after ${Math.round(breakMs / 1000)} s the connections are taken for dead and made anew`,
      );
    }
  }

  async #ask(): Promise<void> {
    this.#asked = { since: performance.now(), told: false };
    try {
      await this.#o.mend();
      await this.#look();
    } catch (error) {
      // A server that is gone is the phases' to notice; only what is not that is news.
      if (!(error instanceof ConnectionLost || error instanceof CannotConnect))
        this.#o.tell(`watching the connections failed: ${messageOf(error)}`);
    } finally {
      this.#asked = null;
    }
  }

  /** Breaks a connection whose statement was found with its backend at rest twice. */
  async #look(): Promise<void> {
    const long = performance.now() - this.#o.tellMs;
    const waiting = [...this.#o.sessions()].flatMap((session) =>
      session.waiting !== null && session.waiting.since < long
        ? [{ session, statement: session.waiting }]
        : [],
    );
    const pids = `{${waiting.map(({ session }) => session.pid).join(",")}}`;
    const rows = await this.#o.helper().rows(Pid, SQL.resting, [pids, this.#o.tellMs / 1000]);
    const resting = new Set(rows.map((row) => row.pid));
    const found = waiting.filter(
      ({ session, statement }) => session.waiting === statement && resting.has(session.pid),
    );
    for (const { session, statement } of found)
      if (this.#suspects.has(statement))
        session.break("the server waits for us and we for it: an answer was lost");
    this.#suspects = new Set(found.map(({ statement }) => statement));
  }
}
