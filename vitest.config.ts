import { defineConfig } from "vitest/config";

const database = (name: string) => ({
  extends: true as const,
  test: {
    name,
    include: ["test/**/*.test.{ts,tsx}"],
    exclude: ["test/**/*.unit.test.{ts,tsx}"],
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
      database("pg18"),
    ],
  },
});
