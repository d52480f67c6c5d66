/** The only importer of libpg-query: PostgreSQL's own parser and scanner, compiled to WebAssembly. Offsets are bytes. */
import { z } from "zod";
import { messageOf } from "../errors.js";

const Token = z.object({ start: z.int(), end: z.int(), text: z.string(), tokenName: z.string() });
export type Token = z.infer<typeof Token>;

const Tree = z.object({ stmts: z.array(z.object({ stmt: z.record(z.string(), z.unknown()) })).default([]) });
/** A statement's tree as libpg-query gives it: `{ SelectStmt: {...} }`. */
export type Tree = Record<string, unknown>;

export type Parsed = { ok: true; tree: Tree; tokens: Token[] } | { ok: false; why: string };

export interface Parser {
  /** Exactly one statement. */
  one(sql: string): Parsed;
  /** Statements of a file, at the semicolons outside strings, comments and dollar quotes. Errors: an unreadable file. */
  split(text: string): string[];
}

/** Loads the parser (2 MB): only when somebody rehearses. */
export async function loadParser(): Promise<Parser> {
  const pg = await import("libpg-query");
  await pg.loadModule();
  const scan = (sql: string) => z.array(Token).parse(pg.scanSync(sql).tokens);
  return {
    one: (sql) => {
      try {
        const { stmts } = Tree.parse(pg.parseSync(sql));
        const [first, second] = stmts;
        if (first === undefined || second !== undefined)
          return { ok: false, why: first === undefined ? "no statement" : "more than one statement" };
        return { ok: true, tree: first.stmt, tokens: scan(sql).filter(isCode) };
      } catch (error) {
        return { ok: false, why: messageOf(error) };
      }
    },
    split: (text) => splitAt(text, scan(text)),
  };
}

const isCode = ({ tokenName }: Token): boolean => tokenName !== "C_COMMENT" && tokenName !== "SQL_COMMENT";

function splitAt(text: string, tokens: readonly Token[]): string[] {
  const bytes = Buffer.from(text);
  const statements: string[] = [];
  let from: number | null = null;
  for (const { start, text: token } of tokens.filter(isCode)) {
    if (token !== ";") from ??= start;
    else if (from !== null) {
      statements.push(bytes.toString("utf8", from, start).trim());
      from = null;
    }
  }
  if (from !== null) statements.push(bytes.toString("utf8", from).trim());
  return statements;
}
