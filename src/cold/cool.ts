/**
 * A leaf's rows on another server, and the leaf away: twin, copy, indexes, foreign table, proof, and one transaction that
 * takes the leaf out and puts the foreign table in its place. Until that commits, the leaf is what queries read.
 */
import { randomBytes } from "node:crypto";
import type { Sum } from "../archive/load.js";
import { cancelledBy } from "../backup/stop.js";
import { namesIn } from "../care/create.js";
import { boundSql, differencesOf } from "../care/definition.js";
import { makeOnce, Present } from "../care/store.js";
import { type CareLeaf, type CareTable, shownName } from "../care/table.js";
import { type CareWork, inLocks } from "../care/work.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { messageOf, PartwayError } from "../errors.js";
import type { StrongLock } from "../pg/locks.js";
import { ident, qualified } from "../pg/quote.js";
import { Session } from "../pg/session.js";
import { sqlState } from "../pg/sqlstate.js";
import type { Target } from "../pg/target.js";
import { freeName, shorten } from "../plan/names.js";
import { copyToTwin, sumOf } from "./copy.js";
import type { ColdWay } from "./local.js";
import { COLD_SQL, type ColdRow, coldRows, noteVerified } from "./store.js";
import { dropTwin, hasTwin, indexTwin, makeTwin, Text, TWIN_SQL, type Twin } from "./twin.js";
import { foreignSql, isViewThere, makeView, viewOf } from "./view.js";

export const COOL_SQL = {
  /** Is the leaf the one that was copied, in its place, and does nobody wait to write into it? */
  ours: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE i.inhrelid = $1::oid AND i.inhparent = $2::oid AND NOT i.inhdetachpending
                  AND n.nspname = $3 AND c.relname = $4)::text AS present`,
  checks: /*sql*/ `
SELECT format('CONSTRAINT %I CHECK (%s)', conname, pg_get_expr(conbin, conrelid)) AS text
  FROM pg_constraint WHERE conrelid = $1::oid AND contype = 'c' ORDER BY conname`,
  waited: /*sql*/ `
SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::oid AND NOT granted AND pid <> $2::int AND database =
               (SELECT oid FROM pg_database WHERE datname = current_database()))::text AS present`,
  foreignOf: /*sql*/ `
SELECT 'DROP FOREIGN TABLE ' || f.oid::regclass AS text FROM pg_class f WHERE f.oid = $1::oid AND f.relkind = 'f' AND NOT f.relispartition`,
} as const;

const IN_PLACE = "The leaf and its rows are there, attached as before; nothing was dropped.";

export interface Cooling {
  table: CareTable;
  way: ColdWay;
  target: Target;
  /** On the cold server. */
  cold: Session;
}

export interface Cooled {
  id: string;
  rows: number;
  hash: string;
}

/**
 * Moves one leaf; a copy that an earlier run has proven, and whose exchange it did not come to, is read again and kept.
 * Errors: `difference` where what is read back is not what was copied, or the leaf changed meanwhile; `refused`,
 * `lock-busy`: the leaf is in its place.
 */
export async function coolLeaf(work: CareWork, cooling: Cooling, leaf: CareLeaf): Promise<Cooled> {
  const { session } = work;
  const { table } = cooling;
  await makeOnce(session, COLD_SQL.exists, COLD_SQL.make);
  const columns = await readColumns(session, leaf.oid);
  const left = (await coldRows(session, table.oid)).filter(
    (row) => row.leaf === leaf.oid && row.cooledAt === null,
  );
  const kept = await provenOf(cooling, left, columns);
  if (kept === null) await clearUnfinished(session, cooling.cold, left);
  const { id, made, sum } = kept ?? (await copyLeaf(work, cooling, leaf, columns));
  try {
    await prove(work, leaf, made, columns, sum);
    if (kept === null) await noteVerified(session, id, { ...sum, columns });
    await swap(work, cooling, { leaf, id, made, columns, sum });
  } catch (error) {
    if (error instanceof PartwayError && error.kind === "difference")
      await session.query(COLD_SQL.untrue, [id]);
    throw error;
  }
  return { id, ...sum };
}

interface Copy {
  id: string;
  /** The foreign table that reads it. */
  made: { schema: string; name: string };
  sum: Sum;
}

/** What an earlier run has proven, where it still is what this one would make. */
async function provenOf(
  { way, cold }: Cooling,
  left: readonly ColdRow[],
  columns: readonly ColumnInfo[],
): Promise<Copy | null> {
  const [row, ...others] = left;
  if (row === undefined || others.length > 0) return null;
  const { id, schema, rows, hash, foreignName, server, how } = row;
  if (rows === null || hash === null || foreignName === null) return null;
  if (server !== way.server || how !== way.how || !(await hasTwin(cold, row))) return null;
  if (differencesOf(row.columns ?? [], columns).length > 0) return null;
  return { id, made: { schema, name: foreignName }, sum: { rows, hash } };
}

async function copyLeaf(
  work: CareWork,
  { table, way, target, cold }: Cooling,
  leaf: CareLeaf,
  columns: readonly ColumnInfo[],
): Promise<Copy> {
  const { session, signal, onArchive } = work;
  const id = `cold-${randomBytes(8).toString("hex")}`;
  await session.query(COLD_SQL.begin, [
    ...[id, table.oid, leaf.oid, leaf.schema, leaf.name, leaf.boundText, way.server, way.how],
  ]);
  const condition = boundSql(leaf.boundText, table.column ?? "")?.condition ?? "";
  const twin: Twin = { id, schema: leaf.schema, name: leaf.name, columns, condition };
  const indexes = (await session.rows(Text, TWIN_SQL.indexes, [leaf.oid])).map(({ text }) => text);
  await makeTwin(cold, twin);
  const onBytes = (bytes: number) => onArchive?.(leaf.name, "written", bytes);
  const sum = await copyToTwin(target, cold, twin, signal, onBytes);
  await cancelledBy(
    signal,
    cold,
    () => Session.open(cold.target),
    () => indexTwin(cold, indexes),
  );
  await cold.query(`ANALYZE ${qualified(twin.schema, twin.name)}`);
  const foreign = freeName(`${shorten(leaf.name, 55)}_cold`, new Set(await namesIn(session, leaf.schema)));
  const made = { schema: leaf.schema, name: foreign };
  await session.tx(async () => {
    const checks = [`CONSTRAINT ${ident(`${shorten(leaf.name, 50)}_bound`)} CHECK (${condition})`];
    // ATTACH wants those of the table by their names.
    if (way.how === "attached")
      checks.push(...(await session.rows(Text, COOL_SQL.checks, [table.oid])).map(({ text }) => text));
    await session.query(foreignSql({ ...made, server: way.server, twin, columns, checks, how: way.how }));
    await session.query(COLD_SQL.made, [id, shownName(made)]);
  });
  return { id, made, sum };
}

/** What an interrupted run has left of this leaf goes, here and there; the leaf is in its place. */
async function clearUnfinished(session: Session, cold: Session, left: readonly ColdRow[]): Promise<void> {
  for (const row of left) {
    await session.tx(async () => {
      const found =
        row.foreignOid === null ? [] : await session.rows(Text, COOL_SQL.foreignOf, [row.foreignOid]);
      for (const { text } of found) await session.query(text);
    });
    await dropTwin(cold, row);
    await session.query(COLD_SQL.forget, [row.id]);
  }
}

/** Through the foreign table, by the server that will read it: whatever lies between is part of the proof. */
async function prove(
  { session, signal }: CareWork,
  leaf: CareLeaf,
  made: { schema: string; name: string },
  columns: readonly ColumnInfo[],
  sum: Sum,
): Promise<void> {
  const open = () => Session.open(session.target);
  const read = await cancelledBy(signal, session, open, () => sumOf(session, { ...made, columns })).catch(
    (error: unknown) => {
      throw unreadable(error, leaf, made);
    },
  );
  if (read.rows === sum.rows && read.hash === sum.hash) return;
  throw new PartwayError("difference", {
    what:
      read.rows === sum.rows
        ? `the ${read.rows} rows that ${shownName(made)} reads are not those of the leaf ${leaf.name}: their content hash differs`
        : `${shownName(made)} reads ${read.rows} rows, the leaf ${leaf.name} has ${sum.rows}`,
    state: IN_PLACE,
    next: "Look whether the foreign server and --to name the same database, and whether somebody writes there; then the same command again.",
  });
}

function unreadable(error: unknown, leaf: CareLeaf, made: { schema: string; name: string }): unknown {
  const state = sqlState(error) ?? "";
  // HV: of foreign data; 08: no connection; 28: no password; 42: nothing there under that name, or no right.
  if (!/^(HV|08|28|2F|42)/.test(state)) return error;
  return new PartwayError(
    "refused",
    {
      what: `the copy of ${leaf.name} cannot be read through the foreign server: ${messageOf(error)}`,
      state: IN_PLACE,
      next: `Mend the foreign server or the user mapping (its role has to be able to read ${shownName(made)} there), then the same command again.`,
    },
    { cause: error },
  );
}

interface Swap {
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
async function swap(
  work: CareWork,
  { table, way }: Cooling,
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
          const { present } = await session.one(Present, COOL_SQL.ours, [
            leaf.oid,
            table.oid,
            leaf.schema,
            leaf.name,
          ]);
          if (present !== "true") return false;
          const open = () => Session.open(session.target);
          const now = await cancelledBy(signal, session, open, () => sumOf(session, { ...leaf, columns }));
          changed = now.rows !== sum.rows || now.hash !== sum.hash;
          return !changed;
        },
        ready: async () => {
          const { present } = await observer.one(Present, COOL_SQL.waited, [leaf.oid, session.pid]);
          if (present === "true") throw written(table, leaf);
        },
        strong,
        after: async () => {
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

/** Locks it as its replacement would, and changes nothing. */
export function viewLock(table: CareTable): string {
  return `ALTER VIEW ${viewOf(table)} RESET (security_barrier)`;
}

/** The cold leaves that stand beside the table. */
export async function besideOf(
  session: Session,
  oid: string,
): Promise<{ oid: string; schema: string; name: string }[]> {
  const isBeside = ({ how, cooledAt, isWarm, foreignOid }: ColdRow) =>
    how === "beside" && cooledAt !== null && !isWarm && foreignOid !== null;
  return (await coldRows(session, oid)).filter(isBeside).map(({ foreignOid, schema, foreignName }) => ({
    oid: foreignOid ?? "",
    schema,
    name: foreignName ?? "",
  }));
}

function written(table: CareTable, leaf: CareLeaf): PartwayError {
  return new PartwayError("difference", {
    what: `the leaf ${leaf.name} of ${shownName(table)} was written into while it was copied`,
    state: `${IN_PLACE} Every row is in it.`,
    next: "The same command again copies it anew, when it is written no more.",
  });
}

/** 2BP01: a view or a foreign key is of the leaf itself; 23503: rows of it are referred to; 42P16: the view's columns. */
async function stillNeeded<T>(table: CareTable, leaf: CareLeaf, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const state = sqlState(error) ?? "";
    const next =
      state === "42P16"
        ? `The columns of ${shownName(table)} have changed: DROP VIEW ${viewOf(table)}, and it is made anew.`
        : "Remove what refers to it, then the same command again.";
    if (!["2BP01", "23503", "42P16"].includes(state)) throw error;
    const what = `the leaf ${leaf.name} of ${shownName(table)} cannot be exchanged: ${messageOf(error)}`;
    throw new PartwayError("refused", { what, state: IN_PLACE, next }, { cause: error });
  }
}
