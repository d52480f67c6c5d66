/**
 * What the clients do to the table, one function an operation. Every write names the row it expects to find, so a row
 * that is not as the ledger says (a stale copy, a row that came back) is found by the next write to it.
 */
import type { AppParam } from "../../../src/demo/application.js";
import { ident, literal } from "../../../src/pg/quote.js";
import { SQLSTATE, sqlState } from "../../../src/pg/sqlstate.js";
import { grave, type Hand, imageOf, living, livingMany, mismatch, record } from "./hand.js";
import {
  amount,
  copyLine,
  insertOf,
  keyEquals,
  keyParts,
  longBody,
  newRow,
  note,
  RETURNING,
  status,
  valuesOf,
} from "./table.js";

/** Each operation and how often the ordinary mix chooses it. */
export const OPERATIONS = {
  insert: [insert, 18],
  insertSome: [insertSome, 6],
  insertBulk: [insertBulk, 1],
  insertOutside: [insertOutside, 1],
  copyIn: [copyIn, 1],
  update: [update, 16],
  updateIndexed: [updateIndexed, 10],
  updateLong: [updateLong, 2],
  updateNothing: [updateNothing, 4],
  updateBulk: [updateBulk, 1],
  setToNull: [setToNull, 6],
  remove: [remove, 7],
  removeBulk: [removeBulk, 1],
  removeAndReinsert: [removeAndReinsert, 5],
  removeAndReinsertElsewhere: [removeAndReinsertElsewhere, 5],
  reinsert: [reinsert, 4],
  changeKey: [changeKey, 5],
  changePartition: [changePartition, 8],
  changePartitionBulk: [changePartitionBulk, 1],
  read: [read, 8],
} as const satisfies Record<string, readonly [(hand: Hand) => Promise<void>, number]>;
export type OperationName = keyof typeof OPERATIONS;

async function insert(hand: Hand): Promise<void> {
  await insertRows(hand, "insert", 1);
}

async function insertSome(hand: Hand): Promise<void> {
  await insertRows(hand, "insert-some", 2 + hand.random.below(20));
}

async function insertBulk(hand: Hand): Promise<void> {
  await insertRows(hand, "insert-bulk", hand.bulk);
}

/** A row no leaf takes yet: before cutover Partway makes its leaf, after it the row is refused (README). */
async function insertOutside(hand: Hand): Promise<void> {
  const { outside } = hand.table.scheme;
  if (outside === null || hand.inBlock) return insert(hand);
  try {
    await insertRows(hand, "insert-outside", 1, outside(hand.random));
    hand.count("outside taken");
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.checkViolation) throw error;
    hand.change.rows.clear();
    hand.count("outside refused");
  }
}

/** COPY gives nothing back, so the rows are read in the same transaction. */
async function copyIn(hand: Hand): Promise<void> {
  if (!hand.inBlock) return insertSome(hand);
  const { table, random, db } = hand;
  const fresh = await freshKeys(hand, 50 + random.below(hand.bulk));
  const rows = fresh.map((key) => newRow(table, random, key, hand.nextMark(), random.chance(hand.longShare)));
  const names = table.columns.map((c) => ident(c.name)).join(", ");
  const taken = await db.copyIn(
    `COPY ${table.sql} (${names}) FROM STDIN`,
    rows.map((row) => copyLine(valuesOf(table, row))).join(""),
  );
  if (taken !== rows.length) hand.fault(`copy: ${rows.length} rows were sent, ${taken} taken`);
  const keys = rows.map((row) => row.key ?? "");
  const found = await db.query(
    "copied",
    `SELECT ${table.key} AS key, ${table.image} AS image FROM ${table.sql} AS t JOIN unnest(${keyArrays(hand, 1)})
       AS known(${keyNames(hand)}) ON ${knownEquals(hand)}`,
    keyColumns(hand, keys),
  );
  record(hand, "copy", keys, found.rows);
}

/** An unindexed column: on a page with room the update is heap-only. */
async function update(hand: Hand): Promise<void> {
  await updateOne(hand, "update", (at) => `amount = $${at}::numeric`, [amount(hand.random)]);
}

async function updateIndexed(hand: Hand): Promise<void> {
  const { random } = hand;
  await updateOne(hand, "update-indexed", (at) => `status = $${at}, note = $${at + 1}`, [
    status(random),
    note(random),
  ]);
}

async function updateLong(hand: Hand): Promise<void> {
  const { random } = hand;
  const body = hand.longShare === 0 ? note(random) : longBody(random);
  await updateOne(hand, "update-long", (at) => `body = $${at}`, [body]);
}

async function setToNull(hand: Hand): Promise<void> {
  await updateOne(hand, "set-null", () => "amount = NULL, note = NULL, body = NULL", []);
}

async function updateNothing(hand: Hand): Promise<void> {
  const key = living(hand);
  if (key === null) return insert(hand);
  const before = imageOf(hand, key);
  await updateOne(hand, "update-nothing", () => "status = t.status", [], key);
  const after = imageOf(hand, key);
  if (after !== before)
    hand.fault(`an update that changes nothing changed key ${key}: ${before} became ${after}`);
}

async function changePartition(hand: Hand): Promise<void> {
  const { column, value } = hand.table.scheme;
  if (column === null) return changeKey(hand);
  const set = (at: number) => `${ident(column.name)} = $${at}::${column.type}`;
  await updateOne(hand, "move", set, [value(hand.random)]);
}

async function changeKey(hand: Hand): Promise<void> {
  const key = living(hand);
  if (key === null) return insert(hand);
  const { db, change, table } = hand;
  const parts = table.shape.columns;
  const fresh = (hand.random.chance(0.5) ? grave(hand) : null) ?? (await freshKeys(hand, 1))[0] ?? "";
  const set = parts.map((c, i) => `${ident(c.name)} = $${parts.length + 2 + i}::${c.type}`).join(", ");
  const sql = `UPDATE ${table.sql} AS t SET ${set} ${one(hand)} ${RETURNING(table)}`;
  change.intended = [key, fresh];
  const { rows } = await db.query("change-key", sql, [...oneParams(hand, key), ...keyParts(table, fresh)]);
  if (rows.length === 1) change.rows.set(key, null);
  record(hand, "change-key", [fresh], rows);
}

async function updateBulk(hand: Hand): Promise<void> {
  const keys = livingMany(hand, hand.bulk);
  await eachOf(hand, "update-bulk", keys, "note = coalesce(t.note, '') || '+'");
}

async function changePartitionBulk(hand: Hand): Promise<void> {
  const { column, value } = hand.table.scheme;
  if (column === null) return updateBulk(hand);
  const keys = livingMany(hand, hand.bulk);
  const set = `${ident(column.name)} = known.part::${column.type}`;
  await eachOf(
    hand,
    "move-bulk",
    keys,
    set,
    keys.map(() => value(hand.random)),
  );
}

export async function removeBulk(hand: Hand): Promise<void> {
  const { table, change, db } = hand;
  const keys = livingMany(hand, hand.bulk);
  change.intended = keys;
  const sql = `DELETE FROM ${table.sql} AS t USING unnest(${keyArrays(hand, 2)}, $1::text[]) AS known(${keyNames(hand)}, image)
     WHERE ${knownEquals(hand)} AND ${table.image} = known.image RETURNING ${table.key} AS key, NULL AS image`;
  const { rows } = await db.query("delete-bulk", sql, [images(hand, keys), ...keyColumns(hand, keys)]);
  record(hand, "delete-bulk", keys, rows);
}

async function remove(hand: Hand): Promise<void> {
  const key = living(hand);
  if (key !== null) await removeKey(hand, key);
}

async function removeAndReinsert(hand: Hand): Promise<void> {
  const key = living(hand);
  if (key !== null) await insertKey(hand, key, await removeKey(hand, key));
}

async function removeAndReinsertElsewhere(hand: Hand): Promise<void> {
  const key = living(hand);
  if (key === null) return;
  await removeKey(hand, key);
  await insertKey(hand, key);
}

async function reinsert(hand: Hand): Promise<void> {
  const key = grave(hand);
  if (key === null) return insert(hand);
  await insertKey(hand, key);
}

async function read(hand: Hand): Promise<void> {
  const key = living(hand);
  if (key === null) return;
  const { table } = hand;
  const { rows } = await hand.db.query(
    "read",
    `SELECT ${table.image} AS image FROM ${table.sql} AS t WHERE ${keyEquals(table, 1)}`,
    keyParts(table, key),
  );
  const must = imageOf(hand, key) ?? "no row";
  const is = rows.map((row) => row.image).join(" and ") || "no row";
  if (is !== must) mismatch(hand, [key], `read key ${key}: must be ${must}, is ${is}`);
}

async function updateOne(
  hand: Hand,
  name: string,
  set: (firstParam: number) => string,
  params: readonly AppParam[],
  chosen?: string,
): Promise<void> {
  const key = chosen ?? living(hand);
  if (key === null) return insert(hand);
  const { table } = hand;
  hand.change.intended = [key];
  const sql = `UPDATE ${table.sql} AS t SET ${set(table.shape.columns.length + 2)} ${one(hand)} ${RETURNING(table)}`;
  const { rows } = await hand.db.query(name, sql, [...oneParams(hand, key), ...params]);
  record(hand, name, [key], rows);
}

/** Gives the partition value that the row had, as text. */
async function removeKey(hand: Hand, key: string): Promise<string | undefined> {
  const { table } = hand;
  const { column } = table.scheme;
  hand.change.intended = [key];
  const part = column === null ? "NULL" : `t.${ident(column.name)}::text`;
  const sql = `DELETE FROM ${table.sql} AS t ${one(hand)} RETURNING ${table.key} AS key, NULL AS image, ${part} AS part`;
  const { rows } = await hand.db.query("delete", sql, oneParams(hand, key));
  record(hand, "delete", [key], rows);
  return rows[0]?.part ?? undefined;
}

/** Inserts a row under a key that had one before; `part` if given. */
async function insertKey(hand: Hand, key: string, part?: string): Promise<void> {
  const { table, random } = hand;
  const row = newRow(table, random, key, hand.nextMark(), random.chance(hand.longShare));
  hand.change.intended = [key];
  const { sql, params } = insertOf(table, [part === undefined ? row : { ...row, part }]);
  const { rows } = await hand.db.query("insert-key", sql, params);
  record(hand, "reinsert", [key], rows);
}

/** Inserts `many` rows under new keys; where the server gives them, their mark finds them if the answer is lost. */
async function insertRows(hand: Hand, name: string, many: number, part?: string): Promise<void> {
  const { table, random, change } = hand;
  const mark = hand.nextMark();
  const given = table.shape.serverGives;
  const made = Array.from({ length: many }, () => {
    const row = newRow(table, random, given ? null : hand.newKey(), mark, random.chance(hand.longShare));
    return part === undefined ? row : { ...row, part };
  });
  change.mark = mark;
  const { sql, params } = insertOf(table, made);
  const { rows } = await hand.db.query(given ? "insert-given" : "insert", sql, params);
  if (rows.length !== many) hand.fault(`${name}: ${many} rows were inserted, ${rows.length} came back`);
  const keys = given ? rows.map((row) => row.key ?? "") : made.map((row) => row.key ?? "");
  if (given) for (const key of keys) mustBeNew(hand, key);
  record(hand, name, keys, rows);
}

/** Keys that had no row before, from the sequence where the server gives them. */
async function freshKeys(hand: Hand, many: number): Promise<string[]> {
  if (!hand.table.shape.serverGives) return Array.from({ length: many }, () => hand.newKey());
  const sequence = `pg_catalog.pg_get_serial_sequence(${literal(hand.table.sql)}, 'id')`;
  const sql = `SELECT pg_catalog.nextval(${sequence})::text AS key FROM generate_series(1, $1::int)`;
  const keys = (await hand.db.query("nextval", sql, [many])).rows.map((row) => row.key ?? "");
  for (const key of keys) mustBeNew(hand, key);
  return keys;
}

/** A key that a sequence gave must be new: one left behind by a migration gives keys out twice (DESIGN 7.20). */
function mustBeNew(hand: Hand, key: string): void {
  if (imageOf(hand, key) !== null) hand.fault(`the sequence gave ${key}, which has a row`);
}

async function eachOf(
  hand: Hand,
  name: string,
  keys: readonly string[],
  set: string,
  parts: readonly string[] = [],
): Promise<void> {
  const { table } = hand;
  hand.change.intended = keys;
  const moved = parts.length > 0;
  const from = `unnest(${keyArrays(hand, moved ? 3 : 2)}, $1::text[]${moved ? ", $2::text[]" : ""})`;
  const sql = `UPDATE ${table.sql} AS t SET ${set} FROM ${from} AS known(${keyNames(hand)}, image${moved ? ", part" : ""})
     WHERE ${knownEquals(hand)} AND ${table.image} = known.image ${RETURNING(table)}`;
  const params = [images(hand, keys), ...(moved ? [parts] : []), ...keyColumns(hand, keys)];
  // Without a key there is no part either: the statement is another one.
  if (keys.length === 0) return hand.done();
  const { rows } = await hand.db.query(name, sql, params);
  record(hand, name, keys, rows);
}

/** Exactly the row of one key with the image it must have: `$1...` the key, the next one the image. */
const one = (hand: Hand) =>
  `WHERE ${keyEquals(hand.table, 1)} AND ${hand.table.image} = $${hand.table.shape.columns.length + 1}`;
const oneParams = (hand: Hand, key: string) => [...keyParts(hand.table, key), imageOf(hand, key)];

/** The same for many: arrays of the key's columns. */
const keyNames = (hand: Hand) => hand.table.shape.columns.map((_, i) => `k${i}`).join(", ");
const keyArrays = (hand: Hand, first: number) =>
  hand.table.shape.columns.map((c, i) => `$${first + i}::${c.type}[]`).join(", ");
const knownEquals = (hand: Hand) =>
  hand.table.shape.columns.map((c, i) => `t.${ident(c.name)} = known.k${i}`).join(" AND ");
const keyColumns = (hand: Hand, keys: readonly string[]) =>
  hand.table.shape.columns.map((_, i) => keys.map((key) => keyParts(hand.table, key)[i] ?? null));
const images = (hand: Hand, keys: readonly string[]) => keys.map((key) => imageOf(hand, key));
