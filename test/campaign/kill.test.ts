/**
 * The kill campaign in little, for every test run: each distinct statement, commit, journal write and file step is
 * killed once, one half before it on one server and the other half after it on the other, in chains: a process dies at
 * the first kind of point that has not had its turn, the next one resumes and dies at the next kind. Both moments of
 * each on both servers (PARTWAY_TEST_FULL=1), every number: `npm run campaign:kill`.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { kindOf } from "../../src/kill-switch.js";
import { bundleCli } from "../support/bundle.js";
import { type Base, dropBase, type Place, prepare, Run, SCENARIOS } from "./kill-scene.js";

const LONG = 900_000;
/** PARTWAY_TEST_FULL=1: every kind before it and after it, on every version. */
const FULL = process.env["PARTWAY_TEST_FULL"] === "1";
/** The ledger is compared at the end of each chain, and every so many kills. */
const COMPARE_EVERY = 12;
/** A kind that depends on timing (an apply that finds rows, a late leaf) may not come in the first chain. */
const CHAINS = 5;

type When = "before" | "after";

let place: Place;
let moments: When[];
let removeCli: () => void;
/** Kinds that were killed at the moment; what a migration has in common with a rollback has one turn. */
const done = { before: new Set<string>(), after: new Set<string>() };

/** The same half of the kinds whichever run, machine and version finds them. */
const isOfHalf = (kind: string, when: When): boolean =>
  FULL ||
  ([...kind].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % 2 === 0) ===
    (when === "before");

beforeAll(async () => {
  const cli = bundleCli();
  const { superuserUrl, version } = inject("server");
  removeCli = cli.remove;
  moments = FULL ? ["before", "after"] : [version === "15" ? "before" : "after"];
  place = {
    ...{ server: superuserUrl, cli: cli.file, dir: mkdtempSync(join(tmpdir(), "partway-kill-")) },
    prefix: `kill_${randomBytes(3).toString("hex")}`,
  };
}, LONG);
afterAll(() => {
  removeCli();
  rmSync(place.dir, { recursive: true, force: true });
});

/** One chain of kills, until none of `wanted` is left or none is met. Gives the faults found. */
async function chain(base: Base, number: number, when: When, wanted: ReadonlySet<string>): Promise<string[]> {
  const run = await Run.open(place, base, number);
  const file = join(place.dir, `${base.scenario}.kinds`);
  try {
    const faults: string[] = [];
    for (let kills = 1; ; kills++) {
      if (kills % COMPARE_EVERY === 0) faults.push(...(await run.compare()));
      writeFileSync(file, [...wanted].filter((kind) => !done[when].has(kind)).join("\n"));
      const ended = await run.next(`${when}:listed`, { PARTWAY_TEST_KILL_KINDS: file });
      if (ended !== null && ended.diedAt !== null) {
        done[when].add(kindOf(ended.diedAt));
        continue;
      }
      if (ended !== null && ended.code !== 0) faults.push(`exit ${ended.code}: ${ended.output.slice(-900)}`);
      return [...faults, ...(await run.toTheEnd()), ...(await run.check()), ...(await run.again())];
    }
  } finally {
    await run.close();
  }
}

/** What an uninterrupted run comes to. */
async function kindsOf(base: Base): Promise<Set<string>> {
  const run = await Run.open(place, base, 0);
  try {
    const { code, output, labels } = await run.first("count");
    expect(code, output).toBe(0);
    expect(await run.check()).toEqual([]);
    return new Set(labels.map(kindOf));
  } finally {
    await run.close();
  }
}

describe.each(SCENARIOS)("%s", (scenario) => {
  test(
    "a process killed at one of its changes would lose a write, leave something behind or never end",
    async () => {
      const base = await prepare(place, scenario);
      const all = await kindsOf(base);
      let number = 1;
      for (const when of moments) {
        const wanted = new Set([...all].filter((kind) => isOfHalf(kind, when)));
        const left = () => [...wanted].filter((kind) => !done[when].has(kind));
        for (let chains = 1; chains <= CHAINS && left().length > 0; chains++)
          expect(await chain(base, number++, when, wanted)).toEqual([]);
        // What one uninterrupted run alone has come to, of all these, is timing's: another one says.
        const again = left().length === 0 ? wanted : await kindsOf(base);
        expect(
          left().filter((kind) => again.has(kind)),
          `never killed ${when}`,
        ).toEqual([]);
      }
      await dropBase(place, base);
    },
    LONG,
  );
});

test("the chains would have left out most of what a migration does", () => {
  for (const when of moments) expect(done[when].size).toBeGreaterThan(FULL ? 100 : 45);
});
