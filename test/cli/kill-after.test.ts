/** SIGKILL after cutover, while everything is dropped, during abort and during rollback; resumed each time. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { committed, type NamedPoint, uncommitted } from "./killpoint.js";
import { leafObjects, objectsOf, openScene, RUN, type Scene } from "./scene.js";
import { jsonLines } from "./support.js";

/** A test for each point: the first is met by `first`, the others by a resume. */
function killedAt(scene: () => Scene, first: string[], points: readonly NamedPoint[]): void {
  test.each(points.map(([what, point], i) => [what, point.when, point, i] as const))(
    'a process killed at "%s", %s, would lose a write or leave something behind',
    async (_what, _when, point, i) => {
      await scene().kill(i === 0 ? first : ["resume", "--hold", "--json"], point);
    },
  );
}

const finished = (stdout: string) => jsonLines(stdout).at(-1);

describe("the retention window and the drop", () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene(3_000);
    const ran = await scene.partway(RUN);
    expect(ran.code, ran.stdout).toBe(0);
  });
  afterAll(() => scene.close());

  killedAt(
    () => scene,
    ["resume", "--hold", "--json"],
    [
      uncommitted("retain: applying backwards", /apply_reverse_forget/),
      committed("retain: applying backwards", /apply_reverse_forget/),
    ],
  );

  test("a window held by a process that was killed would forget its deadline or its verdict", async () => {
    const held = scene.folder.start(["resume", "--hold", "--json"]);
    const window = await held.event(({ event }) => event === "window");
    held.child.kill("SIGKILL");
    await held.ended;
    expect(window).toMatchObject({ safe: true });
    const again = scene.folder.start(["resume", "--hold", "--json"]);
    const { deadline } = await again.event(({ event }) => event === "window");
    expect(deadline).toBe(window["deadline"]);
    again.child.kill("SIGKILL");
    await again.ended;
  });

  const finalize = ["finalize", "--force", "orders", "--json"];
  test("finalize killed before its first commit would have begun to drop", async () => {
    await scene.kill(finalize, { text: /SET phase = \$2[\s\S]*drop/, when: "before its commit" });
    const status = await scene.partway(["status", "--json"]);
    expect(jsonLines(status.stdout)).toMatchObject([{ database: { phase: "retain", rollbackSafe: true } }]);
  });

  killedAt(() => scene, finalize, [
    committed("drop: its first word", /SET phase = \$2[\s\S]*drop/),
    uncommitted("drop: the triggers", /DROP TRIGGER/),
    committed("drop: the triggers", /DROP TRIGGER/),
    uncommitted("drop: the retired table", /DROP TABLE \S*orders/),
    committed("drop: the retired table", /DROP TABLE \S*orders/),
    uncommitted("drop: Partway's own tables", /DROP TABLE partway\.ledger/),
    committed("drop: Partway's own tables", /DROP TABLE partway\.ledger/),
  ]);

  test("something of Partway would be left for ever, or a write lost", async () => {
    const { code, stdout } = await scene.partway(["resume", "--json"]);
    expect(code).toBe(0);
    expect(finished(stdout)).toMatchObject({ event: "finished", outcome: "done" });
    expect(await objectsOf(scene.session)).toEqual(
      ["S orders_id_seq", "p orders", ...(await leafObjects(scene.session))].sort(),
    );
    await scene.proveNothingLost();
  });
});

describe("abort and rollback", () => {
  let scene: Scene;
  let untouched: string[];
  beforeAll(async () => {
    scene = await openScene(3_000);
    untouched = await objectsOf(scene.session);
    const ran = await scene.partway([...RUN, "--until", "index"]);
    expect(ran.code, ran.stdout).toBe(0);
  });
  afterAll(() => scene.close());

  killedAt(
    () => scene,
    ["abort", "--json"],
    [
      uncommitted("abort: the reverse triggers", /DROP TRIGGER/),
      committed("abort: the reverse triggers", /DROP TRIGGER/),
      uncommitted("abort: the capture triggers", /DROP TRIGGER/),
      committed("abort: the capture triggers", /DROP TRIGGER/),
      uncommitted("abort: the shadow", /DROP TABLE \S*orders/),
      committed("abort: the shadow", /DROP TABLE \S*orders/),
      uncommitted("abort: Partway's own tables", /DROP TABLE partway\.ledger/),
      committed("abort: Partway's own tables", /DROP TABLE partway\.ledger/),
    ],
  );

  test("an abort that was killed would leave something behind, or harm the table", async () => {
    const { code, stdout } = await scene.partway(["resume", "--json"]);
    expect(code).toBe(0);
    expect(finished(stdout)).toMatchObject({ event: "finished", outcome: "aborted" });
    expect(await objectsOf(scene.session)).toEqual(untouched);
    await scene.proveNothingLost();
  });

  test("the next migration would not reach its window", async () => {
    const { code, stdout } = await scene.partway(RUN);
    expect(code, stdout).toBe(0);
    await scene.written(200);
  });

  killedAt(
    () => scene,
    ["rollback", "--json"],
    [
      uncommitted("rollback: applying backwards", /apply_reverse_forget/),
      committed("rollback: applying backwards", /apply_reverse_forget/),
      uncommitted("rollback: the swap itself", /RENAME TO/),
      committed("rollback: the swap itself", /RENAME TO/),
      uncommitted("rollback: the first triggers", /DROP TRIGGER/),
      committed("rollback: the first triggers", /DROP TRIGGER/),
      committed("rollback: the other triggers", /DROP TRIGGER/),
      uncommitted("rollback: the leaves' names", /_failed/),
      committed("rollback: the leaves' names", /_failed/),
      uncommitted("rollback: Partway's own tables", /DROP TABLE partway\.ledger/),
      committed("rollback: Partway's own tables", /DROP TABLE partway\.ledger/),
    ],
  );

  test("a rollback that was killed would lose a write made since cutover, or leave something behind", async () => {
    const { code, stdout } = await scene.partway(["resume", "--json"]);
    expect(code).toBe(0);
    expect(finished(stdout)).toMatchObject({ event: "finished", outcome: "rolled-back" });
    // The new table is kept, with its leaves and its sequence, until the operator drops it.
    const left = (await objectsOf(scene.session)).filter((line) => !/failed|partitioned_id_seq/.test(line));
    expect(left).toEqual(untouched);
    await scene.proveNothingLost();
    const again = await scene.partway([...RUN, "--until", "shadow"]);
    expect(again.code, again.stdout).toBe(0);
  });
});
