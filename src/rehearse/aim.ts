/**
 * Aims a statement at another table: where it names the table, the text is replaced at the very bytes the parser names,
 * and the rest stays as it was written. So nothing is deparsed, and no view stands between: what is planned is what
 * the application would send after cutover. Pure.
 */
import { ident, qualified } from "../pg/quote.js";
import type { Token } from "./parse.js";
import { columnRef, everywhere, type Fields, isFields, listOf, node, offset, textOf } from "./tree.js";

export interface Aim {
  schema: string;
  /** What the statement calls it. */
  table: string;
  /** A name without a schema means this table. */
  unqualified: boolean;
  /** The table it is to be planned against, in the same schema. */
  to: string;
  /** Constraints named by ON CONFLICT ON CONSTRAINT: what they are called there. */
  constraints: ReadonlyMap<string, string>;
}

/** The places where a statement reads or writes the table, without names that a WITH gives to something else. */
export function mentions(tree: Fields, aim: Pick<Aim, "schema" | "table" | "unqualified">): Fields[] {
  return rangesOf(tree).filter((range) => {
    if (range["relname"] !== aim.table) return false;
    const schema = textOf(range["schemaname"]);
    return schema === null ? aim.unqualified : schema === aim.schema;
  });
}

/** Every place where a statement names a table or view, without names that a WITH gives to something else. */
export function rangesOf(tree: Fields): Fields[] {
  const found: Fields[] = [];
  const walk = (value: unknown, hidden: ReadonlySet<string>): void => {
    if (Array.isArray(value)) for (const one of value) walk(one, hidden);
    if (!isFields(value)) return;
    const name = value["relname"];
    if (typeof name === "string") {
      if (textOf(value["schemaname"]) !== null || !hidden.has(name)) found.push(value);
      return;
    }
    const inside = withNames(value["withClause"], hidden, walk);
    for (const [key, child] of Object.entries(value)) {
      // FOR UPDATE OF names aliases; INTO names a table to be made.
      if (key === "withClause" || key === "lockedRels" || key === "intoClause") continue;
      // The target of a change is never a WITH query.
      walk(child, key === "relation" ? new Set() : inside);
    }
  };
  walk(tree, new Set());
  return found;
}

/** Walks the queries of a WITH, each seeing what it may, and gives the names the statement itself sees. */
function withNames(
  clause: unknown,
  hidden: ReadonlySet<string>,
  walk: (value: unknown, hidden: ReadonlySet<string>) => void,
): ReadonlySet<string> {
  if (!isFields(clause)) return hidden;
  const queries = listOf(clause["ctes"])
    .map((one) => node(one, "CommonTableExpr"))
    .filter((one) => one !== null);
  const all = new Set([...hidden, ...queries.flatMap((one) => textOf(one["ctename"]) ?? [])]);
  const before = new Set(hidden);
  for (const query of queries) {
    walk(query["ctequery"], clause["recursive"] === true ? all : new Set(before));
    const name = textOf(query["ctename"]);
    if (name !== null) before.add(name);
  }
  return all;
}

interface Splice {
  start: number;
  end: number;
  text: string;
}

/** The statement as it would name `aim.to`. */
export function aimAt(sql: string, tree: Fields, tokens: readonly Token[], aim: Aim): string {
  const splices: Splice[] = [];
  for (const range of mentions(tree, aim)) splices.push(...nameSplices(range, tokens, aim));
  everywhere(tree, (fields) => {
    const column = columnRef(fields);
    if (column === null || column.parts.length < 3) return;
    const [column_, table, schema] = column.parts.toReversed();
    if (column_ === undefined || table !== aim.table || schema !== aim.schema) return;
    const first = tokens.findIndex(({ start }) => start === column.at);
    const named = tokens[first + 2 * (column.parts.length - 2)];
    if (first >= 0 && named !== undefined) splices.push({ start: column.at, end: named.start, text: "" });
  });
  splices.push(...constraintSplices(tokens, aim));
  return spliced(sql, splices);
}

function nameSplices(range: Fields, tokens: readonly Token[], aim: Aim): Splice[] {
  const first = tokens.findIndex(({ start }) => start === offset(range));
  const parts = ["catalogname", "schemaname", "relname"].filter(
    (part) => textOf(range[part]) !== null,
  ).length;
  const last = first + 2 * (parts - 1);
  const [from, to] = [tokens[first], tokens[last]];
  if (from === undefined || to === undefined) return [];
  const name = { start: from.start, end: to.end, text: qualified(aim.schema, aim.to) };
  if (isFields(range["alias"])) return [name];
  const word = (at: number) => tokens[at]?.text.toUpperCase();
  const inBrackets = word(first - 1) === "(" && word(first - 2) === "ONLY" && word(last + 1) === ")";
  const before = inBrackets ? first - 3 : word(first - 1) === "ONLY" ? first - 2 : first - 1;
  // TABLE orders takes no alias.
  if (word(before) === "TABLE") return [name];
  const end = tokens[inBrackets || word(last + 1) === "*" ? last + 1 : last] ?? to;
  // The statement's own column references go on to say the old name.
  return [name, { start: end.end, end: end.end, text: ` AS ${ident(aim.table)}` }];
}

function constraintSplices(tokens: readonly Token[], aim: Aim): Splice[] {
  return tokens.flatMap((token, at) => {
    const isNamed =
      tokens[at - 1]?.text.toUpperCase() === "CONSTRAINT" && tokens[at - 2]?.text.toUpperCase() === "ON";
    const to = isNamed ? aim.constraints.get(unquoted(token.text)) : undefined;
    return to === undefined ? [] : [{ start: token.start, end: token.end, text: ident(to) }];
  });
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase();
}

function spliced(sql: string, splices: readonly Splice[]): string {
  const bytes = Buffer.from(sql);
  const pieces: Buffer[] = [];
  let at = 0;
  for (const { start, end, text } of splices.toSorted((a, b) => a.start - b.start)) {
    pieces.push(bytes.subarray(at, start), Buffer.from(text));
    at = end;
  }
  return Buffer.concat([...pieces, bytes.subarray(at)]).toString();
}

/**
 * pg_stat_statements puts $1 for every constant, also where the server's grammar takes constants only. Such places are
 * written so that it takes them: `interval $1` as `$1::interval`, `extract($1 from x)` as a call of the function.
 */
export function withUsableParams(sql: string, tree: Fields, tokens: readonly Token[]): string {
  const bytes = Buffer.from(sql);
  const splices: Splice[] = [];
  const tokenAt = (at: number) => tokens.findIndex(({ start }) => start === at);
  everywhere(tree, (fields) => {
    const cast = node(fields, "TypeCast");
    const param = node(cast?.["arg"], "ParamRef");
    const type = cast?.["typeName"];
    // A cast written as `type constant` has no place of its own; `::` and CAST have.
    if (cast !== null && param !== null && isFields(type) && cast["location"] === -1) {
      const [start, at] = [offset(type), offset(param)];
      const number = tokens[tokenAt(at)];
      const name = bytes.toString("utf8", start, at).trim();
      if (number !== undefined && start < at)
        splices.push({ start, end: number.end, text: `${number.text}::${name}` });
    }
    const call = node(fields, "FuncCall");
    if (call?.["funcformat"] !== "COERCE_SQL_SYNTAX") return;
    const field = node(listOf(call["args"])[0], "ParamRef");
    if (field === null) return;
    const name = tokens[tokenAt(offset(call))];
    const from = tokens[tokenAt(offset(field)) + 1];
    if (name?.text.toLowerCase() !== "extract" || from?.text.toLowerCase() !== "from") return;
    splices.push({ start: name.start, end: name.end, text: 'pg_catalog."extract"' });
    splices.push({ start: from.start, end: from.end, text: "," });
  });
  return spliced(sql, splices);
}
