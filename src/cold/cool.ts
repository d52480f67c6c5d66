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
import type { CareWork } from "../care/work.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { messageOf, PartwayError } from "../errors.js";
import { ident, qualified } from "../pg/quote.js";
import { ConnectionLost, Session } from "../pg/session.js";
import { sqlState } from "../pg/sqlstate.js";
import type { Target } from "../pg/target.js";
import { freeName, shorten } from "../plan/names.js";
import { coldWaitMs, copyToTwin, sumOf } from "./copy.js";
import { IN_PLACE, swap } from "./exchange.js";
import type { ColdWay } from "./local.js";
import { COLD_SQL, type ColdRow, coldRows, noteVerified } from "./store.js";
import {
  dropTwin,
  hasTwin,
  homeOf,
  indexTwin,
  makeTwin,
  Text,
  TWIN_SQL,
  type Twin,
  withTwin,
} from "./twin.js";
import { foreignSql } from "./view.js";

export const COOL_SQL = {
  /** May we become that role, and can it see the schema? */
  become: /*sql*/ `
SELECT (pg_has_role(current_user, $1::name, $2) AND has_schema_privilege($1::name, $3, 'USAGE'))::text AS present`,
  checks: /*sql*/ `
SELECT format('CONSTRAINT %I CHECK (%s)', conname, pg_get_expr(conbin, conrelid)) AS text
  FROM pg_constraint WHERE conrelid = $1::oid AND contype = 'c' ORDER BY conname`,
  foreignOf: /*sql*/ `
SELECT 'DROP FOREIGN TABLE ' || f.oid::regclass AS text FROM pg_class f WHERE f.oid = $1::oid AND f.relkind = 'f' AND NOT f.relispartition`,
} as const;

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
    // What is proven stays what it is until the leaf has gone.
    await withTwin(cooling.cold, { id, schema: leaf.schema, name: leaf.name }, coldWaitMs(work), async () => {
      await prove(work, leaf, made, columns, sum);
      await tryUsers(work, cooling.way, leaf, made);
      if (kept === null) await noteVerified(session, id, { ...sum, columns });
      await swap(work, cooling, { leaf, id, made, columns, sum });
    });
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
  const twin: Twin = { id, schema: leaf.schema, name: leaf.name, columns, condition, how: way.how };
  const indexes = (await session.rows(Text, TWIN_SQL.indexes, [leaf.oid])).map(({ text }) => text);
  await makeTwin(cold, twin, await homeOf(session));
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
    if (!(await dropTwin(cold, row, await homeOf(session))))
      throw new PartwayError("refused", {
        what: `${qualified(row.schema, row.name)} on the cold server was not left there by this database, or not as it is`,
        state: `${IN_PLACE} Nothing was dropped there, either.`,
        next: "Look there, and rename or drop it by hand; then the same command again.",
      });
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
      throw unreadable(seen(session, error), leaf, made);
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

/**
 * Whoever the server would read it as reads it once, in a transaction that is rolled back: a mapping may be there, and of a
 * password that is not, or of a role that may not read. Of roles that we cannot become nothing is known.
 */
async function tryUsers(
  { session, signal }: CareWork,
  way: ColdWay,
  leaf: CareLeaf,
  made: { schema: string; name: string },
): Promise<void> {
  const name = shownName(made);
  for (const user of way.users) {
    signal.throwIfAborted();
    await session.begin();
    try {
      const { present } = await session.one(Present, COOL_SQL.become, [user, way.become, made.schema]);
      if (present !== "true") continue;
      await session.query(`GRANT SELECT ON ${name} TO ${ident(user)}`);
      await session.query(`SET LOCAL ROLE ${ident(user)}`);
      await session.one(Present, `SELECT EXISTS (SELECT FROM ${name})::text AS present`);
    } catch (error) {
      throw unreadable(seen(session, error), leaf, made, user);
    } finally {
      await session.rollback();
    }
  }
}

/** What the cold server says of a connection is not said of ours. */
function seen(session: Session, error: unknown): unknown {
  return error instanceof ConnectionLost && !session.lost ? error.cause : error;
}

function unreadable(
  error: unknown,
  leaf: CareLeaf,
  made: { schema: string; name: string },
  user?: string,
): unknown {
  const state = sqlState(error) ?? "";
  // HV: of foreign data; 08: no connection; 28: no password; 42: nothing there under that name, or no right.
  if (!/^(HV|08|28|2F|42)/.test(state)) return error;
  return new PartwayError(
    "refused",
    {
      what: `the copy of ${leaf.name} cannot be read through the foreign server${user === undefined ? "" : ` by ${user}`}: ${messageOf(error)}`,
      state: IN_PLACE,
      next: `Mend the foreign server or the user mapping (its role has to be able to read ${shownName(made)} there), then the same command again.`,
    },
    { cause: error },
  );
}
