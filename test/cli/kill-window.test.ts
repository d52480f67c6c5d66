/**
 * SIGKILL in the retention window and at the first word of finalize, at moments that only the wire shows (killpoint.ts).
 * Every other point is test/campaign/kill.test.ts's.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { committed, uncommitted } from "./killpoint.js";
import { openScene, RUN, type Scene } from "./scene.js";
import { jsonLines } from "./support.js";

const HOLD = ["resume", "--hold", "--json"];

let scene: Scene;
beforeAll(async () => {
  scene = await openScene(3_000);
  const ran = await scene.partway(RUN);
  expect(ran.code, ran.stdout).toBe(0);
});
afterAll(() => scene.close());

const applying = /apply_reverse_forget/;
test.each([uncommitted("sent", applying), committed("answered", applying)])(
  "a window killed while its apply backwards was not yet %s would lose or double a write",
  async (_what, point) => {
    await scene.kill(HOLD, point);
  },
);

test("a window held by a process that was killed would forget its deadline or its verdict", async () => {
  const held = scene.folder.start(HOLD);
  const window = await held.event(({ event }) => event === "window");
  held.child.kill("SIGKILL");
  await held.ended;
  expect(window).toMatchObject({ safe: true });
  const again = scene.folder.start(HOLD);
  const { deadline } = await again.event(({ event }) => event === "window");
  expect(deadline).toBe(window["deadline"]);
  again.child.kill("SIGKILL");
  await again.ended;
});

test("finalize killed before its first commit would have begun to drop", async () => {
  const finalize = ["finalize", "--force", "orders", "--json"];
  await scene.kill(finalize, { text: /SET phase = 'drop'/, when: "before its commit" });
  const status = await scene.partway(["status", "--json"]);
  expect(jsonLines(status.stdout)).toMatchObject([{ database: { phase: "retain", rollbackSafe: true } }]);
});

test("a swap whose COMMIT was answered to a dead process would be made twice, or a write lost", async () => {
  await scene.kill(["rollback", "--json"], { text: /RENAME TO/, when: "after its commit" });
});

/** Kills `partway <args>` at the first point of this kind. */
async function killedAt(args: string[], kind: string): Promise<void> {
  const kinds = join(scene.folder.dir, "kinds");
  writeFileSync(kinds, kind);
  const killed = scene.folder.start(args, {
    PARTWAY_TEST_KILL: "before:listed",
    PARTWAY_TEST_KILL_KINDS: kinds,
  });
  await killed.ended;
  expect(killed.child.signalCode).toBe("SIGKILL");
}

test("a process killed between the end and its last word would leave a migration that cannot end", async () => {
  await killedAt(["resume", "--json"], "journal: event finished");
  const listed = await scene.partway(["list", "--json"]);
  expect(jsonLines(listed.stdout)).toMatchObject([{ migrations: [{ outcome: "rolled-back" }] }]);
  await scene.proveNothingLost();
});

test("a run told to stop at a phase, killed before its first step or after its last, would go on through cutover", async () => {
  const resumed = async () => {
    const { code, stdout } = await scene.partway(["resume", "--no-hold", "--json"]);
    expect(code, stdout).toBe(0);
    return jsonLines(stdout).at(-1);
  };
  await killedAt([...RUN, "--until", "shadow"], "journal: claim");
  // The shadow phase is committed, and the journal does not know.
  await killedAt(["resume", "--no-hold"], "journal: transition to halted");
  expect(await resumed()).toMatchObject({ event: "finished", outcome: "stopped" });
  // Told again, it goes on, and that is remembered too.
  await killedAt(["resume", "--no-hold"], "journal: transition to index");
  expect(await resumed()).toMatchObject({ event: "finished", outcome: "retained" });
});
