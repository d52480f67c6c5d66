import { defineConfig } from "vitest/config";

/** PARTWAY_TEST_FULL=1: everything on every version, however long it takes. */
const FULL = process.env["PARTWAY_TEST_FULL"] === "1";

/** The suites under faults take as long as everything else together: an ordinary run has them on 15. */
const FAULTS = [
  "test/campaign/**",
  "test/faults/**",
  "test/hostile/!(aside).test.ts",
  "test/writers/damage.test.ts",
];

/** Minutes each: test/cli/kill*.test.ts and test/writers stand for them in an ordinary run. */
const LONG = ["test/campaign/kill.test.ts", "test/campaign/stress.test.ts"];

const database = (name: string, left: string[] = []) => ({
  extends: true as const,
  test: {
    name,
    include: ["test/**/*.test.{ts,tsx}"],
    exclude: ["test/**/*.unit.test.{ts,tsx}", ...(FULL ? [] : [...LONG, ...left])],
    globalSetup: ["test/support/global-setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["test/**/*.unit.test.{ts,tsx}"], testTimeout: 20_000 },
      },
      database("pg15"),
      database("pg18", FAULTS),
    ],
  },
});
