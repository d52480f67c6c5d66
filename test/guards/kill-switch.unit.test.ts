/** The test-only kill switch: it must never fire in an operator's hands. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const SWITCH = join(import.meta.dirname, "../../src/kill-switch.ts");

/** A process that passes ten points, and says so. */
function tenPoints(env: Record<string, string>): { signal: NodeJS.Signals | null; said: string } {
  const script = `import { SqlPoints } from ${JSON.stringify(SWITCH)};
const points = new SqlPoints();
for (let i = 0; i < 10; i++) { const point = points.of("DELETE FROM t", []); point.before(); point.after(); }
console.log("alive");`;
  const { PARTWAY_TEST_KILL, ...clean } = process.env;
  void PARTWAY_TEST_KILL;
  const args = ["--import", "tsx", "--input-type=module", "-e", script];
  const { signal, stdout } = spawnSync(process.execPath, args, {
    env: { ...clean, ...env },
    encoding: "utf8",
  });
  return { signal, said: stdout.trim() };
}

test("a process nobody asked to die would be killed in the middle of a migration", () => {
  expect(tenPoints({})).toEqual({ signal: null, said: "alive" });
  expect(tenPoints({ PARTWAY_TEST_KILL: "count" })).toEqual({ signal: null, said: "alive" });
});

test("a process asked to die would live on, and the kill campaign prove nothing", () => {
  expect(tenPoints({ PARTWAY_TEST_KILL: "before:7" })).toEqual({ signal: "SIGKILL", said: "" });
  expect(tenPoints({ PARTWAY_TEST_KILL: "after:10" })).toEqual({ signal: "SIGKILL", said: "" });
});
