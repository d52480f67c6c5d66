/** The table the writers write to: its columns, its SQL, its rows as one text each. */
import type { AppConnection, AppParam } from "../../../src/demo/application.js";
import { Random } from "../../../src/demo/random.js";
import { ident, qualified } from "../../../src/pg/quote.js";
import type { KeyShape, Scheme } from "./shapes.js";

export interface WrittenTable {
  schema: string;
  name: string;
  /** Quoted, qualified. */
  sql: string;
  shape: KeyShape;
  scheme: Scheme;
  /** Some transaction may TRUNCATE: then every writing transaction asks the table `gen` first (client.ts). */
  truncates: boolean;
  /** Quoted, qualified: which truncations there were. */
  gen: string;
  /** The key of row `t` as text, and the row as one text. */
  key: string;
  image: string;
  /** Of everything an INSERT gives, in order. */
  columns: readonly { name: string; type: string }[];
}

/** Values above this many characters stand in the image as their length and md5. */
const LONG = 100;

export function writtenTable(options: {
  schema?: string;
  name?: string;
  shape: KeyShape;
  scheme: Scheme;
  truncates?: boolean;
}): WrittenTable {
  const { schema = "public", name = "items", shape, scheme, truncates = false } = options;
  const columns = [
    ...shape.columns,
    ...(scheme.column === null ? [] : [scheme.column]),
    { name: "status", type: "text" },
    { name: "amount", type: "numeric" },
    { name: "note", type: "text" },
    { name: "mark", type: "text" },
    { name: "body", type: "text" },
  ];
  const body = `CASE WHEN length(t.body) > ${LONG} THEN length(t.body) || ' ' || md5(t.body) ELSE t.body END`;
  const image = columns.map((c) => (c.name === "body" ? body : `t.${ident(c.name)}`)).join(", ");
  return {
    ...{ schema, name, shape, scheme, truncates, columns },
    sql: qualified(schema, name),
    gen: qualified(schema, `${name}_gen`),
    key: shape.columns.map((c) => `t.${ident(c.name)}::text`).join(" || '|' || "),
    image: `row(${image})::text`,
  };
}

/** A row to insert. */
export interface NewRow {
  /** null: the server gives it. */
  key: string | null;
  part: string;
  status: string;
  amount: string | null;
  note: string | null;
  mark: string;
  body: string | null;
}

const STATUSES = ["new", "paid", "sent", "done", "back"];
export const status = (random: Random) => STATUSES[random.below(STATUSES.length)] ?? "new";
/** 1.0 and 1.00 are equal and not the same. */
export const amount = (random: Random) =>
  random.chance(0.1)
    ? null
    : (["1.0", "1.00", "-0.5", "1e3", "NaN"][random.below(8)] ?? String(random.below(99_999)));
export const note = (random: Random) =>
  random.chance(0.3) ? null : random.chance(0.1) ? "" : `it's (a, "b") \\ ${random.below(1000)} ü`;

/** 20,000 characters that do not compress: kept out of line. */
export function longBody(random: Random): string {
  const bytes = Buffer.alloc(15_000);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(random.below(2 ** 32), at);
  return bytes.toString("base64");
}

export function newRow(
  table: WrittenTable,
  random: Random,
  key: string | null,
  mark: string,
  long: boolean,
): NewRow {
  return {
    ...{ key, mark, part: table.scheme.value(random), status: status(random) },
    ...{ amount: amount(random), note: note(random), body: long ? longBody(random) : null },
  };
}

/** The key's values, one for each of its columns. */
export function keyParts(table: WrittenTable, key: string): string[] {
  const { columns } = table.shape;
  if (columns.length === 1) return [key];
  const at = key.indexOf("|");
  return [key.slice(0, at), key.slice(at + 1)];
}

/** `t.id = $1::int AND ...`, for parameters from `first` on. */
export function keyEquals(table: WrittenTable, first: number): string {
  return table.shape.columns.map((c, i) => `t.${ident(c.name)} = $${first + i}::${c.type}`).join(" AND ");
}

export const RETURNING = (table: WrittenTable) => `RETURNING ${table.key} AS key, ${table.image} AS image`;

/** Values of `row` in the order of the table's columns; without the key's when the server gives it. */
export function valuesOf(table: WrittenTable, row: NewRow): (string | null)[] {
  const key = row.key === null ? [] : keyParts(table, row.key);
  const part = table.scheme.column === null ? [] : [row.part];
  return [...key, ...part, row.status, row.amount, row.note, row.mark, row.body];
}

/** One INSERT for any number of rows, and its parameters: an array a column. All rows have a key, or none has. */
export function insertOf(table: WrittenTable, rows: readonly NewRow[]): { sql: string; params: AppParam[] } {
  const given = rows[0]?.key !== null;
  const columns = given ? table.columns : table.columns.slice(table.shape.columns.length);
  const values = rows.map((row) => valuesOf(table, row));
  const params = columns.map((_, at) => values.map((row) => row[at] ?? null));
  const names = columns.map((c) => ident(c.name)).join(", ");
  const arrays = columns.map((c, at) => `$${at + 1}::${c.type}[]`).join(", ");
  return {
    sql: `INSERT INTO ${table.sql} AS t (${names}) SELECT * FROM unnest(${arrays}) ${RETURNING(table)}`,
    params,
  };
}

/** Creates the table, `rows` rows and the rows at both ends of its leaves, and analyses it. */
export async function createWrittenTable(
  db: AppConnection,
  table: WrittenTable,
  options: { rows: number; seed: number; longShare?: number; fillfactor?: number; nullable?: boolean },
): Promise<void> {
  const { rows, seed, longShare = 0.02, fillfactor = 100, nullable = false } = options;
  const { scheme, shape } = table;
  const random = new Random(seed);
  const part =
    scheme.column === null
      ? ""
      : `${ident(scheme.column.name)} ${scheme.column.type}${nullable ? "" : " NOT NULL"}, `;
  await db.control(`CREATE TABLE ${table.sql} (${part}status text NOT NULL, amount numeric, note text, mark text,
    body text, ${shape.ddl}) WITH (fillfactor = ${fillfactor})`);
  await db.control(`CREATE INDEX ON ${table.sql} (status)`);
  if (table.truncates) await db.control(`CREATE TABLE ${table.gen} (n int PRIMARY KEY, keys text[])`);
  const all = Array.from({ length: rows }, (_, i) => {
    const row = newRow(table, random, shape.make(i + 1, random), "initial", random.chance(longShare));
    return { ...row, part: scheme.ends[i] ?? row.part };
  });
  for (let at = 0; at < all.length; at += 1_000) {
    const { sql, params } = insertOf(table, all.slice(at, at + 1_000));
    await db.query("create", sql, params);
  }
  if (shape.serverGives)
    await db.control(
      `SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence('${table.sql}', 'id'), ${Math.max(rows, 1)})`,
    );
  await db.control(`ANALYZE ${table.sql}`);
}

/** One line of COPY's text format. */
export function copyLine(values: readonly (string | null)[]): string {
  const escapes: Record<string, string> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
  const field = (value: string | null) =>
    value === null ? "\\N" : value.replace(/[\\\t\n\r]/g, (c) => escapes[c] ?? c);
  return `${values.map(field).join("\t")}\n`;
}
