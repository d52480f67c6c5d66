/**
 * What the application does to its table, one function an operation. Every write names the row it expects to find, so
 * a row that is not as the ledger says (a stale copy, a row that came back) is found by the next write to it.
 */
import { literal, qualified } from "../pg/quote.js";
import type { AppConnection, AppParam, AppRow } from "./application.js";
import type { Change, OwnKeys } from "./change.js";
import type { Ledger } from "./ledger.js";
import { IMAGE, imageHash, type TableName } from "./orders.js";
import type { Random } from "./random.js";

/** One client's view of its world while an operation runs. */
export interface Hand {
  db: AppConnection;
  ledger: Ledger;
  keys: OwnKeys;
  random: Random;
  table: TableName;
  change: Change;
  /** The span of created_at that has leaves, as the server printed it. */
  window: { from: string; to: string };
  /** A mark no other statement of this writer has. */
  nextMark(): string;
  /** The table is not as the ledger says. */
  fault(message: string): void;
  /** A statement is done: in autocommit its change is now committed. */
  done(): void;
}

/** Each operation and how often it is chosen. */
export const OPERATIONS = [
  [insert, 22],
  [insertBackdated, 6],
  [update, 22],
  [setToNull, 6],
  [updateNothing, 4],
  [remove, 7],
  [removeAndReinsert, 5],
  [reinsert, 4],
  [changeKey, 4],
  [changePartitionKey, 8],
  [insertMany, 3],
  [updateMany, 4],
  [removeMany, 1],
  [read, 8],
] as const satisfies readonly (readonly [(hand: Hand) => Promise<void>, number])[];

const COLUMNS = "customer_id, status, amount, note, payload";
const STATUSES = ["new", "paid", "sent", "done", "back"];
/** Point in the window, `at` between 0 and 1: keeps microseconds, unlike a Date. */
const inWindow = (from: string, to: string, at: string) =>
  `${from}::timestamptz + (${to}::timestamptz - ${from}::timestamptz) * ${at}::float8`;
const RETURNING = `RETURNING t.id::text AS id, ${IMAGE} AS image`;
const ONE = `WHERE t.id = $1::bigint AND ${IMAGE} = $2`;

async function insert(hand: Hand): Promise<void> {
  await insertRows(hand, "insert", 1, `(${COLUMNS}) VALUES (${VALUES})`);
}

async function insertBackdated(hand: Hand): Promise<void> {
  const { from, to } = hand.window;
  const sql = `(${COLUMNS}, created_at) VALUES (${VALUES}, ${inWindow("$6", "$7", "$8")})`;
  await insertRows(hand, "insert-backdated", 1, sql, [from, to, hand.random.next()]);
}

async function insertMany(hand: Hand): Promise<void> {
  const many = 5 + hand.random.below(25);
  const sql = `(${COLUMNS}) SELECT ${VALUES} FROM generate_series(1, $6::int)`;
  await insertRows(hand, "insert-many", many, sql, [many]);
}

async function update(hand: Hand): Promise<void> {
  const { random } = hand;
  await updateOne(hand, "update", "status = $3, amount = $4::numeric, updated_at = now()", [
    status(random),
    amount(random),
  ]);
}

async function setToNull(hand: Hand): Promise<void> {
  await updateOne(hand, "set-null", "amount = NULL, note = NULL, payload = NULL", []);
}

async function changePartitionKey(hand: Hand): Promise<void> {
  const { from, to } = hand.window;
  await updateOne(hand, "move", `created_at = ${inWindow("$3", "$4", "$5")}`, [from, to, hand.random.next()]);
}

async function updateNothing(hand: Hand): Promise<void> {
  const key = await living(hand);
  if (key === null) return insert(hand);
  const before = imageOf(hand, key);
  await updateOne(hand, "update-nothing", "status = t.status", [], key);
  const after = imageOf(hand, key);
  if (after !== before)
    hand.fault(`an update that changes nothing changed id ${key}: ${before} became ${after}`);
}

async function changeKey(hand: Hand): Promise<void> {
  const key = await living(hand);
  if (key === null) return insert(hand);
  const { db, change } = hand;
  let fresh = hand.random.chance(0.5) ? hand.keys.grave((k) => imageOf(hand, k)) : null;
  if (fresh === null) {
    const sequence = `pg_catalog.pg_get_serial_sequence(${literal(sqlName(hand))}, 'id')`;
    const { rows } = await db.query("nextval", `SELECT pg_catalog.nextval(${sequence})::text AS id`);
    fresh = Number(rows[0]?.id);
    freshId(hand, fresh);
  }
  const sql = `UPDATE ${sqlName(hand)} AS t SET id = $3::bigint, updated_at = now() ${ONE} ${RETURNING}`;
  change.intended = [key, fresh];
  const { rows } = await db.query("change-key", sql, [key, imageOf(hand, key) ?? null, fresh]);
  if (rows.length === 1) change.rows.set(key, null);
  record(hand, "change-key", [fresh], rows);
}

async function updateMany(hand: Hand): Promise<void> {
  await eachOf(
    hand,
    "update-many",
    5 + hand.random.below(20),
    `UPDATE ${sqlName(hand)} AS t SET note = coalesce(t.note, '') || '+', updated_at = now()
     FROM unnest($1::bigint[], $2::text[]) AS known(id, image)
     WHERE t.id = known.id AND ${IMAGE} = known.image ${RETURNING}`,
  );
}

async function removeMany(hand: Hand): Promise<void> {
  await eachOf(
    hand,
    "delete-many",
    3 + hand.random.below(8),
    `DELETE FROM ${sqlName(hand)} AS t USING unnest($1::bigint[], $2::text[]) AS known(id, image)
     WHERE t.id = known.id AND ${IMAGE} = known.image RETURNING t.id::text AS id, NULL AS image`,
  );
}

async function remove(hand: Hand): Promise<void> {
  const key = await living(hand);
  if (key !== null) await removeKey(hand, key);
}

async function removeAndReinsert(hand: Hand): Promise<void> {
  const key = await living(hand);
  if (key === null) return;
  await removeKey(hand, key);
  await insertKey(hand, key);
}

async function reinsert(hand: Hand): Promise<void> {
  const key = hand.keys.grave((k) => imageOf(hand, k));
  if (key === null) return insert(hand);
  await insertKey(hand, key);
}

async function read(hand: Hand): Promise<void> {
  const key = await living(hand);
  if (key === null) return;
  const { rows } = await hand.db.query(
    "read",
    `SELECT ${IMAGE} AS image FROM ${sqlName(hand)} AS t WHERE t.id = $1::bigint`,
    [key],
  );
  const must = imageOf(hand, key) ?? "no row";
  const is = rows.map((row) => row.image).join(" and ") || "no row";
  if (is !== must) hand.fault(`read id ${key}: must be ${must}, is ${is}`);
}

/** The row of `key` as this client's own transaction must see it; undefined: nobody has looked yet. */
export function imageOf(hand: Pick<Hand, "change" | "ledger">, key: number): string | null | undefined {
  const changed = hand.change.rows.get(key);
  return changed === undefined ? hand.ledger.get(key) : changed;
}

/** A key of this client that has a row, half the time one from before the writer began; null when none is found. */
async function living(hand: Hand): Promise<number | null> {
  const made = hand.random.chance(0.5) ? hand.keys.made((key) => imageOf(hand, key)) : null;
  if (made !== null) return made;
  for (let tries = 0; tries < 4; tries++) {
    const key = hand.keys.initial();
    if (key === null) break;
    if (imageOf(hand, key) === undefined) await meet(hand, key);
    if (imageOf(hand, key) !== null) return key;
  }
  return hand.keys.made((key) => imageOf(hand, key));
}

async function meet(hand: Hand, key: number): Promise<void> {
  const { rows } = await hand.db.query(
    "meet",
    `SELECT ${IMAGE} AS image, ${imageHash(IMAGE)}::text AS hash FROM ${sqlName(hand)} AS t WHERE t.id = $1::bigint`,
    [key],
  );
  if (rows.length > 1) hand.fault(`id ${key} has ${rows.length} rows`);
  hand.ledger.meet(key, rows[0]?.image ?? null, rows[0]?.hash ?? null);
}

async function updateOne(
  hand: Hand,
  name: string,
  set: string,
  params: readonly AppParam[],
  chosen?: number,
): Promise<void> {
  const key = chosen ?? (await living(hand));
  if (key === null) return insert(hand);
  hand.change.intended = [key];
  const sql = `UPDATE ${sqlName(hand)} AS t SET ${set} ${ONE} ${RETURNING}`;
  const { rows } = await hand.db.query(name, sql, [key, imageOf(hand, key) ?? null, ...params]);
  record(hand, name, [key], rows);
}

async function removeKey(hand: Hand, key: number): Promise<void> {
  hand.change.intended = [key];
  const sql = `DELETE FROM ${sqlName(hand)} AS t ${ONE} RETURNING t.id::text AS id, NULL AS image`;
  const { rows } = await hand.db.query("delete", sql, [key, imageOf(hand, key) ?? null]);
  record(hand, "delete", [key], rows);
}

/** Inserts a row under a key that had one before, with a created_at anywhere in the window. */
async function insertKey(hand: Hand, key: number): Promise<void> {
  const { from, to } = hand.window;
  hand.change.intended = [key];
  const sql = `INSERT INTO ${sqlName(hand)} AS t (${COLUMNS}, created_at, id)
     VALUES (${VALUES}, ${inWindow("$6", "$7", "$8")}, $9::bigint) ${RETURNING}`;
  const params = [...values(hand.random, hand.nextMark()), from, to, hand.random.next(), key];
  const { rows } = await hand.db.query("reinsert", sql, params);
  record(hand, "reinsert", [key], rows);
}

/** Inserts `many` rows whose ids the sequence gives; their mark finds them if the answer is lost. */
async function insertRows(
  hand: Hand,
  name: string,
  many: number,
  columnsAndValues: string,
  more: readonly AppParam[] = [],
): Promise<void> {
  const mark = hand.nextMark();
  hand.change.mark = mark;
  const sql = `INSERT INTO ${sqlName(hand)} AS t ${columnsAndValues} ${RETURNING}`;
  const { rows } = await hand.db.query(name, sql, [...values(hand.random, mark), ...more]);
  const keys = rows.map((row) => Number(row.id));
  if (keys.length !== many) hand.fault(`${name}: ${many} rows were inserted, ${keys.length} came back`);
  for (const key of keys) freshId(hand, key);
  record(hand, name, keys, rows);
}

/** An id that a sequence gave must be new: a sequence left behind by a migration gives ids out twice (DESIGN 7.20). */
function freshId(hand: Hand, key: number): void {
  if (key <= hand.ledger.maxInitial || imageOf(hand, key) !== undefined)
    hand.fault(`the sequence gave id ${key}, which was used before`);
}

async function eachOf(hand: Hand, name: string, many: number, sql: string): Promise<void> {
  const known = new Map<number, string>();
  for (let n = 0; n < many; n++) {
    const key = await living(hand);
    const image = key === null ? null : imageOf(hand, key);
    if (key !== null && typeof image === "string") known.set(key, image);
  }
  hand.change.intended = [...known.keys()];
  const { rows } = await hand.db.query(name, sql, [[...known.keys()].map(String), [...known.values()]]);
  record(hand, name, [...known.keys()], rows);
}

/** Takes over what the server returned; exactly the rows of `keys` must have come back. */
function record(hand: Hand, name: string, keys: readonly number[], rows: readonly AppRow[]): void {
  const missing = new Set(keys);
  for (const row of rows) {
    const key = Number(row.id);
    if (!missing.delete(key)) hand.fault(`${name}: id ${key} came back unasked or twice`);
    hand.change.rows.set(key, row.image ?? null);
  }
  for (const key of missing) hand.fault(`${name}: id ${key} is not ${imageOf(hand, key) ?? "there"}`);
  hand.change.intended = [];
  hand.change.mark = null;
  hand.done();
}

const VALUES = "$1::int, $2, $3::numeric, $4, jsonb_build_object('mark', $5::text)";

function values(random: Random, mark: string): AppParam[] {
  const note = random.chance(0.3)
    ? null
    : random.chance(0.1)
      ? ""
      : `it's (a, "b") \\ ${random.below(1000)} ü`;
  return [1 + random.below(50_000), status(random), amount(random), note, mark];
}

const status = (random: Random) => STATUSES[random.below(STATUSES.length)] ?? "new";
const amount = (random: Random) =>
  random.chance(0.1) ? null : `${random.below(10_000)}.${10 + random.below(90)}`;
const sqlName = (hand: Hand) => qualified(hand.table.schema, hand.table.name);
