/** A process killed while it made the journal leaves a draft beside it; found by the kill campaign. */
import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Journal } from "../../state/journal.js";
import { temporaryDirectory } from "./journal-support.js";

const directory = temporaryDirectory();
const names = () => readdirSync(directory.path()).filter((name) => name.includes(".new-"));

test("drafts of processes that died would stay for ever, or one that is being made would be taken away", () => {
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  for (const suffix of ["", "-wal", "-shm"])
    writeFileSync(`${directory.file()}.new-${dead}-abcd1234${suffix}`, "x");
  const alive = `journal.sqlite.new-${process.ppid}-abcd1234`;
  writeFileSync(`${directory.file()}.new-${process.ppid}-abcd1234`, "x");
  Journal.open(directory.file(), "write").close();
  expect(names()).toEqual([alive]);

  // After the journal had its name, too.
  writeFileSync(`${directory.file()}.new-${dead}-abcd1234`, "x");
  Journal.open(directory.file(), "write").close();
  expect(names()).toEqual([alive]);
});
