/** Connections of the bench to the server it started, and databases that are copied for each measurement. */
import pg from "pg";
import { z } from "zod";
import { ident } from "../../src/pg/quote.js";

/** `url` with another database. */
export function urlOf(superuserUrl: string, database: string): string {
  const url = new URL(superuserUrl);
  url.pathname = `/${encodeURIComponent(database)}`;
  return url.href;
}

/** Runs `work` on a connection that is closed afterwards. */
export async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: "partway-bench" });
  // A connection that is lost (the run was cut off) fails the statement that waits, or the next one: told there.
  client.on("error", () => undefined);
  await client.connect();
  try {
    await client.query("SET TimeZone = 'UTC'");
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The first column of the first row as a number. */
export async function numberOf(client: pg.Client, sql: string, params: unknown[] = []): Promise<number> {
  const { rows } = await client.query<unknown[]>({ text: sql, values: params, rowMode: "array" });
  return z.coerce.number().parse(rows[0]?.[0]);
}

/** Bytes of WAL between two moments; the position that is being inserted at, not what has been written out. */
export const walPosition = (client: pg.Client): Promise<number> =>
  numberOf(client, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')");

/**
 * A copy of `template`, file by file, for `work`; dropped afterwards. Everybody begins alike: the same files, right
 * after a checkpoint (the copy makes one), the table read once.
 */
export async function withCopy<T>(
  superuserUrl: string,
  template: string,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const name = `bench_${process.hrtime.bigint().toString(36)}`;
  const url = urlOf(superuserUrl, name);
  await connected(superuserUrl, (admin) =>
    admin.query(`CREATE DATABASE ${ident(name)} TEMPLATE ${ident(template)} STRATEGY file_copy`),
  );
  try {
    await connected(url, (client) => client.query("SELECT count(*), max(note) FROM public.orders"));
    return await work(url);
  } finally {
    await connected(superuserUrl, (admin) => admin.query(`DROP DATABASE ${ident(name)} WITH (FORCE)`));
  }
}

/** `tasks` on `width` connections, in their order. */
export async function onConnections<T>(
  url: string,
  width: number,
  tasks: readonly T[],
  work: (client: pg.Client, task: T) => Promise<unknown>,
): Promise<void> {
  const left = tasks.values();
  await Promise.all(
    Array.from({ length: width }, () =>
      connected(url, async (client) => {
        for (const task of left) await work(client, task);
      }),
    ),
  );
}
