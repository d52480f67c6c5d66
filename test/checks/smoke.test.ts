import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { plan, proceed, type RunOptions, run } from "../../src/api.js";
import type { PartwayConfig } from "../../src/config/schema.js";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { report } from "../../src/report.js";
import { smoke } from "../../src/smoke.js";
import type { RunEvent } from "../../state/events.js";
import { BY_BUCKET, makeItems } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { value } from "../support/migration.js";

let db: TestDatabase;
let session: Session;
let dir: string;
let events: RunEvent[];
let files = 0;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  dir = mkdtempSync(join(tmpdir(), "partway-smoke-"));
  events = [];
  await makeItems(session);
});
afterEach(async () => {
  await db.drop();
  rmSync(dir, { recursive: true, force: true });
});

type Entry = NonNullable<NonNullable<PartwayConfig["tables"]>[string]>;

/** The search path is the role's own: `items` is found without its schema. */
const PASSES = { name: "all there", sql: "SELECT count(*) FROM items", expect: { equals: 1200 } };
const FAILS = { name: "none there", sql: "SELECT * FROM {table}", expect: { rows: 0 } };

function options(entry: Entry, over: Partial<RunOptions> = {}): RunOptions {
  // A file of its own each time: what was loaded once in a process stays loaded.
  files += 1;
  const config = join(dir, `partway-${files}.config.json`);
  writeFileSync(config, JSON.stringify({ tables: { items: entry } }));
  const onEvent = (event: RunEvent) => void events.push(event);
  return {
    table: "items",
    url: db.ownerUrl,
    state: dir,
    config,
    backup: false,
    ...BY_BUCKET,
    onEvent,
    ...over,
  };
}

const kind = () => value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass");
const seen = <K extends RunEvent["event"]>(name: K) =>
  events.filter((event): event is Extract<RunEvent, { event: K }> => event.event === name);
const message = () => seen("finished").at(-1)?.message ?? "";

test("checks would not be run after cutover, or change something, or be believed when they cannot be run", async () => {
  const smokes = [
    PASSES,
    { name: "writes", sql: "DELETE FROM items" },
    { name: "ends the transaction", sql: "COMMIT; DELETE FROM items" },
    { name: "slow", sql: "SELECT pg_sleep(30)", timeout: "50ms" },
  ];
  const given = options({ smoke: smokes, queries: ["SELECT * FROM items WHERE bucket = 7"] });
  const { warnings = [] } = await plan(given);
  expect(warnings.map(({ what }) => what)).toEqual([
    expect.stringMatching(/^smoke check "writes" cannot be run: it writes/),
    expect.stringMatching(/^smoke check "ends the transaction" cannot be run: /),
  ]);
  const { outcome, exitCode, migration } = await (await run(given)).finished;
  expect({ outcome, exitCode }).toEqual({ outcome: "retained", exitCode: EXIT.smokeFailed });
  expect(seen("smoke").map(({ check, on, passed, found }) => [check, on, passed, found])).toEqual([
    ["all there", "new", true, "1200"],
    ["writes", "new", false, expect.stringContaining("read-only transaction")],
    ["ends the transaction", "new", false, expect.stringContaining("multiple commands")],
    ["slow", "new", false, "it took longer than its timeout of 50 ms"],
  ]);
  expect(message()).toMatch(
    /^CUT OVER, BUT 3 of 4 smoke checks FAILED .*TO GO BACK: partway rollback items_/,
  );
  expect(await kind()).toBe("p");
  expect(await value(session, "SELECT count(*) FROM public.items")).toBe("1200");
  expect(seen("query").map(({ when, leavesScanned, runs }) => [when, leavesScanned, runs.length])).toEqual([
    ["before", null, 2],
    ["after", 1, 2],
  ]);
  const text = await report({ url: db.ownerUrl, state: dir, format: "md" });
  expect(text).toContain("BUT 3 of 4 smoke checks failed");
  expect(text).toMatch(/query 1 \| .* \| 1 of \d/);
  // Again, with other checks: the journal keeps what was found.
  const again = await smoke({ ...options({ smoke: [PASSES] }), id: migration });
  expect(again).toMatchObject({ on: "new", total: 1, failed: [], next: null });
  expect(await report({ url: "postgres://127.0.0.1:1/none", state: dir, format: "md" })).toMatch(
    /could not be asked: [\s\S]*All 1 passed on the new table/,
  );
});

test("a failed check that is to lead back would leave the application on the new table", async () => {
  const { outcome, exitCode } = await (
    await run(options({ smoke: [PASSES, FAILS], smokeFailure: "rollback" }))
  ).finished;
  expect({ outcome, exitCode }).toEqual({ outcome: "rolled-back", exitCode: EXIT.smokeFailed });
  expect(seen("smoke-done")).toMatchObject([{ on: "new", total: 2, failed: ["none there"] }]);
  expect(message()).toMatch(/^1 of 2 smoke checks FAILED \(none there\): ROLLED BACK/);
  expect(await kind()).toBe("r");
  expect(await value(session, "SELECT count(*) FROM public.items")).toBe("1200");
});

test("checks that an interruption cut off would never be run", async () => {
  const stopping: Pick<RunOptions, "onEvent"> = {
    onEvent: (event) => {
      events.push(event);
      if (event.event === "smoke") void running.command("stop");
    },
  };
  const running = await run(options({ smoke: [PASSES, { ...PASSES, name: "second" }] }, stopping));
  const first = await running.finished;
  expect(first).toMatchObject({ outcome: "stopped", exitCode: EXIT.stopped });
  expect(seen("smoke-done")).toEqual([]);
  const onEvent = (event: RunEvent) => void events.push(event);
  const resumed = await proceed("resume", { url: db.ownerUrl, state: dir, onEvent });
  expect(await resumed.finished).toMatchObject({ outcome: "retained", exitCode: EXIT.done });
  expect(seen("smoke-done")).toMatchObject([{ on: "new", total: 2, failed: [] }]);
  expect(seen("cutover")).toHaveLength(1);
});
