/** The table of mutants must not rot while the code moves: every text is there once, every named test exists. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { MUTANTS } from "./mutants/index.js";
import { faultsOf, patternOf } from "./mutants/mutant.js";

const ROOT = join(import.meta.dirname, "../..");

test("a mutant whose text or test has moved would be skipped, and its guard unproven", () => {
  expect(MUTANTS.flatMap((mutant) => faultsOf(mutant, ROOT))).toEqual([]);
});

test("two guards under one name could not be told apart", () => {
  const names = MUTANTS.map(({ guard }) => guard);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

test("a guard said to stand behind another that is not in the table would hide a survivor", () => {
  const names = new Set(MUTANTS.map(({ guard }) => guard));
  const behind = MUTANTS.map(({ redundantWith }) => redundantWith).filter((name) => name !== undefined);
  expect(behind.filter((name) => !names.has(name))).toEqual([]);
});

test("a moved text, a missing test or an edit that changes nothing would not be noticed", () => {
  const file = "src/pg/sqlstate.ts";
  const found = (find: string, put: string, name: string) =>
    faultsOf(
      { guard: "g", rule: "r", edits: [[file, find, put]], red: [["test/pg/locks.test.ts", name]] },
      ROOT,
    );
  expect(found("uniqueViolation", "other", "a long reader")).toEqual([]);
  expect(found("not there at all", "x", "a long reader")).toEqual([expect.stringContaining("found 0 times")]);
  expect(found("e", "x", "a long reader")).toEqual([expect.stringMatching(/found \d\d+ times/)]);
  expect(found("uniqueViolation", "uniqueViolation", "a long reader")).toEqual([
    expect.stringContaining("changes nothing"),
  ]);
  expect(found("uniqueViolation", "x", "a long … nobody's test")).toEqual([
    "g: test/pg/locks.test.ts: no test is called nobody's test",
  ]);
});

test("a test's name with signs in it, or in two pieces, would not be found", () => {
  const pattern = new RegExp(patternOf([["f", "(a) … b?"]]));
  expect(pattern.test("x (a) and then b? y")).toBe(true);
  expect(pattern.test("x a and then b")).toBe(false);
});
