/**
 * One dedicated connection with its settings pinned. Partway has no pool: SET on a pooled handle does not reach the
 * next connection (DESIGN 7.17). Every value comes back as text or null, because values that pass through JavaScript
 * types change (DESIGN 7.19); callers say with zod what a row is.
 */
import type { Writable } from "node:stream";
import type { ConnectionOptions } from "node:tls";
import pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import Cursor from "pg-cursor";
import type { z } from "zod";
import { messageOf, PartwayError } from "../errors.js";
import { SqlPoints } from "../kill-switch.js";
import { connectFailure, type FailedAttempt, NoPassword, worthAnotherWay } from "./connect-failure.js";
import { assertOwnBackend, claimedPid } from "./pooler.js";
import { sqlState } from "./sqlstate.js";
import type { Target } from "./target.js";
import { tlsAttempts } from "./tls.js";

export const APPLICATION_NAME = "partway";

export type Param = string | number | boolean | null | string[];
export type Row = Record<string, string | null>;

/** Everything as text: the server's own representation. */
const AS_TEXT = { getTypeParser: () => (value: string) => value };

/**
 * What each session pins. Role and database defaults (statement_timeout, a foreign search_path, a local time zone)
 * must not reach Partway's own statements. row_security = off turns silently skipped rows into an error (7.16).
 */
const PINNED: readonly (readonly [string, string])[] = [
  ["search_path", ""],
  ["TimeZone", "UTC"],
  ["DateStyle", "ISO, YMD"],
  ["IntervalStyle", "postgres"],
  ["extra_float_digits", "1"],
  ["bytea_output", "hex"],
  ["row_security", "off"],
  ["statement_timeout", "0"],
  ["lock_timeout", "0"],
  ["idle_in_transaction_session_timeout", "0"],
  ["default_transaction_isolation", "read committed"],
  ["default_transaction_read_only", "off"],
  ["default_tablespace", ""],
  ["synchronous_commit", "on"],
  ["client_min_messages", "warning"],
  ["standard_conforming_strings", "on"],
  // What copy and VACUUM write goes to the disk as it comes. Else the kernel gathers hundreds of megabytes for half a
  // minute and then writes them at once, and every COMMIT of the application waits behind them: 630 ms, measured.
  ["backend_flush_after", "1MB"],
  // The server's own defaults take two hours to notice that a client has vanished, with its locks and its snapshot.
  ["tcp_keepalives_idle", "30"],
  ["tcp_keepalives_interval", "10"],
  ["tcp_keepalives_count", "3"],
];

/** A connection says goodbye and waits for the server to hang up; from a server that has vanished nothing comes. */
const GOODBYE_MS = 2_000;

/** Timeouts that not every server knows: transaction_timeout is of PostgreSQL 17. */
const NEWER_TIMEOUTS = ["transaction_timeout", "idle_session_timeout"];

/** One statement: a second one, over pg_settings, took the server longer than this one (5.2 ms to 2.1). */
const PIN = /*sql*/ `SELECT ${[
  ...PINNED.map((_, i) => `pg_catalog.set_config($${i * 2 + 1}, $${i * 2 + 2}, false)`),
  ...NEWER_TIMEOUTS.map(
    (name) =>
      `CASE WHEN pg_catalog.current_setting('${name}', true) IS NOT NULL THEN pg_catalog.set_config('${name}', '0', false) END`,
  ),
].join(", ")}`;

export interface TxOptions {
  isolation?: "read committed" | "repeatable read";
  readOnly?: boolean;
  /** A LOCK TABLE to come before the snapshot: one that is older than a rewrite sees the table empty. */
  lock?: string;
}

export class Session {
  readonly #client: pg.Client;
  readonly pid: number;
  readonly target: Target;
  #lost: Error | null = null;
  #inTransaction = false;
  #closed = false;
  readonly #points = new SqlPoints();
  #waiting: { since: number } | null = null;
  /** Why we broke it ourselves. */
  #broken: Error | null = null;

  private constructor(client: pg.Client, pid: number, target: Target) {
    this.#client = client;
    this.pid = pid;
    this.target = target;
    client.on("error", (error) => {
      this.#lost = error;
    });
    client.on("end", () => {
      this.#lost ??= new Error("the server closed the connection");
    });
  }

  /**
   * Connects and pins the settings; `signal` breaks it off. Errors: `CannotConnect` with the operator's remedy
   * (unreachable, password, database).
   */
  static async open(target: Target, signal?: AbortSignal): Promise<Session> {
    const failures: FailedAttempt[] = [];
    for (const ssl of tlsAttempts(target)) {
      const client = new pg.Client(clientConfig(target, ssl));
      // An error event without a listener would end the process; the promises below reject with the same error.
      const alreadyRejected = (error: unknown) => void error;
      client.on("error", alreadyRejected);
      const breakOff = () => client.connection.stream.destroy(new Error("broken off"));
      // The driver's own timeout ends when the server has let us in; a server may fall silent after that, too.
      const silent = () => client.connection.stream.destroy(new Error("timeout expired"));
      const limit = target.connectTimeoutMs > 0 ? setTimeout(silent, 2 * target.connectTimeoutMs) : undefined;
      signal?.addEventListener("abort", breakOff, { once: true });
      try {
        signal?.throwIfAborted();
        await client.connect();
        const pid = await ownPid(client, () => new pg.Client(clientConfig(target, ssl)), target);
        await client.query(PIN, PINNED.flat());
        const session = new Session(client, pid, target);
        client.off("error", alreadyRejected);
        return session;
      } catch (error) {
        failures.push({ tls: ssl !== false, error });
        await goodbye(client);
        if (error instanceof PartwayError) throw error;
        if (!worthAnotherWay(error) || signal?.aborted === true) break;
      } finally {
        clearTimeout(limit);
        signal?.removeEventListener("abort", breakOff);
      }
    }
    throw connectFailure(target, failures);
  }

  /** True once the connection is known to be gone. */
  get lost(): boolean {
    return this.#lost !== null;
  }

  /** The statement whose answer is awaited, since when (performance.now()); another one is another object. */
  get waiting(): { readonly since: number } | null {
    return this.#waiting;
  }

  /** Takes the connection for dead: what is awaited on it fails with ConnectionLost, now and from here on. */
  break(why: string): void {
    this.#broken ??= new Error(why);
    this.#lost ??= this.#broken;
    this.#client.connection.stream.destroy();
  }

  get inTransaction(): boolean {
    return this.#inTransaction;
  }

  /**
   * Runs one statement, or without parameters several, whose last one's result it gives; rows come back as text. `name`
   * prepares it under that name on this session.
   */
  async query(
    sql: string,
    params: readonly Param[] = [],
    name?: string,
  ): Promise<{ rows: Row[]; count: number; command: string }> {
    if (this.#lost) throw new ConnectionLost(this.#lost);
    const point = this.#points.of(sql, params);
    point.before();
    try {
      const result = await this.#awaiting(
        this.#client.query<Row>({ text: sql, values: [...params], ...(name === undefined ? {} : { name }) }),
      );
      point.after();
      // Several statements in one message have a result each, whatever the type says: theirs is the last one's.
      const last = [result].flat().at(-1) ?? result;
      return { rows: last.rows, count: last.rowCount ?? 0, command: last.command };
    } catch (error) {
      if (this.#lost || isConnectionError(error)) throw new ConnectionLost(this.#broken ?? error);
      throw error;
    }
  }

  /** Rows parsed by `schema`. `name` as for `query`. */
  async rows<T>(
    schema: z.ZodType<T>,
    sql: string,
    params: readonly Param[] = [],
    name?: string,
  ): Promise<T[]> {
    const { rows } = await this.query(sql, params, name);
    return rows.map((row) => schema.parse(row));
  }

  /** Exactly one row parsed by `schema`. `name` as for `query`. */
  async one<T>(schema: z.ZodType<T>, sql: string, params: readonly Param[] = [], name?: string): Promise<T> {
    const row = await this.maybe(schema, sql, params, name);
    if (row === null) throw new Error(`a query that must return one row returned none: ${sql.slice(0, 80)}`);
    return row;
  }

  /** The first row parsed by `schema`, or null. `name` as for `query`. */
  async maybe<T>(
    schema: z.ZodType<T>,
    sql: string,
    params: readonly Param[] = [],
    name?: string,
  ): Promise<T | null> {
    const { rows } = await this.query(sql, params, name);
    const row = rows[0];
    return row === undefined ? null : schema.parse(row);
  }

  /**
   * Runs `work` in a transaction. Any error rolls back and is rethrown. An error of COMMIT itself on a lost
   * connection is a `CommitUnknown`: the transaction may have committed (DESIGN 3.6).
   */
  async tx<T>(work: () => Promise<T>, options: TxOptions = {}): Promise<T> {
    await this.begin(options);
    let result: T;
    try {
      if (options.lock !== undefined) await this.query(options.lock);
      result = await work();
    } catch (error) {
      await this.rollback();
      throw error;
    }
    await this.commit();
    return result;
  }

  async begin(options: TxOptions = {}): Promise<void> {
    const level = (options.isolation ?? "read committed").toUpperCase();
    await this.query(`BEGIN ISOLATION LEVEL ${level}${options.readOnly ? " READ ONLY" : " READ WRITE"}`);
    this.#inTransaction = true;
  }

  async commit(): Promise<void> {
    let command: string;
    try {
      ({ command } = await this.query("COMMIT"));
    } catch (error) {
      if (error instanceof ConnectionLost) throw new CommitUnknown(error);
      throw error;
    } finally {
      this.#inTransaction = false;
    }
    // The server answers COMMIT of a failed transaction with ROLLBACK, and without an error.
    if (command !== "COMMIT")
      throw new Error(`COMMIT was answered with ${command}: the transaction had failed`);
  }

  /** Rolls back; on a lost connection the server does it, so that is not an error here. */
  async rollback(): Promise<void> {
    this.#inTransaction = false;
    if (this.#lost) return;
    try {
      await this.query("ROLLBACK");
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
  }

  /**
   * Reads a query in pieces of `size` rows with a server-side portal; must run inside a transaction. Errors:
   * `ConnectionLost`, also in the middle; what the server says.
   */
  async *cursor(sql: string, params: readonly Param[], size: number): AsyncGenerator<Row[]> {
    if (this.#lost) throw new ConnectionLost(this.#lost);
    const point = this.#points.of(sql, params);
    point.before();
    const cursor = this.#client.query(new Cursor<Row>(sql, [...params], { types: AS_TEXT }));
    let isLost = false;
    try {
      for (;;) {
        const rows = await this.#awaiting(cursor.read(size));
        if (rows.length === 0) return;
        yield rows;
      }
    } catch (error) {
      isLost = this.#lost !== null || isConnectionError(error);
      throw isLost ? new ConnectionLost(this.#broken ?? error) : error;
    } finally {
      if (!isLost) {
        await this.#closeCursor(cursor);
        point.after();
      }
    }
  }

  /** pg-cursor's close waits for the server's readyForQuery, for which a dead connection lets it wait for ever. */
  async #closeCursor(cursor: Cursor<Row>): Promise<void> {
    if (this.#lost) return;
    let off: () => unknown = () => null;
    const end = new Promise<void>((resolve) => {
      this.#client.once("end", resolve);
      off = () => this.#client.off("end", resolve);
    });
    await this.#awaiting(Promise.race([cursor.close(), end])).finally(() => off());
  }

  /** `answer` of the server, seen in `waiting` until it is there. */
  async #awaiting<T>(answer: Promise<T>): Promise<T> {
    const asked = { since: performance.now() };
    this.#waiting = asked;
    try {
      return await answer;
    } finally {
      if (this.#waiting === asked) this.#waiting = null;
    }
  }

  /** COPY ... TO STDOUT as a readable stream of bytes. */
  copyOut(sql: string): NodeJS.ReadableStream {
    return this.#client.query(copyTo(sql));
  }

  /** COPY ... FROM STDIN as a writable stream. */
  copyIn(sql: string): Writable {
    const point = this.#points.of(sql, []);
    point.before();
    return this.#client.query(copyFrom(sql)).once("finish", () => point.after());
  }

  /** Closes the connection. Never throws, and never takes long: a connection that is already gone is closed. */
  async end(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const trouble = await goodbye(this.#client);
    // Looked at after the goodbye: the connection's end has been noted meanwhile.
    this.#lost ??= trouble ?? new Error("the connection was closed");
  }
}

/** Ends the connection, politely if the other side still answers. Gives what went wrong, or null. */
async function goodbye(client: pg.Client): Promise<Error | null> {
  const cut = setTimeout(() => client.connection.stream.destroy(), GOODBYE_MS);
  try {
    await client.end();
    return null;
  } catch (error) {
    return new Error(messageOf(error));
  } finally {
    clearTimeout(cut);
  }
}

/** The connection is gone; what ran outside a transaction may or may not have happened. */
export class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super(`connection to the server lost: ${messageOf(cause)}`, { cause });
    this.name = "ConnectionLost";
  }
}

/** The connection was lost while COMMIT was under way: unknown, not failed. */
export class CommitUnknown extends ConnectionLost {
  constructor(cause: unknown) {
    super(cause);
    this.name = "CommitUnknown";
  }
}

/** Shutdown, crash and the timeouts by which the server ends a session that has gone silent. */
const ENDS_SESSION: ReadonlySet<string> = new Set(["57P01", "57P02", "57P03", "57P05", "25P03", "25P04"]);

/** Does this error of the server or the driver mean that the session has ended? */
export function isConnectionError(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return state.startsWith("08") || ENDS_SESSION.has(state);
  return /connection (terminated|ended|error)|not queryable|ECONNRESET|EPIPE|ETIMEDOUT|read E/i.test(
    messageOf(error),
  );
}

/** Pools found to keep a backend for each session: asked once a process. */
const sessionPools = new Set<string>();

/** The backend that answers. Errors: `refused` behind a pooler in transaction mode, before anything is set. */
async function ownPid(client: pg.Client, connect: () => pg.Client, target: Target): Promise<number> {
  const answer = await client.query<{ pid: string }>("SELECT pg_catalog.pg_backend_pid()::text AS pid");
  const pid = Number(answer.rows[0]?.pid);
  const pool = `${target.host}:${target.port}/${target.database} ${target.user}`;
  if (pid === claimedPid(client) || sessionPools.has(pool)) return pid;
  await assertOwnBackend(client, pid, connect);
  sessionPools.add(pool);
  return pid;
}

/** Everything is said here, so that node-postgres takes nothing from the environment or ~/.pgpass on its own. */
function clientConfig(target: Target, ssl: false | ConnectionOptions): pg.ClientConfig {
  const { password } = target;
  return {
    host: target.hostAddress ?? target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: () => {
      if (password === null) throw new NoPassword();
      return password.reveal();
    },
    ssl,
    sslnegotiation: "postgres",
    application_name: APPLICATION_NAME,
    connectionTimeoutMillis: target.connectTimeoutMs,
    keepAlive: true,
    // A peer that has vanished is noticed in about a minute and a half, not after the system's two hours.
    keepAliveInitialDelayMillis: 10_000,
    types: AS_TEXT,
    ...(target.options ? { options: target.options } : {}),
  };
}
