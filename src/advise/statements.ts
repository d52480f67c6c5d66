/**
 * Which columns of a table a normalised statement names in WHERE, by its words: enough to count shares by. It reads no
 * grammar; a name it cannot place is not counted. Pure.
 */
import type { StatementUse } from "./facts.js";

/** J2 of FEATURES: below this a query is fast. */
export const SLOW_MS = 200;

/** Before the advisor's own looks at a table, so that they are not counted as the application's the next time. */
export const OWN = "/* partway advise */";

export interface Statement {
  query: string;
  calls: number;
  totalMs: number;
}

type Word = { kind: "name" | "sign"; text: string; quoted: boolean };

/** Comments, strings (also $tag$ ones), parameters and numbers are passed over. */
const WORDS =
  /--[^\n]*|\/\*[\s\S]*?\*\/|[eE]?'(?:[^'\\]|''|\\.)*'|(\$[A-Za-z_]*\$)[\s\S]*?\1|\$\d+|\d[\w.]*|"((?:[^"]|"")+)"|([\p{L}_][\p{L}\p{N}_$]*)|([().,;=<>])/gu;

function wordsOf(query: string): Word[] {
  return [...query.matchAll(WORDS)].flatMap(([, , quoted, plain, sign]): Word[] => {
    if (quoted !== undefined) return [{ kind: "name", text: quoted.replaceAll('""', '"'), quoted: true }];
    if (plain !== undefined) return [{ kind: "name", text: plain.toLowerCase(), quoted: false }];
    return sign === undefined ? [] : [{ kind: "sign", text: sign, quoted: false }];
  });
}

const isKey = (word: Word | undefined, ...keys: string[]) =>
  word?.kind === "name" && !word.quoted && keys.includes(word.text);

/** What ends a WHERE at its own depth. */
const AFTER_WHERE = [
  "group",
  "order",
  "limit",
  "offset",
  "fetch",
  "having",
  "window",
  "returning",
  "for",
  "union",
  "except",
  "intersect",
];
/** What may follow a table's name and is no alias. */
const NO_ALIAS = [
  ...AFTER_WHERE,
  "where",
  "set",
  "on",
  "join",
  "inner",
  "left",
  "right",
  "full",
  "cross",
  "natural",
  "using",
  "values",
  "default",
  "tablesample",
  "select",
];

export interface TableName {
  schema: string;
  name: string;
}

/**
 * The columns that `query` names in a WHERE with regard to `table`: bare, or behind the table's name or alias. null: the
 * statement does not read, change or delete rows of the table (an INSERT of values does not).
 */
export function namedInWhere(
  query: string,
  table: TableName,
  columns: ReadonlySet<string>,
): Set<string> | null {
  const words = wordsOf(query);
  const aliases = aliasesOf(words, table);
  if (aliases === null) return null;
  const found = new Set<string>();
  const depthOf: number[] = [];
  let depth = 0;
  words.forEach((word, at) => {
    if (word.text === "(" && word.kind === "sign") depth += 1;
    if (word.text === ")" && word.kind === "sign") {
      depth -= 1;
      while ((depthOf.at(-1) ?? -1) > depth) depthOf.pop();
    }
    if (isKey(word, "where")) depthOf.push(depth);
    if (isKey(word, ...AFTER_WHERE) && depthOf.at(-1) === depth) depthOf.pop();
    if (depthOf.length === 0 || word.kind !== "name" || !columns.has(word.text)) return;
    const before = words[at - 1];
    if (before?.text !== "." || aliases.has(words[at - 2]?.text ?? "")) found.add(word.text);
  });
  return found;
}

/** What the table is called in the statement; null where it is not read, changed or deleted from. */
function aliasesOf(words: readonly Word[], { schema, name }: TableName): Set<string> | null {
  const aliases = new Set<string>();
  words.forEach((word, at) => {
    if (word.kind !== "name" || word.text !== name) return;
    const dotted = words[at - 1]?.text === ".";
    if (dotted && words[at - 2]?.text !== schema) return;
    const before = words[dotted ? at - 3 : at - 1];
    if (!isKey(before, "from", "join", "update", "only", "using") && before?.text !== ",") return;
    if (words[at + 1]?.text === "." || words[at + 1]?.text === "(") return;
    aliases.add(name);
    const next = isKey(words[at + 1], "as") ? words[at + 2] : words[at + 1];
    if (next?.kind === "name" && (next.quoted || !NO_ALIAS.includes(next.text))) aliases.add(next.text);
  });
  return aliases.size === 0 ? null : aliases;
}

/** What `statements` ask of `table`; null where none of them touches its rows. */
export function statementUse(
  statements: readonly Statement[],
  table: TableName,
  columns: ReadonlySet<string>,
): StatementUse | null {
  const named: Record<string, number> = {};
  const sum = { statements: 0, calls: 0, totalMs: 0, slow: 0 };
  for (const { query, calls, totalMs } of statements) {
    if (query.includes("/* partway ")) continue;
    const found =
      query.includes(table.name) || query.toLowerCase().includes(table.name)
        ? namedInWhere(query, table, columns)
        : null;
    if (found === null) continue;
    sum.statements += 1;
    sum.calls += calls;
    sum.totalMs += totalMs;
    if (totalMs >= calls * SLOW_MS) sum.slow += calls;
    for (const column of found) named[column] = (named[column] ?? 0) + calls;
  }
  if (sum.calls === 0) return null;
  const shares = Object.entries(named).map(([column, calls]) => [column, calls / sum.calls] as const);
  return {
    statements: sum.statements,
    calls: sum.calls,
    meanMs: sum.totalMs / sum.calls,
    slowShare: sum.slow / sum.calls,
    named: Object.fromEntries(shares),
  };
}
