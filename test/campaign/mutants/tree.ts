/** A private copy of the working tree, in which one mutant at a time is made and unmade. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Edit, edited } from "./mutant.js";

/** Copies what git tracks of `from`, and what is new and not ignored, to `to`; node_modules is linked. */
export function copyTree(from: string, to: string): void {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: from,
    encoding: "utf8",
  });
  const deleted = new Set(
    execFileSync("git", ["ls-files", "-z", "--deleted"], { cwd: from, encoding: "utf8" }).split("\0"),
  );
  for (const file of listed.split("\0")) {
    if (file === "" || file === "node_modules" || deleted.has(file)) continue;
    mkdirSync(dirname(join(to, file)), { recursive: true });
    copyFileSync(join(from, file), join(to, file));
  }
  symlinkSync(join(from, "node_modules"), join(to, "node_modules"));
}

/** Makes the edits in `tree`, runs `work`, and puts the files back as they were. */
export async function mutated<T>(tree: string, edits: readonly Edit[], work: () => Promise<T>): Promise<T> {
  const before = new Map<string, string>();
  try {
    for (const edit of edits) {
      const path = join(tree, edit[0]);
      const text = readFileSync(path, "utf8");
      if (!before.has(path)) before.set(path, text);
      writeFileSync(path, edited(text, edit));
    }
    return await work();
  } finally {
    for (const [path, text] of before) writeFileSync(path, text);
  }
}
