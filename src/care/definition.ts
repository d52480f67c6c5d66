/** Whether an archived leaf's rows fit the table as it is now. Pure. */
import type { ColumnInfo } from "../catalog/types.js";
import { ident, literal } from "../pg/quote.js";
import type { BoundValue } from "./bound.js";
import { parseBound } from "./bound.js";
import { type CareLeaf, type CareTable, rangeOf } from "./table.js";

/** What differs, one sentence each, columns by name: their order may. Empty: the rows are what they were. */
export function differencesOf(archived: readonly ColumnInfo[], now: readonly ColumnInfo[]): string[] {
  const gone = archived.filter(({ name }) => now.every((one) => one.name !== name));
  const added = now.filter(({ name }) => archived.every((one) => one.name !== name));
  return [
    ...gone.map(({ name }) => `column ${name} is not there any more`),
    ...added.map(({ name }) => `column ${name} is new`),
    ...archived.flatMap((before) => {
      const after = now.find(({ name }) => name === before.name);
      return after === undefined ? [] : changesOf(before, after);
    }),
  ];
}

function changesOf(before: ColumnInfo, after: ColumnInfo): string[] {
  const said = (value: string | null) => value ?? "none";
  const changed = (what: string, was: string | null, is: string | null) =>
    was === is ? [] : [`${what} of column ${before.name} was ${said(was)} and is ${said(is)}`];
  return [
    ...changed("the type", before.type, after.type),
    ...changed("the collation", before.collation, after.collation),
    ...changed("the expression", expressionOf(before), expressionOf(after)),
  ];
}

function expressionOf({ generated, default: expression }: ColumnInfo): string | null {
  return generated === null ? null : `${expression} ${generated}`;
}

const NAME = '(?:[a-z_][a-z0-9_]*|"(?:[^"]|"")+")';
const MODIFIER = String.raw`(?: ?\(-?\w+(?:, ?-?\w+)*\))?`;
const FIELD = "(?:year|month|day|hour|minute|second)";
/** What format_type prints, and nothing else. */
const TYPE = new RegExp(
  `^(?:${[
    `(?:${NAME}\\.)?${NAME}${MODIFIER}`,
    `(?:bit varying|character varying|double precision)${MODIFIER}`,
    "(?:time|timestamp)(?:\\(\\d\\))? with(?:out)? time zone",
    `interval ${FIELD}(?: to ${FIELD})?(?:\\(\\d\\))?`,
  ].join("|")})(?:\\[\\])?$`,
);
const COLLATION = new RegExp(`^${NAME}\\.${NAME}$`);

/**
 * What in the columns of a manifest that is a stranger's is more than names of types and collations, and no expression of
 * the table as it is: a reason each. Empty: a CREATE TABLE of them runs nothing that is not there already.
 */
export function unproven(archived: readonly ColumnInfo[], now: readonly ColumnInfo[]): string[] {
  return archived.flatMap((column) => {
    const { name, type, collation } = column;
    const today = now.find((one) => one.name === name);
    const isOurs = today !== undefined && expressionOf(today) === expressionOf(column);
    return [
      ...(TYPE.test(type) ? [] : [`the type of its column ${name} is none: ${type}`]),
      ...(collation === null || COLLATION.test(collation)
        ? []
        : [`the collation of its column ${name} is none: ${collation}`]),
      ...(column.generated === null || isOurs
        ? []
        : [`the table here has no column ${name} of its expression, ${column.default}`]),
    ];
  });
}

/** A range of one column, in SQL made anew: a manifest is a file, and its text is not run. */
export interface BoundSql {
  forValues: string;
  /** Says the same of a row. */
  condition: string;
}

/** Null: it is not a range of one column. */
export function boundSql(text: string, column: string): BoundSql | null {
  const bound = parseBound(text);
  if (bound.kind !== "range") return null;
  const [[from, ...otherFrom], [to, ...otherTo]] = [bound.from, bound.to];
  if (from === undefined || to === undefined || otherFrom.length + otherTo.length > 0) return null;
  const key = ident(column);
  const conditions = [
    `${key} IS NOT NULL`,
    ...(from.kind === "value" ? [`${key} >= ${literal(from.text)}`] : []),
    ...(to.kind === "value" ? [`${key} < ${literal(to.text)}`] : []),
  ];
  return {
    forValues: `FOR VALUES FROM (${endSql(from)}) TO (${endSql(to)})`,
    condition: conditions.join(" AND "),
  };
}

function endSql(end: BoundValue): string {
  if (end.kind === "value") return literal(end.text);
  return end.kind === "min" ? "MINVALUE" : "MAXVALUE";
}

/** The leaves that certainly share values with the bound; of what is not certain the server judges at the ATTACH. */
export function overlapping(table: CareTable, text: string): CareLeaf[] {
  const mine = rangeOf(table.axis, parseBound(text));
  if (mine === null) return [];
  const isBefore = (end: { high: bigint } | null, begin: { low: bigint } | null) =>
    end !== null && begin !== null && end.high <= begin.low;
  const touches = ({ from, to }: NonNullable<CareLeaf["range"]>) => {
    const apart = isBefore(to, mine.from) || isBefore(mine.to, from);
    const unsure = [from, to, mine.from, mine.to].some((end) => end !== null && end.low !== end.high);
    return !apart && !unsure;
  };
  return table.leaves.filter(({ range }) => range !== null && touches(range));
}
