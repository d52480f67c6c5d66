/**
 * The kill campaign is complete only if everything that changes something has a number. The server is asked: a
 * statement without one must not have written a row of any table or catalog, nor called a function that acts.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { proceed, run } from "../../src/api.js";
import { createOrders } from "../../src/demo/writer.js";
import { changes } from "../../src/kill-switch.js";
import { type Param, Session } from "../../src/pg/session.js";
import { freshDatabase } from "../support/database.js";

const TABLE = { schema: "public", name: "orders" };
/** They cannot write by their nature, and a look at the statistics between them would take a snapshot too early. */
const NO_QUERY = /^\s*(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|SHOW|LOCK)\b/i;

/** Rows of tables and catalogs that this session has written, pending transactions included. */
const WRITTEN_SQL = `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text AS n
  FROM pg_catalog.pg_stat_xact_all_tables`;

/** Volatile by their nature, but they only read, or act within their own transaction or session. */
const ONLY_READ = new Set([
  ...["set_config", "clock_timestamp", "pg_export_snapshot", "pg_partition_tree", "pg_blocking_pids"],
  ...["pg_indexes_size", "pg_relation_size", "pg_total_relation_size", "pg_is_in_recovery"],
  ...["pg_current_wal_lsn", "pg_wal_lsn_diff", "pg_control_checkpoint"],
  // TABLESAMPLE SYSTEM (...) is no call.
  "system",
]);

/** Watches every statement that has no number. */
function audit() {
  const original = Session.prototype.query;
  const wrote = new Set<string>();
  const called = new Set<string>();
  let unnumbered = 0;
  const written = async (session: Session) => (await original.call(session, WRITTEN_SQL)).rows[0]?.["n"];
  vi.spyOn(Session.prototype, "query").mockImplementation(async function (
    this: Session,
    sql: string,
    params: readonly Param[] = [],
    name?: string,
  ) {
    if (changes(sql) || NO_QUERY.test(sql)) return original.call(this, sql, params, name);
    unnumbered += 1;
    for (const [, fn] of sql.matchAll(/\b([a-z_][a-z0-9_]*)\s*\(/gi))
      if (fn !== undefined) called.add(fn.toLowerCase());
    const own = !this.inTransaction;
    if (own) await original.call(this, "BEGIN");
    try {
      const before = await written(this);
      const result = await original.call(this, sql, params, name);
      if ((await written(this)) !== before) wrote.add(sql);
      return result;
    } finally {
      if (own) await original.call(this, "COMMIT");
    }
  });
  return { wrote, called, unnumbered: () => unnumbered };
}

afterEach(() => vi.restoreAllMocks());

test("a statement that changes something would have no number, and nobody would be killed at it", async () => {
  const db = await freshDatabase();
  const state = mkdtempSync(join(tmpdir(), "partway-numbers-"));
  const session = await db.session();
  await createOrders(session, { ...TABLE, rows: 600, months: 14 });
  const found = audit();
  const options = { url: db.ownerUrl, hold: false };
  const cut = {
    ...options,
    table: "orders",
    by: "created_at",
    every: "year",
    batchBlocks: "16",
    holdBudget: "20s",
  };
  const ended = async (running: Promise<Awaited<ReturnType<typeof run>>>, outcome: string) => {
    const { outcome: was, error } = await (await running).finished;
    expect(was, error?.message).toBe(outcome);
  };
  const at = (name: string) => ({ state: join(state, name) });
  await ended(run({ ...cut, ...at("a"), until: "validate" }), "ready-for-cutover");
  await ended(proceed("abort", { ...options, ...at("a") }), "aborted");
  await ended(run({ ...cut, ...at("b"), backup: false }), "retained");
  await session.query("UPDATE public.orders SET note = 'since cutover' WHERE id < 50");
  await ended(proceed("rollback", { ...options, ...at("b") }), "rolled-back");
  await session.query("DROP TABLE public.orders_partitioned_failed");
  await ended(run({ ...cut, ...at("c"), backup: false }), "retained");
  await ended(proceed("finalize", { ...options, ...at("c"), force: "orders" }), "done");

  expect(found.unnumbered()).toBeGreaterThan(200);
  expect([...found.wrote]).toEqual([]);
  const { rows } = await session.query(
    `SELECT DISTINCT proname AS name FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE provolatile = 'v' AND proname = ANY ($1::text[]) AND nspname <> 'information_schema' ORDER BY 1`,
    [[...found.called]],
  );
  expect(rows.map((row) => row["name"]).filter((name) => !ONLY_READ.has(name ?? ""))).toEqual([]);

  // The watch can see: a query that looks harmless and writes.
  await session.query(`CREATE FUNCTION public.sneaky() RETURNS text LANGUAGE sql AS
    $$ UPDATE public.orders SET note = 'sneaky' WHERE id = 1 RETURNING note $$`);
  await session.query("SELECT public.sneaky()");
  expect([...found.wrote]).toEqual(["SELECT public.sneaky()"]);
  vi.restoreAllMocks();
  rmSync(state, { recursive: true, force: true });
  await db.drop();
});
