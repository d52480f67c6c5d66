/**
 * The mutants campaign: tests that can fail. Switches off one guard at a time in a private copy of the tree and runs the
 * tests that must go red for it.
 *
 *   npm run campaign:mutants -- [--only <topic or part of a guard's name>,...] [--version 15|18] [--jobs 2] [--why]
 *
 * First all named tests must be green without a mutant. One line a mutant: the guard, the test that went red, seconds;
 * `--why` adds what that test said. Ends with 1 unless every mutant is caught.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type ServerVersion, startOwnServer } from "../support/server.js";
import { MUTANTS } from "./mutants/index.js";
import { faultsOf, type Mutant } from "./mutants/mutant.js";
import { copyTree, mutated } from "./mutants/tree.js";
import { type Outcome, TestRunner } from "./mutants/vitest.js";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    version: { type: "string", default: "15" },
    jobs: { type: "string", default: "2" },
    why: { type: "boolean", default: false },
  },
});

const ROOT = join(import.meta.dirname, "../..");
const version: ServerVersion = values.version === "18" ? "18" : "15";
const TOPICS = new Set(MUTANTS.map(({ topic }) => topic));
const only = values.only?.split(",");
const chosen = MUTANTS.filter(
  ({ topic, guard }) =>
    only?.some((part) => (TOPICS.has(part) ? topic === part : guard.includes(part))) ?? true,
);

const print = (line: string) => process.stdout.write(`${line}\n`);

/** What a mutant's run says: the tests that found it, or why that does not count. */
function judge(mutant: Mutant, outcome: Outcome): { caught: boolean; said: string } {
  if (outcome.broken !== null) return { caught: false, said: `broken: ${outcome.broken}` };
  const found = outcome.failed.filter((test) => !test.timedOut || mutant.hangs !== undefined);
  if (found.length === 0)
    return {
      caught: false,
      said: outcome.failed.length > 0 ? "only timeouts" : "SURVIVED: no test went red",
    };
  const why = values.why ? found.map((test) => `\n          ${test.why.slice(0, 200)}`).join("") : "";
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : "";
  return { caught: true, said: `${found[0]?.name ?? ""}${more}${why}` };
}

async function baseline(runner: TestRunner): Promise<boolean> {
  const { passed, failed, broken, seconds } = await runner.run(chosen.flatMap(({ red }) => red));
  if (broken !== null) print(`broken: ${broken}`);
  for (const test of failed) print(`red without a mutant: ${test.name}\n          ${test.why}`);
  print(`baseline: ${passed.length} tests green, ${failed.length} red, ${seconds.toFixed(0)} s`);
  return broken === null && failed.length === 0;
}

async function tryOne(mutant: Mutant, tree: string, runner: TestRunner): Promise<boolean> {
  const { edits, red, hangs, guard, rule } = mutant;
  const files = edits.map(([file]) => file);
  const outcome = await mutated(tree, edits, () => {
    runner.forget(files);
    return runner.run(red, hangs === undefined ? undefined : 45_000);
  });
  runner.forget(files);
  const { caught, said } = judge(mutant, outcome);
  print(
    `${caught ? "caught" : "MISSED"}  ${rule.padEnd(4)}  ${guard}  ->  ${said}  ${outcome.seconds.toFixed(1)} s`,
  );
  return caught;
}

async function main(): Promise<number> {
  const faults = chosen.flatMap((mutant) => faultsOf(mutant, ROOT));
  for (const fault of faults) print(fault);
  if (faults.length > 0 || chosen.length === 0) return 1;
  const started = performance.now();
  const place = mkdtempSync(join(tmpdir(), "partway-mutants-"));
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      rmSync(place, { recursive: true, force: true });
      process.exit(130);
    });
  const server = await startOwnServer(version);
  process.env[`PARTWAY_TEST_URL_${version}`] = server.superuserUrl;
  // Every suite on this version, also those that an ordinary run has on the other one.
  process.env["PARTWAY_TEST_FULL"] = "1";
  const runners: TestRunner[] = [];
  try {
    const queue = [...chosen];
    let caught = 0;
    const worker = async (tree: string, runner: TestRunner): Promise<void> => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift())
        if (await tryOne(mutant, tree, runner)) caught += 1;
    };
    const trees = Array.from({ length: Math.max(1, Number(values.jobs)) }, (_, i) => join(place, `${i + 1}`));
    const pairs: [string, TestRunner][] = [];
    for (const tree of trees) {
      copyTree(ROOT, tree);
      const runner = await TestRunner.open(tree, ["unit", `pg${version}`]);
      runners.push(runner);
      pairs.push([tree, runner]);
    }
    if (runners[0] === undefined || !(await baseline(runners[0]))) return 1;
    await Promise.all(pairs.map(([tree, runner]) => worker(tree, runner)));
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    print(
      `${chosen.length} mutants, ${caught} caught, ${seconds} s on PostgreSQL ${version}, ${trees.length} jobs`,
    );
    return caught === chosen.length ? 0 : 1;
  } finally {
    for (const runner of runners) await runner.close();
    await server.stop();
    rmSync(place, { recursive: true, force: true });
  }
}

process.exitCode = await main();
