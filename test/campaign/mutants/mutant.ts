/** What a mutant is: one guard switched off by an edit of the source, and the tests that must go red for it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** File, text that must occur in it exactly once, and what stands there instead. */
export type Edit = readonly [file: string, find: string, put: string];

/** Test file, and a piece of the test's full name; pieces that the source builds the name from are parted by " … ". */
export type Red = readonly [file: string, name: string];

export interface Mutant {
  /** The guard that is switched off, in the operator's words. Also what --only looks for. */
  guard: string;
  /** Section of DESIGN, or a letter of FEATURES. */
  rule: string;
  edits: readonly Edit[];
  red: readonly Red[];
  /**
   * The guard of the second edit, when both have to go: alone each is enough, so neither one's absence can be seen. The
   * reason stands in the sentence.
   */
  redundantWith?: string;
  /** The red test waits for ever: why that is how the loss shows. */
  hangs?: string;
  /** What the reader should know. */
  note?: string;
}

const PARTED = " … ";

/** The pieces of a test's name, in order. */
export const piecesOf = ([, name]: Red): string[] => name.split(PARTED);

/** A pattern for vitest's -t that matches the tests of `reds`. */
export function patternOf(reds: readonly Red[]): string {
  const literally = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  return [...new Set(reds.map((red) => piecesOf(red).map(literally).join(".*")))].join("|");
}

/** `text` with the edit made. Errors: the text to find is not there exactly once. */
export function edited(text: string, [file, find, put]: Edit): string {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Error(`${file}: found ${count} times, must be once: ${find}`);
  return text.replace(find, () => put);
}

/** What is wrong with a table entry against the tree at `root`: texts not there once, tests that are not there. */
export function faultsOf(mutant: Mutant, root: string): string[] {
  const faults: string[] = [];
  const texts = new Map<string, string>();
  for (const edit of mutant.edits) {
    const [file, find, put] = edit;
    if (find === put) faults.push(`${file}: the edit changes nothing`);
    try {
      texts.set(file, edited(texts.get(file) ?? readFileSync(join(root, file), "utf8"), edit));
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (mutant.red.length === 0) faults.push("no test is named");
  for (const red of mutant.red) {
    const [file] = red;
    if (!existsSync(join(root, file))) faults.push(`${file}: no such test file`);
    else {
      const source = withCases(join(root, file));
      for (const piece of piecesOf(red))
        if (!source.includes(piece)) faults.push(`${file}: no test is called ${piece}`);
    }
  }
  return faults.map((fault) => `${mutant.guard}: ${fault}`);
}

/** A test file and what it imports from beside it: tables of cases have their names there. */
function withCases(file: string): string {
  const source = readFileSync(file, "utf8");
  const beside = [...source.matchAll(/from "(\.\/[^"]+)\.js"/g)].map(([, path]) =>
    resolve(dirname(file), `${path}.ts`),
  );
  return [
    source,
    ...beside.filter((path) => existsSync(path)).map((path) => readFileSync(path, "utf8")),
  ].join("\n");
}
