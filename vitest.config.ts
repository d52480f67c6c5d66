import { readFileSync, statfsSync } from "node:fs";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/sequence.js";

/** PARTWAY_TEST_FULL=1: everything on every version, however long it takes. */
const FULL = process.env["PARTWAY_TEST_FULL"] === "1";

const SHM = "/dev/shm";
const ROOM = 4 * 2 ** 30;

/** Whether there is room in memory, and binaries may run from there (a server that root starts has a copy of them). */
function memoryIsFit(): boolean {
  try {
    const { bavail, bsize } = statfsSync(SHM);
    const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
    const mount = mounts.find((line) => line.split(" ")[1] === SHM);
    return mount !== undefined && !/\bnoexec\b/.test(mount) && bavail * bsize >= ROOM;
  } catch {
    return false;
  }
}

// Each test makes a database, 300 files: in memory that costs half of what it does on a disk.
if (process.env["TMPDIR"] === undefined && memoryIsFit()) process.env["TMPDIR"] = SHM;

/**
 * An ordinary run divides what takes long: what is closest to the server (catalog, sync, most phases, the chains of
 * kills) is on both versions, the rest on one of them. Backup, window, rollback and end are in the chains on both.
 */
const LEFT: Record<"pg15" | "pg18", string[]> = {
  pg15: [
    "test/migrations/{values,indexes,rights,schemes,again,attached}.test.ts",
    "test/{archive,archive-rows,checks,cold,engine,explain,serve,systems,throttle}/**",
    "test/care/**",
    "test/docs/second-after.test.ts",
    "test/insql/{functions,twins}.test.ts",
    "test/pg/tls.test.ts",
    "test/phases/{drop,retain}.test.ts",
    "test/plan/forecast.test.ts",
    "test/rehearse/gate.test.ts",
    "test/sync/{keys,planner}.test.ts",
    "test/wal/**",
    "test/writers/writers.test.ts",
  ],
  pg18: [
    "test/{backup,cli,clients,demo,faults,guards,hostile,model,review,support}/**",
    "test/insql/extensions.test.ts",
    "test/writers/damage.test.ts",
    "test/migrations/{elsewhere,fallback,keys,names,refused,time}.test.ts",
    "test/phases/{backup,rollback}.test.ts",
  ],
};

/** `npm run test:matrix` alone: every version, and there what meets the server's own behaviour. */
const MATRIX = process.env["PARTWAY_TEST_MATRIX"] === "1";
const IN_MATRIX =
  "test/{catalog,clients,engine,explain,insql,migrations,phases,pg,plan,rehearse,sync}/**/*.test.ts";

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
    sequence: { sequencer: LongestFirst },
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
