/** Table names as typed: `orders`, `public.orders`, `"Conversation Message"`. Read as PostgreSQL reads identifiers. */
import { badInput } from "../errors.js";

export interface TableName {
  /** null when none was typed. */
  schema: string | null;
  name: string;
}

const PART = /^\s*(?:"((?:[^"]|"")+)"|([^\s".]+))\s*/;

/**
 * Splits a typed name. A quoted part is taken as it is, an unquoted one in lower case: `conversationMessage` needs
 * its quotes, as in psql. A database in front is left to the server to check. Errors: bad-input.
 */
export function parseTableName(text: string): TableName {
  const parts: string[] = [];
  let rest = text;
  for (;;) {
    const match = PART.exec(rest);
    if (match === null) throw unreadable(text);
    parts.push(match[1] === undefined ? (match[2] ?? "").toLowerCase() : match[1].replaceAll('""', '"'));
    rest = rest.slice(match[0].length);
    if (rest === "") break;
    if (!rest.startsWith(".")) throw unreadable(text);
    rest = rest.slice(1);
  }
  const [name, schema] = parts.toReversed();
  if (name === undefined || parts.length > 3) throw unreadable(text);
  return { schema: schema ?? null, name };
}

/** Do two typed names mean the same table? A name without a schema stands for schema public. */
export function sameTable(a: string, b: string): boolean {
  const [left, right] = [parseTableName(a), parseTableName(b)];
  return left.name === right.name && (left.schema ?? "public") === (right.schema ?? "public");
}

function unreadable(text: string): Error {
  return badInput(
    `"${text}" is not a table name`,
    `Write table or schema.table; quote a name with capitals or spaces as in psql: '"Conversation Message"'.`,
  );
}
