/**
 * One scene that goes through everything a migration can do, with faults at chosen moments: to the window, back by
 * rollback, a second one aborted, a third one finalized; under live writers with an exact ledger.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { leafObjects, objectsOf } from "../cli/scene.js";
import { type RunningServer, startOwnServer } from "../support/server.js";
import { ABORT, FINALIZE, ROLLBACK, WAY, WINDOW } from "./faults.js";
import type { Act, Moment } from "./network.js";
import { HOLD, openScene, RESUME, RUN, type Scene } from "./scene.js";

export type Fault = (scene: Scene) => Act;
/** Where, what happens there in words, and what does it. */
type Choice<M> = readonly (readonly [keyof M & string, string, Fault])[];

export interface Chosen {
  way: Choice<typeof WAY>;
  window: Choice<typeof WINDOW>;
  rollback: Choice<typeof ROLLBACK>;
  abort: Choice<typeof ABORT>;
  finalize: Choice<typeof FINALIZE>;
}

/** Told of every case that was met, with the seconds until everything stood still again. */
export type Told = (row: { moment: string; fault: string; seconds: number }) => void;

/** Defines the tests. `afterwards` looks at the scene when the window has been reached. */
export function journey(chosen: Chosen, record: Told, afterwards: (scene: Scene) => void): void {
  let server: RunningServer;
  let scene: Scene;
  let untouched: string[];
  beforeAll(async () => {
    server = await startOwnServer(inject("server").version);
    scene = await openScene(server, { rows: 20_000 });
    untouched = await scene.admin(objectsOf);
  });
  afterAll(async () => {
    await scene.close();
    await server.stop();
  });

  function meets<M extends { readonly [name: string]: Moment }>(
    moments: M,
    choice: Choice<M>,
    first: readonly string[],
    again: readonly string[],
  ): void {
    test.each(choice.map(([moment, fault, act], i) => ({ moment, fault, act, i })))(
      "$moment: $fault would cost the run, or a write",
      async ({ moment, fault, act, i }) => {
        const from = performance.now();
        if (i === 0) scene.start(first);
        await scene.strike(moments[moment] ?? { text: /^$/, when: "at" }, act(scene), again);
        record({ moment, fault, seconds: (performance.now() - from) / 1000 });
      },
    );
    if (choice.length === 0) test(`${first[0]} would not begin`, () => void scene.start(first));
  }

  /** Lets the window be held until it is told after everything that happened, then stops it as Ctrl-C does. */
  async function holdsAgain(): Promise<void> {
    scene.network.flow();
    const before = Date.now();
    const told = (line: { event: string }) =>
      line.event === "window" && Date.parse(String((line as Record<string, unknown>)["at"])) > before;
    const window = await scene
      .process()
      .event(told)
      .catch(() => scene.start(HOLD).event(told));
    expect(window).toMatchObject({ safe: true });
    scene.process().child.kill("SIGINT");
    expect((await scene.process().ended).code).toBe(5);
  }

  describe("on the way to the window", () => {
    meets(WAY, chosen.way, RUN, RESUME);

    test("after all that the migration would not be in its window, or not with every write", async () => {
      expect(await scene.finish()).toMatchObject({ outcome: "retained" });
      await scene.written(50);
      await scene.proveNothingLost();
      afterwards(scene);
      expect(await scene.start(["verify", "--json"]).ended).toMatchObject({ code: 0 });
    });
  });

  describe("in the window and back", () => {
    meets(WINDOW, chosen.window, HOLD, HOLD);
    test("the window would not be held again", holdsAgain);

    meets(ROLLBACK, chosen.rollback, ["rollback", "--json"], RESUME);
    test("the old table would lack a write made since cutover, or something be left", async () => {
      const stops = scene.stops.length;
      expect(await scene.finish()).toMatchObject({ outcome: "rolled-back" });
      if (chosen.rollback.at(-1)?.[0] === "rollback, after its last commit")
        expect(scene.stops.length, "the last commit was made, and only its answer lost").toBe(stops);
      const left = (await scene.admin(objectsOf)).filter((line) => !/failed|partitioned_id_seq/.test(line));
      expect(left).toEqual(untouched);
      await scene.proveNothingLost();
      // The next migration is to find what it would find on any table.
      await scene.admin(async (admin) => {
        await admin.query("DROP TABLE public.orders_partitioned_failed");
      });
    });
  });

  describe("aborted, and finalized", () => {
    test("a new migration would not come as far as its indexes", async () => {
      scene.start([...RUN, "--until", "index"]);
      expect((await scene.finish()).event).toBe("finished");
    });
    meets(ABORT, chosen.abort, ["abort", "--json"], RESUME);
    test("an abort that met faults would leave something, or harm the table", async () => {
      expect(await scene.finish()).toMatchObject({ outcome: "aborted" });
      expect(await scene.admin(objectsOf)).toEqual(untouched);
      await scene.proveNothingLost();
    });
    test("a third migration would not reach its window", async () => {
      scene.start(RUN);
      expect(await scene.finish()).toMatchObject({ outcome: "retained" });
    });
    meets(FINALIZE, chosen.finalize, ["finalize", "--force", "orders", "--json"], RESUME);
    test("a finalize that met faults would leave something, or lose a write", async () => {
      expect(await scene.finish()).toMatchObject({ outcome: "done" });
      expect(await scene.admin(objectsOf)).toEqual(
        ["S orders_id_seq", "p orders", ...(await scene.admin(leafObjects))].sort(),
      );
      await scene.proveNothingLost();
    });
  });
}
