/** Runs named tests in a tree, in one vitest that stays, and says which were green and which red. */
import { join } from "node:path";
import { createVitest, type TestModule, type Vitest } from "vitest/node";
import { patternOf, type Red } from "./mutant.js";

export interface Outcome {
  passed: string[];
  /** Name and first line of what the assertion said; `timedOut`: the test's time was up, nothing was found. */
  failed: { name: string; why: string; timedOut: boolean }[];
  /** A file that could not be loaded, a run that broke down: nothing that a test has found. */
  broken: string | null;
  seconds: number;
}

/** An error of the mutant's own making, not one that a guard's absence leads to. */
const NONSENSE = /syntax error at or near|ReferenceError|SyntaxError|is not a function|Transform failed/;

/** The time of one test, ms: many times what it takes, because a loaded machine must not look like a find. */
const PATIENCE_MS = 300_000;

export class TestRunner {
  readonly #vitest: Vitest;
  readonly #tree: string;

  private constructor(vitest: Vitest, tree: string) {
    this.#vitest = vitest;
    this.#tree = tree;
  }

  /** `projects`: names of vitest.config.ts. The servers they need are given by the environment. */
  static async open(tree: string, projects: string[]): Promise<TestRunner> {
    const vitest = await createVitest("test", {
      root: tree,
      config: join(tree, "vitest.config.ts"),
      project: projects,
      watch: false,
      reporters: [{}],
    });
    return new TestRunner(vitest, tree);
  }

  /** Forgets what it knows of `files` (they were edited). */
  forget(files: readonly string[]): void {
    for (const file of files) this.#vitest.invalidateFile(join(this.#tree, file));
  }

  /** Runs the tests of `reds`. `testTimeoutMs`: shorter than patience, for tests that are to wait for ever. */
  async run(reds: readonly Red[], testTimeoutMs = PATIENCE_MS): Promise<Outcome> {
    const started = performance.now();
    const files = new Set(reds.map(([file]) => join(this.#tree, file)));
    for (const { config } of this.#vitest.projects) {
      config.testTimeout = testTimeoutMs;
      config.hookTimeout = testTimeoutMs;
    }
    this.#vitest.setGlobalTestNamePattern(new RegExp(patternOf(reds)));
    const all = await this.#vitest.globTestSpecifications([...files]);
    // What it gives back are the modules of all runs so far.
    const { testModules, unhandledErrors } = await this.#vitest.runTestSpecifications(
      all.filter(({ moduleId }) => files.has(moduleId)),
    );
    const seconds = (performance.now() - started) / 1000;
    const modules = testModules.filter(({ moduleId }) => files.has(moduleId));
    return { ...read(modules, unhandledErrors), seconds };
  }

  close(): Promise<void> {
    return this.#vitest.close();
  }
}

function read(modules: readonly TestModule[], unhandled: readonly unknown[]): Omit<Outcome, "seconds"> {
  const passed: Outcome["passed"] = [];
  const failed: Outcome["failed"] = [];
  const broke = (why: string) => ({ passed, failed, broken: why });
  for (const file of modules) {
    const [error] = file.errors();
    if (error !== undefined) return broke(`${file.moduleId}: ${error.message}`);
    for (const test of file.children.allTests()) {
      const { state, errors = [] } = test.result();
      const messages = errors.map((each) => each.message);
      const nonsense = messages.find((message) => NONSENSE.test(message));
      if (nonsense !== undefined) return broke(`${test.fullName}: ${nonsense}`);
      if (state === "passed") passed.push(test.fullName);
      if (state === "failed") {
        const timedOut = messages.every((message) => /timed out in \d+ms/.test(message));
        failed.push({ name: test.fullName, why: messages[0]?.split("\n")[0] ?? "", timedOut });
      }
    }
  }
  if (passed.length + failed.length > 0) return { passed, failed, broken: null };
  return broke(unhandled.length > 0 ? String(unhandled[0]) : "no tests found");
}
