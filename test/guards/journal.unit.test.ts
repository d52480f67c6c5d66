/** The journal's name is taken by nobody else (see test/campaign/mutants). */
import { lstatSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "../../state/journal-open.js";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "partway-guards-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("what appears under the journal's name while a new one is made would be replaced by it", () => {
  // A link that leads nowhere looks like no file, and is there when the new journal takes its name.
  const file = join(dir, "journal.db");
  symlinkSync(join(dir, "elsewhere", "journal.db"), file);
  expect(() => openDatabase(file, "write")).toThrow(file);
  expect(lstatSync(file).isSymbolicLink()).toBe(true);
});
