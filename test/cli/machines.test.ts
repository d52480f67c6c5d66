/** What looks on and what is called: metrics, hooks and the veto in real runs, as somebody types them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { createOrders } from "../../src/demo/writer.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type Folder, freshFolder, jsonLines, type Started } from "./support.js";

let built: ReturnType<typeof bundleCli>;
let db: TestDatabase;
let folder: Folder;

beforeAll(() => {
  built = bundleCli();
});
afterAll(() => built.remove());
beforeEach(async () => {
  db = await freshDatabase();
  const session = await db.session();
  await createOrders(session, { schema: "public", name: "orders", rows: 500, months: 1 });
  folder = freshFolder(built.file, db.ownerUrl);
});
afterEach(async () => {
  await folder.remove();
  await db.drop();
});

const RUN = [
  "run",
  "orders",
  "--by",
  "created_at",
  "--every",
  "month",
  "--ahead",
  "0",
  "--no-backup",
  "--yes",
];

/** Where a process that has begun serves its metrics, by what it said. */
function metricsOf({ child }: Started): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stderr?.on("data", (chunk: Buffer) => {
      const url = /metrics at (http\S+)/.exec(chunk.toString())?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once("close", () => reject(new Error("it ended before it served metrics")));
  });
}

const file = (name: string): string => readFileSync(join(folder.dir, name), "utf8");
const Status = z.object({ outcome: z.string().nullable(), position: z.string(), next: z.string() });

async function status(): Promise<z.infer<typeof Status>> {
  return Status.parse(jsonLines((await folder.run(["status", "--json"])).stdout)[0]);
}

test("a hook that says no would not stop the cutover, or the run could not go on after it", async () => {
  const vetoed = await folder.run([
    ...[
      ...RUN,
      "--no-hold",
      "--on",
      "before-cutover=echo asked >> asked; echo not tonight; test -f approved",
    ],
    ...["--on", 'phase=echo "$PARTWAY_EVENT $PARTWAY_PHASE" >> phases', "--on", "phase:shadow:done=exit 7"],
    ...["--on", "cutover=echo $PARTWAY_JSON >> swaps; env > facts", "--on", "stopped=partway_end > end"],
  ]);
  expect([vetoed.code, vetoed.stderr]).toEqual([3, expect.stringMatching(/exit code 1\): not tonight\n/)]);
  expect(vetoed.stdout).toMatch(/hook phase:shadow:done: exit 7 \(exit code 7\)/);
  expect(vetoed.stdout).toMatch(/hook stopped:vetoed: .*exit code 127.*not found/);
  expect(await status()).toEqual({
    ...{ outcome: "ready-for-cutover", position: "ready" },
    next: expect.stringMatching(/^partway cutover orders_/),
  });
  expect(existsSync(join(folder.dir, "swaps"))).toBe(false);
  const phases = file("phases").trim().split("\n");
  expect(phases).toEqual([
    ...["phase:backup:started backup", "phase:backup:done backup", "phase:shadow:started shadow"],
    ...[
      "phase:shadow:done shadow",
      "phase:copy:started copy",
      "phase:copy:done copy",
      "phase:index:started index",
    ],
    ...["phase:index:done index", "phase:validate:started validate", "phase:validate:done validate"],
  ]);

  // The hooks of the run hold for what goes on with it.
  expect((await folder.run(["cutover", "--no-hold"])).code).toBe(3);
  writeFileSync(join(folder.dir, "approved"), "");
  const password = "the-operators-own";
  const swapped = await folder.run(["cutover", "--no-hold"], { PGPASSWORD: password });
  expect(swapped.code, swapped.stderr).toBe(0);
  expect(file("asked")).toBe("asked\n".repeat(3));
  expect(file("swaps")).toMatch(/direction/);
  const facts = new Map(
    file("facts")
      .split("\n")
      .map((line) => [line.split("=")[0], line.split("=").slice(1).join("=")]),
  );
  const { username, host, pathname, password: secret } = new URL(db.ownerUrl);
  expect(Object.fromEntries([...facts].filter(([name = ""]) => /^PARTWAY_[^J]/.test(name)))).toEqual({
    ...{ PARTWAY_EVENT: "cutover:forward", PARTWAY_PHASE: "cutover", PARTWAY_TABLE: "public.orders" },
    PARTWAY_MIGRATION: expect.stringMatching(/^orders_/),
    PARTWAY_AT: expect.stringMatching(/^\d{4}-/),
    PARTWAY_SERVER: `${username}@${host}${pathname}`,
    PARTWAY_MESSAGE: expect.stringMatching(/^public.orders: the application is on the new table/),
  });
  expect([...facts].filter(([name, value]) => name !== "DATABASE_URL" && value?.includes(secret))).toEqual(
    [],
  );
  // What is the operator's own is handed on as it is.
  expect([facts.get("PGPASSWORD"), facts.get("DATABASE_URL")]).toEqual([password, db.ownerUrl]);
  expect(file(".partway/log/partway.ndjson")).toContain("not tonight");
});

test("a run that stays would end at the veto, or its dashboard go dark", async () => {
  const started = folder.start([
    ...RUN,
    "--hold",
    "--json",
    "--metrics",
    ":0",
    "--on",
    "before-cutover=test -f approved",
  ]);
  const url = await metricsOf(started);
  await started.event(({ event, message }) => event === "log" && /does not allow/.test(String(message)));
  await started.event(({ event }) => event === "ready");
  const ready = await (await fetch(url)).text();
  expect(ready).toMatch(/^partway_phase\{migration="orders_\w+",table="public.orders",phase="ready"\} 1$/m);
  expect(ready).toMatch(/^partway_copy_rows\{.*\} 500$/m);
  expect(ready).not.toContain("partway_rollback_safe{");

  writeFileSync(join(folder.dir, "approved"), "");
  expect((await folder.run(["cutover"])).code).toBe(0);
  await started.event(({ event }) => event === "window");
  const page = await (await fetch(url)).text();
  expect(page).toMatch(/^partway_rollback_safe\{.*\} 1$/m);
  expect(page).toMatch(/^partway_cutover_held_seconds\{.*direction="forward"\} 0\.\d+$/m);
  const port = new URL(url).port;
  const second = await folder.run(["resume", "--metrics", `:${port}`]);
  expect([second.code, second.stderr]).toEqual([
    2,
    expect.stringMatching(/EADDRINUSE[\s\S]*Nothing was touched/),
  ]);
  started.child.kill("SIGINT");
  expect((await started.ended).code).toBe(5);
});

test("a wrong option would be found when the backup is made already", async () => {
  const wrong: [string[], RegExp][] = [
    [["--on", "before-cut=true"], /"before-cut" is not an event/],
    [["--on", "cutover="], /no command is given/],
    [["--metrics", "somewhere"], /is not \[host\]:port/],
    [["--hook-timeout", "0s"], /--hook-timeout/],
  ];
  for (const [args, says] of wrong) {
    const ended = await folder.run([...RUN, ...args]);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(says)]);
  }
  expect(existsSync(join(folder.dir, ".partway"))).toBe(false);
});
