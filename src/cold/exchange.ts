/** The moment in which a leaf goes and its foreign table takes its place. */
import type { Sum } from "../archive/load.js";
import { cancelledBy } from "../backup/stop.js";
import { boundSql, differencesOf } from "../care/definition.js";
import { Present } from "../care/store.js";
import { type CareLeaf, type CareTable, shownName } from "../care/table.js";
import { type CareWork, inLocks } from "../care/work.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { messageOf, PartwayError } from "../errors.js";
import type { StrongLock } from "../pg/locks.js";
import { ident } from "../pg/quote.js";
import { Session } from "../pg/session.js";
import { sqlState } from "../pg/sqlstate.js";
import { sumOf } from "./copy.js";
import type { ColdWay } from "./local.js";
import { giveRights, type Rights, rightsOf } from "./rights.js";
import { COLD_SQL, type ColdRow, coldRows } from "./store.js";
import { isViewThere, makeView, viewOf } from "./view.js";

export const EXCHANGE_SQL = {
  /** Is the leaf the one that was copied, in its place, and the foreign table the one that was proven? */
  ours: /*sql*/ `
SELECT (EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE i.inhrelid = $1::oid AND i.inhparent = $2::oid AND NOT i.inhdetachpending
                  AND n.nspname = $3 AND c.relname = $4)
   AND EXISTS (SELECT FROM partway.partition_cold k
                WHERE k.id = $5 AND k.cooled_at IS NULL AND k.foreign_table = to_regclass($6)::oid))::text AS present`,
  /** Does anybody but `$2` wait for the table, here or on the server that is asked? */
  waited: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::oid AND NOT granted AND pid <> $2::int AND database =
               (SELECT oid FROM pg_database WHERE datname = current_database()))::text AS present`,
} as const;

export const IN_PLACE = "The leaf and its rows are there, attached as before; nothing was dropped.";

export interface Swap {
  leaf: CareLeaf;
  id: string;
  made: { schema: string; name: string };
  columns: readonly ColumnInfo[];
  sum: Sum;
}

/**
 * Out with the leaf and in with the foreign table, in one transaction: first the view is locked, then the table. Who
 * reads either waits, and plans anew; nobody sees the rows missing, or twice.
 */
export async function swap(
  work: CareWork,
  { table, way }: { table: CareTable; way: ColdWay },
  { leaf, id, made, columns, sum }: Swap,
): Promise<void> {
  const { session, observer, settings, deadlockMs, signal } = work;
  const isThere = way.how === "beside" && (await isViewThere(session, table));
  const [parent, name] = [shownName(table), shownName(leaf)];
  const bound = boundSql(leaf.boundText, table.column ?? "");
  if (bound === null) throw new Error(`the bound of ${leaf.name} is no range of one column`);
  const fallback = table.leaves.find((one) => one.bound.kind === "default");
  const strong: StrongLock[] = [
    ...(isThere ? [{ alter: viewLock(table) }] : []),
    { table: `ONLY ${parent}`, mode: "ACCESS EXCLUSIVE" },
    ...(fallback === undefined ? [] : [{ table: shownName(fallback), mode: "ACCESS EXCLUSIVE" } as const]),
    { alter: `ALTER TABLE ${parent} DETACH PARTITION ${name}` },
    { alter: `DROP TABLE ${name}` },
    // Whoever reads the leaf by its name reads on.
    { alter: `ALTER FOREIGN TABLE ${shownName(made)} RENAME TO ${ident(leaf.name)}` },
    ...(way.how === "beside"
      ? []
      : [
          {
            work: `ALTER TABLE ${parent} ATTACH PARTITION ${name} ${bound.forValues}`,
            holdMs: settings.holdBudgetMs,
          },
        ]),
  ];
  let changed = false;
  let rights: Rights = { grants: [], others: [] };
  // Who waits to write into the leaf may hold the table already: we let go before its own deadlock check ends it.
  const bounded = {
    ...settings,
    lockTimeoutMaxMs: Math.min(settings.lockTimeoutMaxMs, Math.floor(deadlockMs * 0.8)),
  };
  const isDone = await stillNeeded(table, leaf, () =>
    inLocks(
      { ...work, settings: bounded },
      {
        ...{ purpose: `exchange of ${leaf.name}`, parent: null, state: `${IN_PLACE} Its copy is proven.` },
        checkLocks: [{ table: name, mode: "SHARE ROW EXCLUSIVE" }],
        check: async () => {
          const { present } = await session.one(Present, EXCHANGE_SQL.ours, [
            leaf.oid,
            table.oid,
            leaf.schema,
            leaf.name,
            id,
            shownName(made),
          ]);
          if (present !== "true") return false;
          // Of a column that came meanwhile the hash of the others says nothing.
          const isAltered = differencesOf(columns, await readColumns(session, leaf.oid)).length > 0;
          if (isAltered) changed = true;
          if (isAltered) return false;
          rights = await rightsOf(session, leaf.oid);
          const open = () => Session.open(session.target);
          const now = await cancelledBy(signal, session, open, () => sumOf(session, { ...leaf, columns }));
          changed = now.rows !== sum.rows || now.hash !== sum.hash;
          return !changed;
        },
        ready: async () => {
          const { present } = await observer.one(Present, EXCHANGE_SQL.waited, [leaf.oid, session.pid]);
          if (present === "true") throw written(table, leaf);
        },
        strong,
        after: async () => {
          const may = way.how === "beside" ? ["SELECT"] : ["SELECT", "INSERT", "UPDATE", "DELETE"];
          await giveRights(session, name, rights, { owner: way.owner, may });
          if (way.owner !== way.role)
            await session.query(`ALTER FOREIGN TABLE ${name} OWNER TO ${ident(way.owner)}`);
          await session.query(COLD_SQL.cooled, [id]);
          if (way.how === "beside")
            await makeView(session, table, await besideOf(session, table.oid), { ...way, isThere });
        },
      },
    ),
  );
  if (isDone) return;
  if (changed) throw written(table, leaf);
  throw new PartwayError("refused", {
    what: `${leaf.name} is not the leaf of ${parent} any more that was copied`,
    state: "Nothing was dropped; the copy is left, and the next run clears it away.",
    next: "partway partitions shows the leaves as they are now.",
  });
}

/** Locks it as its replacement would, and changes nothing: a view of a union has no check option. */
export function viewLock(table: CareTable): string {
  return `ALTER VIEW ${viewOf(table)} RESET (check_option)`;
}

/** The cold leaves that stand beside the table. */
export async function besideOf(
  session: Session,
  oid: string,
): Promise<{ oid: string; schema: string; name: string }[]> {
  const isBeside = ({ how, cooledAt, isWarm }: ColdRow) => how === "beside" && cooledAt !== null && !isWarm;
  return (await coldRows(session, oid))
    .filter(isBeside)
    .map(({ id, foreignOid, schema, name, foreignName }) => {
      // Without it the view would be made anew, and its rows be out of sight.
      if (foreignOid === null || foreignName === null)
        throw new PartwayError("refused", {
          what: `the foreign table of the cold leaf ${name} is not there, or does not read its copy any more`,
          state: "The view was not made anew; nothing was changed.",
          next: `Make it as it was. If its rows are to be out of sight: DELETE FROM partway.partition_cold WHERE id = '${id}'`,
        });
      return { oid: foreignOid, schema, name: foreignName };
    });
}

function written(table: CareTable, leaf: CareLeaf, cause?: unknown): PartwayError {
  const said = {
    what: `the leaf ${leaf.name} of ${shownName(table)} was written into, or altered, while it was copied`,
    state: `${IN_PLACE} Every row is in it.`,
    next: "The same command again copies it anew, when it is written no more.",
  };
  return new PartwayError("difference", said, { cause });
}

/** 42804: the foreign table lacks what was altered. 2BP01: a view or a foreign key is of the leaf itself; 23503: rows of it are referred to; 42P16: the view's columns. */
async function stillNeeded<T>(table: CareTable, leaf: CareLeaf, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const state = sqlState(error) ?? "";
    if (state === "42804") throw written(table, leaf, error);
    const next =
      state === "42P16"
        ? `The columns of ${shownName(table)} have changed: DROP VIEW ${viewOf(table)}, and it is made anew.`
        : "Remove what refers to it, then the same command again.";
    if (!["2BP01", "23503", "42P16"].includes(state)) throw error;
    const what = `the leaf ${leaf.name} of ${shownName(table)} cannot be exchanged: ${messageOf(error)}`;
    throw new PartwayError("refused", { what, state: IN_PLACE, next }, { cause: error });
  }
}
