/**
 * The server's disk is full, and then it is not. The application's own writes fail meanwhile: that is the fault itself.
 * The run stops with a message that names the disk (or waits for a server that broke down over it), and goes on.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { messageOf } from "../../src/errors.js";
import { objectsOf } from "../cli/scene.js";
import { jsonLines } from "../cli/support.js";
import { type RunningServer, startOwnServer } from "../support/server.js";
import { noSmallDisk, type SmallDisk, smallDisk } from "./disk.js";
import { WAY, WINDOW } from "./faults.js";
import type { Moment } from "./network.js";
import { HOLD, openScene, RESUME, RUN, type Scene } from "./scene.js";

const why = process.env["PARTWAY_FAULTS"] === "all" ? noSmallDisk() : "only with PARTWAY_FAULTS=all";
const DISK_FULL = ["53100"];

describe.skipIf(why !== null)(`a full disk${why === null ? "" : ` (skipped: ${why})`}`, () => {
  let disk: SmallDisk;
  let server: RunningServer;
  let scene: Scene;
  let untouched: string[];
  beforeAll(async () => {
    disk = smallDisk(220);
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = disk.dir;
    try {
      const flags = ["min_wal_size=32MB", "max_wal_size=64MB"].flatMap((s) => ["-c", s]);
      server = await startOwnServer(inject("server").version, { flags });
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    }
    scene = await openScene(server, { rows: 12_000 });
    untouched = await scene.admin(objectsOf);
  });
  afterAll(async () => {
    disk.free();
    await scene.close();
    await server.stop();
    disk.remove();
  });

  /** Fills the disk at the moment, waits for what the run makes of it, and frees it. */
  async function full(
    moment: Moment,
    again?: readonly string[],
    more: () => Promise<void> = async () => undefined,
  ) {
    const from = Date.now();
    await scene.strike(
      moment,
      async () => {
        disk.fill();
        await more();
        return "forward";
      },
      again,
    );
    scene.network.flow();
    const { event, ended } = scene.process();
    const told = event((line) => {
      const later = Date.parse(String(line["at"])) >= from;
      const lost = line.event === "log" && /connection to the server lost/.test(String(line["message"]));
      return later && (lost || line.event === "stopped" || line.event === "window");
    });
    const said = await told.catch(async () => ({ what: (await ended).stdout.split("\n").at(-2) }));
    disk.free();
    if (await scene.admin(async () => false).catch((error: unknown) => messageOf(error) !== ""))
      await server.restart();
    return said;
  }

  const NAMED = {
    what: expect.stringMatching(/a disk of the database server is full: .*No space left on device/),
  };

  test("at the first statement: the run would not name it, or leave something that no command takes up", async () => {
    scene.start(RUN);
    await scene.strike({ text: /INSERT INTO partway\.migration/, when: "at" }, async () => {
      disk.fill();
      return "forward";
    });
    scene.network.flow();
    const { code, stdout } = await scene.process().ended;
    disk.free();
    expect(code).toBe(1);
    expect(jsonLines(stdout).at(-1)).toMatchObject({
      ...{ event: "error", ...NAMED },
      state: expect.stringMatching(/Nothing is lost/),
      next: expect.stringMatching(/partway resume orders_/),
    });
  });

  test("in the copy: the run would not name it, or not go on", async () => {
    scene.start(RESUME);
    expect(await full({ text: /INSERT INTO "public"\."orders_partitioned"/, when: "at" })).toMatchObject(
      NAMED,
    );
  });

  test("in an index build: the run would not name it, or not go on", async () => {
    expect(await full({ text: /ADD CONSTRAINT|CREATE INDEX/, when: "at" })).toMatchObject(NAMED);
  });

  test("for the WAL, so that the server breaks down: the run would not come back", async () => {
    await full(WAY["validate, hashing"], undefined, async () => {
      // No segment is left to go on with: the server breaks down (PANIC), and cannot recover as long as it is so.
      await scene
        .admin(async (admin) => {
          for (;;) await admin.query("SELECT pg_switch_wal(), pg_create_restore_point('x')");
        })
        .catch((error: unknown) => expect(messageOf(error)).toMatch(/lost|No space left on device/));
    });
    expect(await scene.finish()).toMatchObject({ outcome: "retained" });
    await scene.proveNothingLost(DISK_FULL);
  });

  test("in the window: a write made since cutover would be lost to the old table", async () => {
    scene.start(HOLD);
    await full(WINDOW["window, before an apply's commit"], HOLD);
    scene.process().child.kill("SIGINT");
    await scene.process().ended;
    scene.start(["rollback", "--json"]);
    expect(await scene.finish()).toMatchObject({ outcome: "rolled-back" });
    const left = (await scene.admin(objectsOf)).filter((line) => !/failed|partitioned_id_seq/.test(line));
    expect(left).toEqual(untouched);
    await scene.proveNothingLost(DISK_FULL);
  });
});
