/**
 * A new leaf: made apart, then ATTACHed, in one transaction, so that a run that is killed leaves nothing half made. What
 * ATTACH locks (tried on 15 and 18): the parent and its indexes SHARE UPDATE EXCLUSIVE; DEFAULT ACCESS EXCLUSIVE; tables
 * on both ends of foreign keys SHARE ROW EXCLUSIVE. Only when rows move out of DEFAULT the partitioned table is locked
 * in ACCESS EXCLUSIVE: split.ts.
 */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import type { StrongLock } from "../pg/locks.js";
import { ident, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { freeName, shorten } from "../plan/names.js";
import type { NewLeaf } from "./decide.js";
import { rowsWait, splitOf } from "./split.js";
import { type CareTable, shownName } from "./table.js";
import { standaloneDdl, type Template } from "./template.js";
import { type CareWork, inLocks } from "./work.js";

const CREATE_SQL = {
  /** A table's row type takes its name among the types of the schema too. */
  names: /*sql*/ `
    SELECT relname::text AS name FROM pg_class WHERE relnamespace = $1::regnamespace
    UNION SELECT typname::text FROM pg_type WHERE typnamespace = $1::regnamespace`,
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
  const attach = async (split: StrongLock[]) => {
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
        if (template.identity === "i" && template.leaf !== null)
          await takeIdentity(session, template.leaf, made);
      },
    });
  };
  const fallback = table.leaves.find(({ bound }) => bound.kind === "default");
  if (fallback === undefined) return attach([]);
  const lock = { table: shownName(fallback), mode: "ACCESS EXCLUSIVE" } as const;
  const split = { table, fallback, leaf, made, range };
  try {
    if (await rowsWait(work, fallback, range)) return await attach(await splitOf(work, split));
    try {
      return await attach([lock]);
    } catch (error) {
      // A row came in between, or could not be looked for.
      if (sqlState(error) !== SQLSTATE.checkViolation || !(await rowsWait(work, fallback, range)))
        throw error;
      return await attach(await splitOf(work, split));
    }
  } catch (error) {
    throw withBudget(error);
  }
}

/** The replica identity by index of `model`, an OID, for the leaf `made`. */
export async function takeIdentity(session: Session, model: string, made: string): Promise<void> {
  const Index = z.object({ plain: z.string() });
  const found = await session.maybe(Index, CREATE_SQL.identityIndex, [model, made]);
  if (found !== null)
    await session.query(`ALTER TABLE ${made} REPLICA IDENTITY USING INDEX ${ident(found.plain)}`);
}

function withBudget(error: unknown): unknown {
  if (!(error instanceof PartwayError) || error.kind !== "lock-busy") return error;
  const next = `${error.next}; where nobody is in the way, the DEFAULT leaf is large: --hold-budget 30s locks it longer`;
  return new PartwayError("lock-busy", { what: error.message, state: error.state, next }, { cause: error });
}
