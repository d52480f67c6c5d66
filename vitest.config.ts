import { defineConfig } from "vitest/config";

/** PARTWAY_TEST_FULL=1: everything on every version, however long it takes. */
const FULL = process.env["PARTWAY_TEST_FULL"] === "1";

/**
 * An ordinary run divides what takes long: what is closest to the server (catalog, sync, phases, engine, the chains of
 * kills) is on both versions, the rest on one of them.
 */
const LEFT: Record<"pg15" | "pg18", string[]> = {
  pg15: ["test/migrations/{values,indexes,rights,schemes,again}.test.ts"],
  pg18: [
    "test/{backup,cli,demo,docs,faults,guards,review,systems}/**",
    "test/hostile/!(aside).test.ts",
    "test/writers/damage.test.ts",
    "test/migrations/{elsewhere,keys,names,refused,time}.test.ts",
  ],
};

/** `npm run test:matrix` alone: every version, and there what meets the server's own behaviour. */
const MATRIX = process.env["PARTWAY_TEST_MATRIX"] === "1";
const IN_MATRIX = "test/{catalog,clients,engine,migrations,phases,pg,plan,sync}/**/*.test.ts";

const database = (name: `pg${"14" | "15" | "16" | "17" | "18"}`, include: string, left: string[] = []) => ({
  extends: true as const,
  test: {
    name,
    include: [include],
    exclude: ["test/**/*.unit.test.{ts,tsx}", ...left],
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
      ...(MATRIX
        ? (["pg14", "pg15", "pg16", "pg17", "pg18"] as const).map((name) => database(name, IN_MATRIX))
        : (["pg15", "pg18"] as const).map((name) =>
            database(name, "test/**/*.test.{ts,tsx}", FULL ? [] : LEFT[name]),
          )),
    ],
  },
});
