/** Which columns a table could be cut by, best first. Pure. */
import type { ColumnInfo } from "../catalog/types.js";
import { isInteger, isTime } from "../plan/columns.js";
import type { TableFacts } from "./facts.js";
import { askedShare } from "./measure.js";

/** A time that is set when the row is made, by what people call it. */
const MADE =
  /^(created|inserted|recorded|occurred|logged|received|sent|accessed|event|ingested)|^(ts|timestamp|time|date|day)$/;
/** A time that changes later, so that the row would move to another leaf, or lies in the future. */
const CHANGES =
  /(updated|modified|changed|deleted|removed|expire|expiry|valid|due|scheduled|starts?|ends?|ended|finished|completed|closed|retry|last|next|seen|synced|processed|delivered|read)/;
const NOW =
  /\b(now|current_timestamp|clock_timestamp|transaction_timestamp|statement_timestamp|current_date|localtimestamp)\b/i;
/** A list of them would move a row with each step of its life. */
const LIFE = /(status|state|stage|phase|step)/;
/** Distinct values above which a list is no list. */
const LIST_VALUES = 50;

const snake = (name: string) => name.replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();

/** Columns of date or timestamp type, best first: set when the row is made, asked for, NOT NULL, in the order of the heap. */
export function timeColumns(facts: TableFacts): ColumnInfo[] {
  return facts.table.columns
    .filter((column) => isTime(column) && column.generated === null)
    .map((column) => ({ column, score: score(facts, column) }))
    .filter(({ score: points }) => points > 0)
    .sort((a, b) => b.score - a.score || a.column.attnum - b.column.attnum)
    .map(({ column }) => column);
}

function score(facts: TableFacts, column: ColumnInfo): number {
  const stats = facts.columns[column.name];
  const name = snake(column.name);
  const nulls = stats?.nullFraction ?? (column.notNull ? 0 : 0.01);
  const made = MADE.test(name) ? 3 : 0;
  const changes = CHANGES.test(name) && made === 0 ? -4 : 0;
  const ordered = Math.abs(stats?.correlation ?? 0) > 0.9 ? 1 : 0;
  return (
    2 +
    made +
    changes +
    (column.default !== null && NOW.test(column.default) ? 3 : 0) +
    (column.notNull ? 2 : 0) -
    (nulls > 0.05 ? 4 : nulls > 0 ? 1 : 0) +
    ordered +
    (inUniqueIndex(facts, column) ? 2 : 0) +
    3 * (askedShare(facts, column.name)?.share ?? 0)
  );
}

const inUniqueIndex = ({ table }: TableFacts, column: ColumnInfo) =>
  table.indexes.some((index) => index.unique && index.columns.includes(column.name));

/** The integer that counts rows up: alone the primary key, with a sequence or an identity behind it. */
export function countedColumn({ table }: TableFacts): ColumnInfo | null {
  const key = table.indexes.find((index) => index.primary);
  const [name] = key?.columns.length === 1 ? key.columns : [];
  const column = table.columns.find((one) => one.name === name);
  if (column === undefined || !isInteger(column)) return null;
  return column.identity !== null || /\bnextval\(/.test(column.default ?? "") ? column : null;
}

/**
 * The column most of the work asks for by an index that begins with it, and that is no time: with a share of `least` at
 * least. The primary key's own column counts too where nothing else does.
 */
export function askedFor(facts: TableFacts, least: number): { column: ColumnInfo; share: number } | null {
  const leading = new Set(facts.table.indexes.filter((i) => !i.partial).map((i) => i.columns[0]));
  return (
    facts.table.columns
      .filter((column) => leading.has(column.name) && !isTime(column) && column.notNull && column.hasHash)
      .filter((column) => column.generated === null && !alone(facts, column))
      .map((column) => ({ column, share: askedShare(facts, column.name)?.share ?? 0 }))
      .filter(({ share }) => share >= least)
      .sort((a, b) => b.share - a.share)[0] ?? null
  );
}

/** Unique by itself: cut by it, nothing that is asked together stays together. */
const alone = ({ table }: TableFacts, column: ColumnInfo) =>
  table.indexes.some(
    (index) => index.unique && index.columns.length === 1 && index.columns[0] === column.name,
  );

/** The values of a column that a list could be made of; null where it has too many, or they change in a row's life. */
export function listValues(facts: TableFacts, column: ColumnInfo): string[] | null {
  const values = facts.columns[column.name]?.values ?? null;
  if (values === null || values.length < 2 || values.length > LIST_VALUES) return null;
  return LIFE.test(snake(column.name)) ? null : values.toSorted();
}
