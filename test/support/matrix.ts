/**
 * `npm run test:matrix`: fetches the servers that `npm ci` does not bring, then runs the suites closest to the server
 * on every version. Arguments go to vitest: `npm run test:matrix -- --project pg14 test/catalog`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { fetchedFor, VERSIONS } from "./versions.js";

for (const version of VERSIONS) {
  const fetched = fetchedFor(version);
  if (fetched === null || existsSync(fetched.file)) continue;
  process.stdout.write(`fetching ${fetched.spec} into ${fetched.prefix}\n`);
  mkdirSync(fetched.prefix, { recursive: true });
  run("npm", ["install", "--no-audit", "--no-fund", "--prefix", fetched.prefix, fetched.spec]);
}
process.env["PARTWAY_TEST_MATRIX"] = "1";
run(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...process.argv.slice(2)]);

function run(command: string, args: string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
