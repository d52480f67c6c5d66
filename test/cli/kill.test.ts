/** SIGKILL on the way to cutover: one migration, killed at every commit it makes on its way, resumed each time. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { committed, type NamedPoint, sent, uncommitted } from "./killpoint.js";
import { openScene, RUN, type Scene } from "./scene.js";
import { jsonLines } from "./support.js";

let scene: Scene;
beforeAll(async () => {
  scene = await openScene(12_000);
});
afterAll(() => scene.close());

const RESUME = ["resume", "--no-hold", "--json"];
const around = (what: string, text: RegExp, nth = 1): NamedPoint[] => [
  uncommitted(what, text, nth),
  committed(what, text, nth),
];
/** The commit by which a phase hands over to the next one. */
const handOver = (next: string) => new RegExp(`SET phase = \\$2[\\s\\S]*${next}`);

const points: NamedPoint[] = [
  ...around("start: the migration's row", /INSERT INTO partway\.migration/),
  sent("backup: its snapshot", /pg_export_snapshot/),
  // Not the COPY: on 15 pg_dump makes it, on a connection that may have sent it in pieces.
  sent("backup: its count and hash", /hash_record_extended/),
  ...around("shadow: all of it", /SET shadow_oid/),
  uncommitted("copy: change log and function", /CREATE OR REPLACE FUNCTION/),
  ...around("copy: the capture triggers", /CREATE TRIGGER/),
  uncommitted("copy: size and filenode", /pg_relation_size/),
  ...around("copy: the second batch", /INSERT INTO partway\.ledger/, 2),
  uncommitted("copy: the last word", handOver("index")),
  uncommitted("index: the dedupe of a leaf", /DELETE FROM[\s\S]*USING/),
  ...around("index: the second leaf's build", /ALTER TABLE \S+ ADD CONSTRAINT|CREATE INDEX/, 2),
  uncommitted("index: attaching", /ATTACH PARTITION/),
  sent("index: VACUUM of a leaf", /VACUUM/),
  uncommitted("index: the reverse capture", /CREATE TRIGGER/),
  ...around("index: applying changes", /apply_forward_forget/),
  uncommitted("index: the last word", handOver("validate")),
  sent("validate: hashing", /hash_record_extended/),
  ...around("validate: the result", /SET validated_at/),
  sent("cutover: asking for the lock", /IN ACCESS EXCLUSIVE MODE/),
  ...around("cutover: the swap itself", /RENAME TO/),
];

test.each(points.map(([what, point], i) => [what, point.when, point, i] as const))(
  'a process killed at "%s", %s, would lose or double a write',
  async (_what, _when, point, i) => {
    await scene.kill(i === 0 ? RUN : RESUME, point);
  },
);

test("after all those kills the migration would not come to its end, or not with every write", async () => {
  const { code, stdout } = await scene.partway(RESUME);
  expect(code).toBe(0);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ event: "finished", outcome: "retained" });
  await scene.written(100);
  await scene.proveNothingLost();
  const verified = await scene.partway(["verify", "--json"]);
  expect(verified).toMatchObject({ code: 0 });
  const { count } = await scene.session.query(
    "SELECT FROM pg_class WHERE oid = 'public.orders'::regclass AND relkind = 'p'",
  );
  expect(count).toBe(1);
});
