/** The real process, killed at the moments that a capture from the write-ahead log adds to the others. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ident } from "../../src/pg/quote.js";
import { committed, sent, uncommitted } from "../cli/killpoint.js";
import { openScene, RUN, type Scene } from "../cli/scene.js";
import { lines } from "../migrations/shape.js";

let scene: Scene;
beforeAll(async () => {
  scene = await openScene(3000);
  const admin = await scene.db.session(scene.db.superuserUrl);
  await admin.query(`ALTER ROLE ${ident(scene.db.role)} REPLICATION`);
});
afterAll(() => scene.close());

/** All of them: `PARTWAY_TEST_FULL=1`. */
const FULL = process.env["PARTWAY_TEST_FULL"] === "1";

const left = () =>
  lines(
    scene.session,
    `SELECT slot_name AS line FROM pg_replication_slots WHERE database = current_database()
     UNION ALL SELECT pubname FROM pg_publication`,
  );

const RESUME = ["resume", "--no-hold", "--workers", "2", "--json"];

test("killed while the slot is made, read, moved or taken away, a write would be lost, or the slot be left", async () => {
  const points = [
    sent("the slot is made", /pg_create_logical_replication_slot/),
    ...(FULL
      ? [
          committed("its beginning is noted", /INSERT INTO "partway"\."wal_/),
          uncommitted("keys are in the log", /wal_insert/),
        ]
      : []),
    sent("they are committed, and the slot is to be moved", /pg_replication_slot_advance/),
    committed("the names are swapped", /RENAME TO/),
    sent("the slot is taken away", /pg_drop_replication_slot/),
  ];
  let args: readonly string[] = [...RUN, "--capture", "wal"];
  for (const [, point] of points) {
    await scene.kill(args, point);
    await scene.written(20);
    args = RESUME;
  }
  const ended = await scene.partway(RESUME);
  expect(ended.code, ended.stdout).toBe(0);
  await scene.proveNothingLost();
  expect(await left()).toEqual([]);
  const back = await scene.partway(["rollback", "--json"]);
  expect(back.code, back.stdout).toBe(0);
  await scene.proveNothingLost();
});

test("given up by another machine, a run would leave a slot that keeps WAL for ever", async () => {
  await scene.session.query("DROP TABLE IF EXISTS public.orders_partitioned_failed");
  await scene.kill([...RUN, "--capture", "wal"], { text: /pg_replication_slot_advance/, when: "at" });
  expect(await left()).toHaveLength(2);
  const other = scene.otherFolder();
  for (const args of [["recover"], ["abort", "--json"]]) {
    const { code, stdout, stderr } = await other.run(args);
    expect(code, stdout + stderr).toBe(0);
  }
  expect(await left()).toEqual([]);
  await scene.proveNothingLost();
});
