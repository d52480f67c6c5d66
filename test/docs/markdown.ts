/** Reads the documents as the reader does: scenes, blocks to type, and the output they promise. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");
/** Every page whose commands are run. */
export const PAGES = [
  "README.md",
  ...readdirSync(join(ROOT, "runbooks"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `runbooks/${name}`),
];

export interface Block {
  kind: "sh" | "sql" | "text" | "ts" | "json";
  lines: string[];
  /** Line of the fence, from 1. */
  at: number;
  /** HTML comments that stand directly before the block: `as superuser`, `needs pg_dump`. */
  notes: string[];
}

export interface Scene {
  /** null: what is typed before any scene is set, such as npm commands. */
  name: string | null;
  blocks: Block[];
}

export function read(page: string): string {
  return readFileSync(join(ROOT, page), "utf8");
}

const KINDS = ["sh", "sql", "text", "ts", "json"] as const;

/**
 * The blocks of a page by scene: `<!-- scene: name -->` begins a new one. A fence without one of the known kinds is an
 * error, so that no block escapes the tests by its spelling.
 */
export function scenesOf(page: string): Scene[] {
  const scenes: Scene[] = [{ name: null, blocks: [] }];
  let open: Block | null = null;
  let notes: string[] = [];
  for (const [index, line] of read(page).split("\n").entries()) {
    const scene = scenes.at(-1);
    if (scene === undefined) throw new Error("there is always a scene");
    if (open !== null) {
      if (/^\s*```$/.test(line)) open = null;
      else open.lines.push(line);
      continue;
    }
    const fence = /^\s*```(.*)$/.exec(line)?.[1];
    const comment = /^<!-- (.+) -->$/.exec(line)?.[1];
    const name = comment === undefined ? undefined : /^scene: (.+)$/.exec(comment)?.[1];
    if (name !== undefined) scenes.push({ name, blocks: [] });
    else if (comment !== undefined) notes.push(comment);
    else if (fence !== undefined) {
      const kind = KINDS.find((known) => known === fence);
      if (kind === undefined)
        throw new Error(`${page}:${index + 1}: a block of kind "${fence}" is not tested`);
      open = { kind, lines: [], at: index + 1, notes };
      scene.blocks.push(open);
      notes = [];
    }
  }
  return scenes;
}

/** The rows of every table whose first header cell is `first`, cells trimmed. */
export function tableOf(page: string, first: string): string[][] {
  const rows = read(page)
    .split("\n")
    .map(
      (line) =>
        /^\| (.*) \|$/
          .exec(line)?.[1]
          ?.split(" | ")
          .map((cell) => cell.trim()) ?? null,
    );
  const from = rows.findIndex((cells) => cells?.[0] === first);
  if (from < 0) throw new Error(`${page} has no table that begins with "${first}"`);
  const end = rows.findIndex((cells, at) => at > from + 1 && cells === null);
  return rows.slice(from + 2, end).filter((cells) => cells !== null);
}

/** Every `code` span of a text. */
export function codeSpans(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
}
