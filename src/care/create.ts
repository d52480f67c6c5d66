/**
 * A new leaf, without ACCESS EXCLUSIVE on the partitioned table: made apart, then ATTACHed, in one transaction, so that
 * a run that is killed leaves nothing half made. What ATTACH locks (tried on 15 and 18): the parent and its indexes
 * SHARE UPDATE EXCLUSIVE; DEFAULT ACCESS EXCLUSIVE; tables on both ends of foreign keys SHARE ROW EXCLUSIVE.
 */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import { PartwayError } from "../errors.js";
import type { StrongLock } from "../pg/locks.js";
import { ident, identList, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { freeName, shorten } from "../plan/names.js";
import type { NewLeaf } from "./decide.js";
import { type CareTable, shownName } from "./table.js";
import { standaloneDdl, type Template } from "./template.js";
import { type CareWork, inLocks } from "./work.js";

const CREATE_SQL = {
  /** A table's row type takes its name among the types of the schema too. */
  names: /*sql*/ `
    SELECT relname::text AS name FROM pg_class WHERE relnamespace = $1::regnamespace
    UNION SELECT typname::text FROM pg_type WHERE typnamespace = $1::regnamespace`,
  writable: /*sql*/ `
    SELECT attname::text AS name FROM pg_attribute
     WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
  /** Triggers that a DELETE on the leaf would fire; foreign keys' own are internal. 8: DELETE. */
  triggers: /*sql*/ `
    SELECT tgname::text AS name, tgenabled = 'A' AS always FROM pg_trigger
     WHERE tgrelid = $1::oid AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 8 <> 0 ORDER BY tgname`,
  referenced: /*sql*/ `
    SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::oid) AS yes`,
  /** The new leaf's index that corresponds to the model's replica identity. */
  identityIndex: /*sql*/ `
    SELECT made.indexrelid::regclass::text AS name, c.relname::text AS plain
      FROM pg_index old JOIN pg_inherits oi ON oi.inhrelid = old.indexrelid
      JOIN pg_inherits ni ON ni.inhparent = oi.inhparent
      JOIN pg_index made ON made.indexrelid = ni.inhrelid AND made.indrelid = $2::regclass
      JOIN pg_class c ON c.oid = made.indexrelid
     WHERE old.indrelid = $1::oid AND old.indisreplident`,
} as const;

const Name = z.object({ name: z.string() });

/** Every name that a new leaf in `schema` cannot have. */
export async function namesIn(session: Session, schema: string): Promise<string[]> {
  return (await session.rows(Name, CREATE_SQL.names, [ident(schema)])).map(({ name }) => name);
}

/** Makes the leaf and attaches it, rows of its range that wait in DEFAULT included. Errors: `lock-busy`, `refused`. */
export async function createLeaf(
  work: CareWork,
  table: CareTable,
  template: Template,
  leaf: NewLeaf,
): Promise<void> {
  const { session } = work;
  const parent = shownName(table);
  const made = qualified(template.schema, leaf.name);
  const column = ident(table.column ?? "");
  const range = `${column} >= ${literal(leaf.from)} AND ${column} < ${literal(leaf.to)}`;
  const check = freeName(`${shorten(leaf.name, 50)}_bound`, new Set());
  const split = await splitOf(session, table, made, range, work.settings.holdBudgetMs);
  try {
    await inLocks(work, {
      purpose: `new leaf ${leaf.name}`,
      parent,
      before: async () => {
        const expression = `${column} IS NOT NULL AND ${range}`;
        for (const sql of standaloneDdl(template, parent, leaf.name, { name: check, expression }))
          await session.query(sql);
      },
      strong: [
        ...split,
        {
          holdMs: work.settings.holdBudgetMs,
          work: `ALTER TABLE ${parent} ATTACH PARTITION ${made} FOR VALUES FROM (${literal(leaf.from)}) TO (${literal(leaf.to)})`,
        },
      ],
      after: async () => {
        await session.query(`ALTER TABLE ${made} DROP CONSTRAINT ${ident(check)}`);
        if (template.identity === "i" && template.leaf !== null) await identity(session, template.leaf, made);
      },
    });
  } catch (error) {
    throw explained(error, table, leaf);
  }
}

/**
 * With a DEFAULT leaf: its lock, and the move of the rows that belong into the new one. They only change places, so no
 * trigger fires for it. Where foreign keys point at the table a DELETE would act on what they hold: nothing is moved.
 */
async function splitOf(
  session: Session,
  table: CareTable,
  made: string,
  range: string,
  holdMs: number,
): Promise<StrongLock[]> {
  const fallback = table.leaves.find(({ bound }) => bound.kind === "default");
  if (fallback === undefined) return [];
  const from = shownName(fallback);
  const lock = { table: from, mode: "ACCESS EXCLUSIVE" } as const;
  const [found] = await jsonRows(session, z.object({ yes: z.boolean() }), CREATE_SQL.referenced, [table.oid]);
  if (found?.yes === true || fallback.kind === "foreign") return [lock];
  const columns = identList(
    (await session.rows(Name, CREATE_SQL.writable, [table.oid])).map(({ name }) => name),
  );
  const Trigger = z.object({ name: z.string(), always: z.boolean() });
  const triggers = await jsonRows(session, Trigger, CREATE_SQL.triggers, [fallback.oid]);
  const alter = `ALTER TABLE ${from}`;
  return [
    lock,
    ...triggers.map(({ name }) => ({ alter: `${alter} DISABLE TRIGGER ${ident(name)}` })),
    {
      holdMs,
      work:
        `WITH moved AS (DELETE FROM ${from} WHERE ${range} RETURNING ${columns}) ` +
        `INSERT INTO ${made} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM moved`,
    },
    ...triggers.map(({ name, always }) => ({
      alter: `${alter} ENABLE ${always ? "ALWAYS " : ""}TRIGGER ${ident(name)}`,
    })),
  ];
}

async function identity(session: Session, model: string, made: string): Promise<void> {
  const Index = z.object({ plain: z.string() });
  const found = await session.maybe(Index, CREATE_SQL.identityIndex, [model, made]);
  if (found !== null)
    await session.query(`ALTER TABLE ${made} REPLICA IDENTITY USING INDEX ${ident(found.plain)}`);
}

function explained(error: unknown, table: CareTable, leaf: NewLeaf): unknown {
  const hasDefault = table.leaves.some(({ bound }) => bound.kind === "default");
  if (error instanceof PartwayError && error.kind === "lock-busy" && hasDefault) {
    const next = `${error.next}; where nobody is in the way, the DEFAULT leaf is large: --hold-budget 30s locks it longer`;
    return new PartwayError("lock-busy", { what: error.message, state: error.state, next }, { cause: error });
  }
  if (sqlState(error) !== SQLSTATE.checkViolation) return error;
  return new PartwayError(
    "refused",
    {
      what: `the DEFAULT leaf of ${shownName(table)} holds rows from ${leaf.from} to ${leaf.to}, and foreign keys point at the table`,
      state: `Nothing was changed; leaf ${leaf.name} was not made, and its rows go on into DEFAULT.`,
      next: "Move those rows by hand (runbooks/partition-missing.md), then the same command again.",
    },
    { cause: error },
  );
}
