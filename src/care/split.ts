/**
 * Rows that wait in DEFAULT and belong into a new leaf. Their move needs ACCESS EXCLUSIVE on the partitioned table first:
 * a statement planned before it would look for them in DEFAULT after it, so an INSERT would fail and an UPDATE would
 * find nothing (tried on 18). The lock is had in tries like a cutover's, and held for the hold budget at most.
 */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import { PartwayError } from "../errors.js";
import { type StrongLock, setLocal } from "../pg/locks.js";
import { ident, identList } from "../pg/quote.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { NewLeaf } from "./decide.js";
import { Present } from "./store.js";
import { type CareLeaf, type CareTable, shownName } from "./table.js";
import type { CareWork } from "./work.js";

const SPLIT_SQL = {
  writable: /*sql*/ `
    SELECT attname::text AS name FROM pg_attribute
     WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
  /** Triggers that a DELETE on the leaf would fire; foreign keys' own are internal. 8: DELETE. */
  triggers: /*sql*/ `
    SELECT tgname::text AS name, tgenabled = 'A' AS always FROM pg_trigger
     WHERE tgrelid = $1::oid AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 8 <> 0 ORDER BY tgname`,
  /** Of the table or of DEFAULT alone. */
  referenced: /*sql*/ `
    SELECT conrelid::regclass::text AS name FROM pg_constraint
     WHERE contype = 'f' AND confrelid IN ($1::oid, $2::oid) ORDER BY 1 LIMIT 1`,
  /** By name, by schema or with all tables; of DEFAULT, the table, or one that this table is a leaf of. */
  published: /*sql*/ `
    SELECT p.pubname::text AS name
      FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
      JOIN pg_partition_ancestors($1::oid) AS a ON a.relid::oid = c.oid
     ORDER BY 1 LIMIT 1`,
} as const;

const Name = z.object({ name: z.string() });

export interface Split {
  table: CareTable;
  fallback: CareLeaf;
  leaf: NewLeaf;
  /** The new leaf, quoted. */
  made: string;
  /** Its condition. */
  range: string;
}

/** Whether DEFAULT holds rows of the range. False, too, where it is locked: then the ATTACH will tell. */
export async function rowsWait(
  { session, settings }: CareWork,
  fallback: CareLeaf,
  range: string,
): Promise<boolean> {
  try {
    return await session.tx(async () => {
      await setLocal(session, "lock_timeout", settings.lockTimeoutMaxMs);
      const sql = `SELECT EXISTS (SELECT FROM ${shownName(fallback)} WHERE ${range})::text AS present`;
      return (await session.one(Present, sql)).present === "true";
    });
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
    return false;
  }
}

/**
 * The locks and the move. The rows only change places, so no trigger fires for it. Errors: `refused` where a DELETE
 * would act on what foreign keys hold, where a subscriber would lose the rows, or where DEFAULT is a foreign table.
 */
export async function splitOf(
  { session, settings }: CareWork,
  { table, fallback, leaf, made, range }: Split,
): Promise<StrongLock[]> {
  const [referrer] = await session.rows(Name, SPLIT_SQL.referenced, [table.oid, fallback.oid]);
  const [publication] = await session.rows(Name, SPLIT_SQL.published, [fallback.oid]);
  const obstacle =
    referrer !== undefined
      ? `foreign keys point at the table (of ${referrer.name})`
      : publication !== undefined
        ? `publication ${publication.name} carries the table: a subscriber would lose them`
        : fallback.kind === "foreign"
          ? "it is a foreign table"
          : null;
  if (obstacle !== null)
    throw new PartwayError("refused", {
      what: `the DEFAULT leaf of ${shownName(table)} holds rows from ${leaf.from} to ${leaf.to}, and ${obstacle}`,
      state: `Nothing was changed; leaf ${leaf.name} was not made, and its rows go on into DEFAULT.`,
      next: "Move those rows by hand (runbooks/partition-missing.md), then the same command again.",
    });
  const names = await session.rows(Name, SPLIT_SQL.writable, [table.oid]);
  const columns = identList(names.map(({ name }) => name));
  const Trigger = z.object({ name: z.string(), always: z.boolean() });
  const triggers = await jsonRows(session, Trigger, SPLIT_SQL.triggers, [fallback.oid]);
  const from = shownName(fallback);
  const alter = `ALTER TABLE ${from}`;
  return [
    // ONLY: the other leaves are not touched.
    { table: `ONLY ${shownName(table)}`, mode: "ACCESS EXCLUSIVE" },
    { table: from, mode: "ACCESS EXCLUSIVE" },
    ...triggers.map(({ name }) => ({ alter: `${alter} DISABLE TRIGGER ${ident(name)}` })),
    {
      holdMs: settings.holdBudgetMs,
      work:
        `WITH moved AS (DELETE FROM ${from} WHERE ${range} RETURNING ${columns}) ` +
        `INSERT INTO ${made} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM moved`,
    },
    ...triggers.map(({ name, always }) => ({
      alter: `${alter} ENABLE ${always ? "ALWAYS " : ""}TRIGGER ${ident(name)}`,
    })),
  ];
}
