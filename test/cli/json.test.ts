/** What a program reads: every line of --json parses, and every exit code means what the manual says. */
import { spawnSync } from "node:child_process";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { createOrders } from "../../src/demo/writer.js";
import type { Session } from "../../src/pg/session.js";
import type { SchemaName } from "../../src/schema/publish.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { expectConforms } from "../support/published.js";
import { type Folder, freshFolder, jsonLines } from "./support.js";

let built: ReturnType<typeof bundleCli>;
let db: TestDatabase;
let session: Session;
let folder: Folder;

beforeAll(() => {
  built = bundleCli();
});
afterAll(() => built.remove());
beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  await createOrders(session, { schema: "public", name: "orders", rows: 1_000, months: 2 });
  folder = freshFolder(built.file, db.ownerUrl);
});
afterEach(async () => {
  await folder.remove();
  await db.drop();
});

const RUN = ["run", "orders", "--by", "created_at", "--every", "month", "--ahead", "1", "--yes", "--no-hold"];

/** Runs with --json, expects the exit code, and gives the parsed lines. */
async function json(code: number, ...args: string[]): Promise<unknown[]> {
  const ended = await folder.run([...args, "--json"]);
  expect(ended.code, ended.stdout + ended.stderr).toBe(code);
  expect(ended.stderr).toBe("");
  const lines = jsonLines(ended.stdout);
  const schema = PUBLISHED[args[0] ?? ""];
  for (const line of lines) {
    // A failure is told the same way whatever was asked for.
    const failed = z.looseObject({ event: z.literal("error") }).safeParse(line).success;
    if (schema !== undefined) expectConforms(failed ? "events" : schema, line);
  }
  return lines;
}

/** What has a published schema: every line of it is held against that, and may have no field that it does not name. */
const PUBLISHED: Record<string, SchemaName> = {
  ...{ status: "status", list: "list" },
  ...{ run: "events", resume: "events", cutover: "events", rollback: "events", finalize: "events" },
};

test("0: a program that reads a whole migration would meet a line it cannot parse", async () => {
  const [plan, ...noMore] = await json(0, "plan", "orders", "--by", "created_at", "--every", "month");
  expect(noMore).toEqual([]);
  expect(plan).toMatchObject({ names: { source: "orders" }, refusals: [] });

  const run = await json(0, ...RUN, "--until", "validate");
  const Event = z.looseObject({ at: z.iso.datetime(), migration: z.string(), event: z.string() });
  const events = run.map((line) => Event.parse(line));
  expect(events[0]).toMatchObject({ event: "process", intent: "resume" });
  expect(events.find(({ event }) => event === "phase")).toMatchObject({ phase: "backup", status: "started" });
  expect(events.at(-1)).toMatchObject({ event: "finished", outcome: "ready-for-cutover" });

  expect(await json(0, "status")).toMatchObject([
    {
      schema: "partway/status/1",
      outcome: "ready-for-cutover",
      database: { reachable: true, phase: "cutover" },
      driver: null,
    },
  ]);
  expect(await json(0, "verify")).toMatchObject([{ result: "equal", live: { rows: 1_000 } }]);
  expect(await json(0, "diff")).toMatchObject([{ stage: "shadow", unexpected: [] }]);
  expect((await json(0, "cutover", "--no-hold")).at(-1)).toMatchObject({ outcome: "retained" });
  expect(await json(0, "list")).toMatchObject([
    { schema: "partway/list/1", migrations: [{ table: "public.orders", outcome: "retained" }] },
  ]);
  expect(await json(0, "status")).toMatchObject([{ outcome: "retained", database: { rollbackSafe: true } }]);
  expect(await json(0, "verify")).toMatchObject([{ direction: "reverse", result: "equal" }]);
  await session.query("COMMENT ON TABLE public.orders IS 'other words'");
  expect(await json(4, "diff")).toMatchObject([
    { stage: "new", unexpected: [{ fact: "comment", now: "-- other words" }] },
  ]);

  const { migration } = Event.parse(events[0]);
  expect(await json(0, "restore", `.partway/backups/${migration}`)).toMatchObject([{ rows: 1_000 }]);
  expect((await json(0, "rollback")).at(-1)).toMatchObject({ outcome: "rolled-back" });
  expect(await json(0, "diff")).toMatchObject([{ stage: "source", unexpected: [], expected: [] }]);
  expect(await json(0, "status")).toMatchObject([
    { outcome: "rolled-back", view: { undo: { status: "done" } } },
  ]);
});

test("2 and 3: an error would not be one JSON object", async () => {
  expect(await json(2, ...RUN, "--hash", "4")).toMatchObject([{ event: "error", exitCode: 2 }]);
  expect(await json(2, ...RUN.filter((arg) => arg !== "--yes"))).toMatchObject([
    { event: "error", kind: "bad-input", what: "with --json nothing is asked" },
  ]);
  expect(await json(2, "status")).toMatchObject([{ event: "error", exitCode: 2 }]);
  await session.query("CREATE RULE r AS ON DELETE TO public.orders DO ALSO NOTHING");
  expect(await json(3, ...RUN)).toMatchObject([{ event: "error", kind: "refused", exitCode: 3 }]);
  expect(await json(3, "plan", "orders", "--by", "created_at", "--every", "month")).toMatchObject([
    { refusals: [{ code: expect.any(String) }] },
  ]);
});

test("4: rows that differ would go live", async () => {
  await json(0, ...RUN, "--until", "index");
  await session.query("DELETE FROM public.orders_partitioned WHERE id = 7");
  const lines = await json(4, "resume");
  expect(lines).toContainEqual(
    expect.objectContaining({ event: "difference", key: expect.stringContaining("7") }),
  );
  expect(lines.at(-1)).toMatchObject({ event: "stopped", kind: "difference", exitCode: 4 });
  expect(await json(4, "verify")).toMatchObject([{ event: "error", kind: "difference" }]);
  const repaired = await json(0, "resume", "--repair", "--no-hold");
  expect(repaired).toContainEqual(expect.objectContaining({ event: "repaired", keys: 1 }));
});

test.each(["SIGINT", "SIGTERM"] as const)("5: %s would not stop safely", async (signal) => {
  const running = folder.start([...RUN.slice(0, -1), "--hold", "--until", "validate", "--json"]);
  await running.event(({ event }) => event === "ready");
  expect(await json(0, "status")).toMatchObject([{ outcome: null, driver: { pid: running.child.pid } }]);
  running.child.kill(signal);
  const { code, stdout } = await running.ended;
  expect(code).toBe(5);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ event: "stopped", kind: "stopped", exitCode: 5 });
  expect(await json(0, "status")).toMatchObject([{ outcome: "stopped", view: { stopped: { exitCode: 5 } } }]);
  expect((await json(0, "resume", "--no-hold")).at(-1)).toMatchObject({ outcome: "ready-for-cutover" });
});

test("6: a long reader would be ended, or waited for without end", async () => {
  await json(0, ...RUN, "--until", "validate");
  const reader = await db.session();
  await reader.begin();
  await reader.query("SELECT count(*)::text FROM public.orders");
  const lines = await json(6, "cutover", "--no-hold", "--lock-tries", "2");
  expect(lines).toContainEqual(
    expect.objectContaining({
      event: "lock-try",
      attempt: 2,
      outcome: "timeout",
      blockers: [expect.objectContaining({ pid: reader.pid })],
    }),
  );
  expect(lines.at(-1)).toMatchObject({ event: "stopped", kind: "lock-busy", exitCode: 6 });
  await reader.commit();
  expect((await json(0, "resume", "--no-hold")).at(-1)).toMatchObject({ outcome: "retained" });
  expect((await json(0, "finalize", "--force", "orders")).at(-1)).toMatchObject({ outcome: "done" });
  expect(await json(0, "status")).toMatchObject([{ outcome: "done", database: { known: false } }]);
});

test("7: a definition that changed meanwhile would be lost", async () => {
  await json(0, ...RUN, "--until", "copy");
  await session.query("ALTER TABLE public.orders ADD COLUMN surprise int");
  const lines = await json(7, "resume");
  expect(lines.at(-1)).toMatchObject({ event: "stopped", kind: "drift", exitCode: 7 });
  expect(JSON.stringify(lines.at(-1))).toContain("surprise");
  await session.query("ALTER TABLE public.orders DROP COLUMN surprise");
});

test("a pipe would get a screen's control characters instead of lines", async () => {
  const { stdout, code } = await folder.run([...RUN, "--until", "shadow"], { TERM: "xterm-256color" });
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines.length).toBeGreaterThan(3);
  for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z \P{Cc}+$/u);
});

test("a reader that leaves (| head) would end the migration with a stack trace", async () => {
  const partway = `"${process.execPath}" "${built.file}" ${[...RUN, "--until", "shadow"].join(" ")}`;
  const said = spawnSync("bash", ["-c", `(${partway}; echo "exit $?" >&2) | true`], {
    cwd: folder.dir,
    env: { PATH: process.env["PATH"], HOME: folder.dir, DATABASE_URL: db.ownerUrl },
    encoding: "utf8",
  });
  expect(said.stderr).toBe("exit 0\n");
});
