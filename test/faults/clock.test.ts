/** The clock of the machine that Partway runs on is hours wrong: the window follows the database. */
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { objectsOf, openScene, RUN, type Scene } from "../cli/scene.js";
import { type Ended, jsonLines } from "../cli/support.js";
import { value } from "../support/migration.js";

const HOUR = 3_600_000;
const SHIFT = pathToFileURL(`${import.meta.dirname}/clock-shift.mjs`).href;
let scene: Scene;
beforeAll(async () => {
  scene = await openScene(2_000);
});
afterAll(() => scene.close());

/** The environment of a process whose clock is `ms` ahead. */
const ahead = (ms: number) => ({ NODE_OPTIONS: `--import ${SHIFT}`, PARTWAY_TEST_SHIFT_MS: `${ms}` });
const at = (ms: number, ...args: string[]): Promise<Ended> => scene.folder.run(args, ahead(ms));

/** The window by the database, seconds. */
const left = async () =>
  Number(
    await value(
      scene.session,
      "SELECT extract(epoch FROM deadline - clock_timestamp()) FROM partway.migration",
    ),
  );

test("the leaves of a plan would follow the client's clock", async () => {
  const leaves = async (ms: number) => {
    const { stdout } = await at(ms, "plan", "orders", "--by", "created_at", "--every", "month", "--json");
    const [made] = jsonLines(stdout) as [{ leaves: { name: string; bounds: unknown }[] }];
    return made.leaves.map(({ name, bounds }) => ({ name, bounds }));
  };
  expect(await leaves(400 * 24 * HOUR)).toEqual(await leaves(0));
});

test.each([5, -5])(
  "with a clock %i hours off the window would be of another length, or end early",
  async (h) => {
    if (h === 5) {
      const ran = await at(h * HOUR, ...RUN, "--no-backup", "--keep", "1h");
      expect(ran.code, ran.stdout).toBe(0);
    }
    expect(await left()).toBeGreaterThan(3_600 - 600);
    expect(await left()).toBeLessThanOrEqual(3_600);
    const early = await at(h * HOUR, "finalize");
    expect(early).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/\d+ s left by the database's clock/),
    });
    const status = jsonLines((await at(h * HOUR, "status", "--json")).stdout);
    expect(status).toMatchObject([{ database: { phase: "retain", rollbackSafe: true } }]);
    const [{ database }] = status as [{ database: { secondsLeft: number } }];
    expect(Math.abs(database.secondsLeft - (await left()))).toBeLessThan(60);
    const held = scene.folder.start(["resume", "--hold", "--json"], ahead(h * HOUR));
    const window = await held.event(({ event }) => event === "window");
    expect(Math.abs(Number(window["secondsLeft"]) - (await left()))).toBeLessThan(60);
    held.child.kill("SIGINT");
    expect((await held.ended).code).toBe(5);
    expect(await objectsOf(scene.session)).toContain("r orders_retired");
  },
);

test("with a clock five hours slow the retired table would be kept beyond its deadline", async () => {
  const held = scene.folder.start(["resume", "--hold", "--json"], ahead(-5 * HOUR));
  await held.event(({ event }) => event === "window");
  await scene.session.query("UPDATE partway.migration SET deadline = clock_timestamp()");
  const { code, stdout } = await held.ended;
  expect({ code, last: jsonLines(stdout).at(-1) }).toMatchObject({ code: 0, last: { outcome: "done" } });
  await scene.proveNothingLost();
});
