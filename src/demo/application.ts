/**
 * A connection of the application that the demo and the tests play. It imports `pg` itself, on purpose: it must
 * behave like somebody's application (server defaults, search_path, prepared statements), not like Partway's sessions.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { messageOf } from "../errors.js";
import { sqlState } from "../pg/sqlstate.js";

/** Every column any of the writer's statements returns, as text. */
export type AppRow = Partial<
  Record<
    | ("id" | "image" | "hash" | "range" | "rows" | "max" | "from" | "to")
    // The writers of test/support/writers ask for these as well.
    | ("key" | "part" | "n" | "keys" | "leaf"),
    string | null
  >
>;
export type AppParam = string | number | null | readonly (string | null)[];

/** Rows are compared as text, so what decides how the server prints them is fixed. */
const PRINTING = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET extra_float_digits = 1";
const RECONNECT_LIMIT_MS = 60_000;

/** True when the connection is gone with this error, so that what was in flight may or may not have been done. */
export function connectionGone(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return state.startsWith("08") || ["57P01", "57P02", "57P03"].includes(state);
  return /connection|not queryable|ECONN|EPIPE|ETIMEDOUT/i.test(messageOf(error));
}

/** How long statements take; shared by all clients of a writer. */
export class Stopwatch {
  statements = 0;
  #longest = 0;
  readonly #running = new Set<number>();

  /** The longest time any statement has taken so far, those still running included, in ms. */
  get longestMs(): number {
    const now = performance.now();
    return Math.max(this.#longest, ...[...this.#running].map((since) => now - since));
  }

  async time<T>(work: () => Promise<T>): Promise<T> {
    // Two statements may begin in one tick: the set needs distinct numbers.
    let since = performance.now();
    while (this.#running.has(since)) since += 0.0001;
    this.#running.add(since);
    this.statements++;
    try {
      return await work();
    } finally {
      this.#running.delete(since);
      this.#longest = Math.max(this.#longest, performance.now() - since);
    }
  }
}

export class AppConnection {
  readonly #url: string;
  readonly #watch: Stopwatch;
  /** Whether statements are prepared under a name, as many drivers and ORMs do. */
  readonly #prepared: boolean;
  #client: pg.Client | null = null;
  /** Statements sent, for pacing. */
  sent = 0;
  #backend: { pid: string; started: string } | null = null;

  constructor(url: string, watch: Stopwatch, prepared: boolean) {
    this.#url = url;
    this.#watch = watch;
    this.#prepared = prepared;
  }

  /** Runs one statement; `name` tells statements with different SQL apart. */
  async query(
    name: string,
    sql: string,
    params: readonly AppParam[] = [],
  ): Promise<{ rows: AppRow[]; count: number }> {
    const client = this.#client;
    if (client === null) throw new Error("the application's connection is closed");
    this.sent++;
    const result = await this.#watch.time(() =>
      client.query<AppRow>({ text: sql, values: [...params], ...(this.#prepared ? { name } : {}) }),
    );
    return { rows: result.rows, count: result.rowCount ?? 0 };
  }

  /** COPY ... FROM STDIN; gives the number of rows the server took. */
  async copyIn(sql: string, text: string): Promise<number> {
    const client = this.#client;
    if (client === null) throw new Error("the application's connection is closed");
    this.sent++;
    const stream = client.query(copyFrom(sql));
    await this.#watch.time(() => pipeline(Readable.from([text]), stream));
    return stream.rowCount;
  }

  /** Transaction control, never prepared. */
  async control(sql: string): Promise<void> {
    const client = this.#client;
    if (client === null) throw new Error("the application's connection is closed");
    this.sent++;
    await this.#watch.time(() => client.query(sql));
  }

  async connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: "partway demo writer",
      keepAlive: true,
      types: { getTypeParser: () => (value: string) => value },
    });
    client.on("error", (error) => this.#dropped(error));
    await client.connect();
    this.#client = client;
    await client.query(PRINTING);
    const { rows } = await client.query<{ pid: string; started: string }>(
      "SELECT pid::text, backend_start::text AS started FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()",
    );
    this.#backend = rows[0] ?? null;
  }

  /**
   * Connects again after a loss, trying for a minute, and returns only when the lost connection's backend has ended:
   * until then its last transaction may still commit (DESIGN 3.6).
   */
  async reconnect(): Promise<void> {
    const before = this.#backend;
    await this.end();
    const deadline = performance.now() + RECONNECT_LIMIT_MS;
    for (;;) {
      try {
        await this.connect();
        if (before !== null) await this.#outlive(before);
        return;
      } catch (error) {
        await this.end();
        this.#backend = before;
        if (performance.now() > deadline) throw error;
        await delay(50);
      }
    }
  }

  async end(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.end().catch((error: unknown) => this.#dropped(error));
  }

  async #outlive(backend: { pid: string; started: string }): Promise<void> {
    for (;;) {
      const { rowCount } = (await this.#client?.query(
        `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
         WHERE pid = $1::int AND backend_start::text = $2`,
        [backend.pid, backend.started],
      )) ?? { rowCount: 0 };
      if (rowCount === 0) return;
      await delay(10);
    }
  }

  /** Why the connection was lost the last time, for messages. */
  lastLoss: string | null = null;

  /** A lost connection shows in the next query's error; here it only must not crash the process. */
  #dropped(error: unknown): void {
    this.lastLoss = messageOf(error);
  }
}
