/** Tables in care beside each other: one is tended by the program, its twin by the functions in the database. */
import { expect } from "vitest";
import { z } from "zod";
import { type Mode, maintainTable } from "../../src/care/maintain.js";
import { makeCareStore, readPolicies, writePolicy } from "../../src/care/store.js";
import type { PartitionPolicy } from "../../src/config/schema.js";
import { install } from "../../src/insql/install.js";
import { literal, qualified } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";

export const Result = z.object({
  result: z.string(),
  partition_name: z.string().nullable(),
  row_count: z.string().nullable(),
  ok: z.enum(["t", "f"]),
});

/** The functions, on a clock of the test's own. */
export async function installOn(session: Session, now?: string): Promise<void> {
  await makeCareStore(session);
  await install(session, "0.1.0");
  if (now !== undefined) await setClock(session, now);
}

/** The one thing a test replaces: everything goes by this function. */
export async function setClock(session: Session, now: string): Promise<void> {
  await session.query(
    `CREATE OR REPLACE FUNCTION partway._now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT ${literal(`${now}+00`)}::timestamptz $$`,
  );
}

export async function oidOf(session: Session, schema: string, name: string): Promise<string> {
  const Oid = z.object({ oid: z.string() });
  return (await session.one(Oid, "SELECT to_regclass($1)::oid::text AS oid", [qualified(schema, name)])).oid;
}

/** A policy for the table; the rows of partition_config are what both read. */
export async function adoptAs(
  session: Session,
  schema: string,
  name: string,
  policy: PartitionPolicy,
): Promise<string> {
  const oid = await oidOf(session, schema, name);
  await writePolicy(session, oid, policy);
  return oid;
}

/** Maintenance of one table by the program. */
export async function maintainAs(session: Session, observer: Session, oid: string, mode: Mode, now: string) {
  const settings = { lockTimeoutMs: 100, lockTimeoutMaxMs: 300, lockTries: 30, holdBudgetMs: 5000 };
  const stored = (await readPolicies(session)).find((row) => row.oid === oid);
  if (stored === undefined || stored.policy === null) throw new Error("the table is not in care");
  const signal = new AbortController().signal;
  const work = { session, observer, settings, signal, deadlockMs: 1000, onTry: () => undefined };
  return maintainTable(work, { oid, policy: stored.policy, mode, now });
}

/** Name and bound of each leaf. */
export async function leavesOf(session: Session, oid: string): Promise<string[]> {
  const Leaf = z.object({ leaf: z.string() });
  const rows = await session.rows(
    Leaf,
    `SELECT c.relname || ' ' || pg_get_expr(c.relpartbound, c.oid) AS leaf
       FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::oid ORDER BY 1`,
    [oid],
  );
  return rows.map(({ leaf }) => leaf);
}

export const rowsOf = (session: Session, sql: string) => session.rows(Result, sql);

/**
 * Has the server tell its statistics of rows at once. Before 15 a session tells them at a transaction's end, twice a second
 * at most, and there is nothing to hurry it: then somebody looks until they are there.
 */
export async function toldNow(session: Session): Promise<void> {
  const There = z.object({ there: z.enum(["t", "f"]) });
  const isThere = "SELECT (to_regprocedure('pg_stat_force_next_flush()') IS NOT NULL) AS there";
  if ((await session.one(There, isThere)).there === "t") {
    await session.query("SELECT pg_stat_force_next_flush()");
    return;
  }
  const told =
    "SELECT coalesce(sum(n_tup_ins), 0) > 0 AS there FROM pg_stat_user_tables WHERE schemaname = 'public'";
  await expect
    .poll(() => session.one(There, told), { timeout: 30_000, interval: 20 })
    .toEqual({ there: "t" });
}
