/** `partway abort`: the source as it was, byte for byte in its definition, and nothing of Partway anywhere. */
import { execFileSync } from "node:child_process";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createOrders } from "../../src/demo/writer.js";
import type { Session } from "../../src/pg/session.js";
import { PHASES } from "../../state/events.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { contentOf, definitionOf } from "./catalog.js";
import { type KillProxy, startKillProxy } from "./killpoint.js";
import { type Folder, freshFolder } from "./support.js";

let built: ReturnType<typeof bundleCli>;
let db: TestDatabase;
let session: Session;
let proxy: KillProxy;
let folder: Folder;

beforeAll(async () => {
  built = bundleCli();
  db = await freshDatabase();
  session = await db.session();
  await createOrders(session, { schema: "public", name: "orders", rows: 2_000, months: 2 });
  // Everything a table may have besides columns, that Partway migrates.
  await session.query(`
    COMMENT ON TABLE public.orders IS 'what was ordered';
    COMMENT ON COLUMN public.orders.note IS 'free text';
    ALTER TABLE public.orders ADD CONSTRAINT amount_positive CHECK (amount >= 0);
    ALTER TABLE public.orders ALTER COLUMN status SET STATISTICS 500;
    ALTER TABLE public.orders SET (fillfactor = 90);
    GRANT SELECT (id, status) ON public.orders TO PUBLIC`);
  proxy = await startKillProxy(db.ownerUrl);
});
afterAll(async () => {
  await proxy.stop();
  await db.drop();
  built.remove();
});

beforeEach(() => {
  folder = freshFolder(built.file, proxy.url(db.ownerUrl));
});
afterEach(() => folder.remove());

/** pg_dump where it is new enough, its random \\restrict key left out; and in any case the catalog in words. */
async function everything(): Promise<string[]> {
  const lines = [...(await definitionOf(session)), await contentOf(session)];
  if (db.version !== "15") return lines;
  const dump = execFileSync("pg_dump", ["--schema-only", db.superuserUrl], { encoding: "utf8" });
  return [...lines, ...dump.split("\n").filter((line) => !/^\\(un)?restrict /.test(line))];
}

const RUN = [
  ...["run", "orders", "--by", "created_at", "--every", "month", "--ahead", "1"],
  ...["--yes", "--no-hold", "--batch-blocks", "16", "--json"],
];

async function abortLeavesNothing(before: string[]): Promise<void> {
  const aborted = await folder.run(["abort", "--json"]);
  expect(aborted.code, aborted.stdout).toBe(0);
  expect(await everything()).toEqual(before);
  // Twice does no harm.
  const id = /"migration":"(\w+)"/.exec(aborted.stdout)?.[1] ?? "";
  expect((await folder.run(["abort", id])).code).toBe(0);
}

const beforeCutover = PHASES.slice(0, PHASES.indexOf("cutover"));

test.each(beforeCutover)("abort after %s would leave the database other than it was", async (phase) => {
  const before = await everything();
  const ran = await folder.run([...RUN, "--until", phase]);
  expect(ran.code, ran.stdout).toBe(0);
  if (phase !== "backup") expect(await everything()).not.toEqual(before);
  await abortLeavesNothing(before);
});

/** In the middle of each phase: what it is just doing when it is killed. */
const MIDDLE: [phase: string, doing: RegExp][] = [
  ["backup", /pg_export_snapshot/],
  ["shadow", /SET shadow_oid/],
  ["copy", /INSERT INTO partway\.ledger/],
  ["index", /^.{5,8}ALTER INDEX/s],
  ["validate", /hash_record_extended[\s\S]*AS s\n WHERE s\.ctid >= /],
  ["cutover", /IN ACCESS EXCLUSIVE MODE/],
];

test.each(MIDDLE)("abort after a SIGKILL during %s would leave something behind", async (phase, doing) => {
  const before = await everything();
  const running = folder.start(RUN);
  const armed = proxy.arm({ text: doing, when: "at" }, () => running.child.kill("SIGKILL"));
  const { stdout } = await running.ended;
  expect(armed.happened(), stdout).toBe(true);
  expect(stdout).toContain(`"phase":"${phase}","status":"started"`);
  expect(stdout).not.toContain(`"phase":"${phase}","status":"done"`);
  await abortLeavesNothing(before);
});
