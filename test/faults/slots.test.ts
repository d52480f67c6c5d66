/** The server's connection slots really used up (max_connections), by others: at the start, and in the middle of a run. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { Session } from "../../src/pg/session.js";
import { SQLSTATE, sqlState } from "../../src/pg/sqlstate.js";
import { objectsOf } from "../cli/scene.js";
import { jsonLines } from "../cli/support.js";
import { targetOf } from "../support/database.js";
import { type RunningServer, startOwnServer } from "../support/server.js";
import { WAY } from "./faults.js";
import type { Act } from "./network.js";
import { openScene, RUN, type Scene } from "./scene.js";

let server: RunningServer;
let scene: Scene;
beforeAll(async () => {
  server = await startOwnServer(inject("server").version, { flags: ["-c", "max_connections=20"] });
  scene = await openScene(server, { rows: 12_000, application: "superuser" });
});
afterAll(async () => {
  await scene.close();
  await server.stop();
});

/** Takes every slot that an ordinary role can have, and each one that becomes free, until given back. */
function takeAll() {
  const target = targetOf(scene.db.ownerUrl);
  const taken: Session[] = [];
  let over = false;
  let first = 0;
  let full: () => void = () => undefined;
  const allTaken = new Promise<void>((resolve) => {
    full = () => {
      if (first === 0) first = taken.length;
      resolve();
    };
  });
  const trying = (async () => {
    while (!over) {
      try {
        taken.push(await Session.open(target));
      } catch (error) {
        if (sqlState(error) !== SQLSTATE.tooManyConnections && !/no connection left/.test(String(error)))
          throw error;
        full();
        await sleep(5);
      }
    }
  })();
  return {
    allTaken,
    count: () => taken.length,
    /** How many there were when all were taken for the first time. */
    first: () => first,
    giveBack: async () => {
      over = true;
      await trying;
      await Promise.all(taken.map((session) => session.end()));
    },
  };
}

test("a server whose slots are all taken would not be named at the start, or something would have been done", async () => {
  const untouched = await scene.admin(objectsOf);
  const others = takeAll();
  await others.allTaken;
  const { code, stdout } = await scene.start(RUN).ended;
  await others.giveBack();
  expect(code).toBe(2);
  expect(jsonLines(stdout).at(-1)).toMatchObject({
    event: "error",
    what: expect.stringMatching(/no connection left/),
    state: "Nothing was touched.",
    next: expect.stringMatching(/Free a connection/),
  });
  expect(await scene.admin(objectsOf)).toEqual(untouched);
});

test("connections lost and every slot taken by others would end the run, or lose a row", async () => {
  scene.start(RUN);
  let struck = scene.strike(WAY["copy, before a batch's commit"], loseAll);
  for (const next of [WAY["cutover, before its commit"], null]) {
    await struck;
    const others = taking;
    if (others === null) throw new Error("nobody took the slots");
    // What the run had before is the others' now.
    await expect.poll(scene.network.now, LONG).toBe(0);
    await expect.poll(others.count, LONG).toBeGreaterThan(others.first());
    scene.network.flow();
    const told = await scene
      .process()
      .event(({ event, message }) => event === "log" && /no connection left/.test(String(message)));
    expect(told["message"]).toMatch(/trying again in/);
    if (next !== null) struck = scene.strike(next, loseAll);
    await others.giveBack();
  }
  expect(await scene.finish()).toMatchObject({ outcome: "retained" });
  expect(scene.stops).toEqual([]);
  await scene.proveNothingLost();
});

const LONG = { timeout: 60_000, interval: 20 };
let taking: ReturnType<typeof takeAll> | null = null;

/** Others have every slot that is free; then the run loses its own. */
const loseAll: Act = async () => {
  taking = takeAll();
  await taking.allTaken;
  return "cut-all";
};
