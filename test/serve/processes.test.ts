/** `partway serve` as it is typed: two of them on one database, one that is killed, and signals. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { JOBS_SQL, makeJobStore, readRuns } from "../../src/serve/store.js";
import { newToken } from "../../src/serve/tokens.js";
import { type Folder, freshFolder, jsonLines } from "../cli/support.js";
import { bundleCli } from "../support/bundle.js";
import type { TestDatabase } from "../support/database.js";
import { analyticsDatabase } from "./scene.js";

const { token, kept } = newToken("ops", "write");
/** Once a year, and not today or tomorrow: what is due here is what was missed. */
const month = ((new Date().getUTCMonth() + 6) % 12) + 1;
const CRON = `0 2 1 ${month} *`;
const KINDS = ["create", "analyze", "vacuum", "cleanup", "health", "maintenance"] as const;

let built: ReturnType<typeof bundleCli>;
let db: TestDatabase;
let session: Session;
let folder: Folder;
beforeAll(async () => {
  built = bundleCli();
  ({ db, session } = await analyticsDatabase());
  folder = freshFolder(built.file, db.ownerUrl);
  configure({ tokens: [kept], port: 0 });
});
afterAll(async () => {
  await folder.remove();
  await db.drop();
  built.remove();
});

function configure(serve: object, kinds: readonly string[] = KINDS): void {
  const schedule = Object.fromEntries(kinds.map((run) => [run, { cron: CRON, run }]));
  writeFileSync(join(folder.dir, "partway.config.json"), JSON.stringify({ serve: { schedule, ...serve } }));
}

/** As if a service had known these jobs two years ago. */
async function missed(...jobs: string[]): Promise<void> {
  await makeJobStore(session);
  await session.query("TRUNCATE partway.jobs, partway.job_runs");
  for (const job of jobs) await session.query(JOBS_SQL.know, [job, CRON, "2024-01-01T00:00:00Z"]);
}

const waiting = async (relation: string): Promise<number> =>
  (await session.query("SELECT FROM pg_locks WHERE NOT granted AND relation = $1::regclass", [relation])).rows
    .length;

test("two services on one database would do a job twice", async () => {
  await missed(...KINDS);
  const gate = await db.session();
  await gate.begin();
  await gate.query("LOCK TABLE partway.jobs IN ACCESS EXCLUSIVE MODE");
  const two = [0, 1].map(() => folder.start(["serve", "--json"]));
  await expect.poll(() => waiting("partway.jobs"), { timeout: 60_000 }).toBe(2);
  // Both look at the same moment.
  await gate.commit();
  await expect
    .poll(async () => (await readRuns(session, 1)).filter(({ finishedAt }) => finishedAt !== null).length, {
      timeout: 60_000,
    })
    .toBe(KINDS.length);
  for (const { child } of two) child.kill("SIGTERM");
  const ended = await Promise.all(two.map((one) => one.ended));
  expect(ended.map(({ code, stderr }) => `${code}${stderr}`)).toEqual(["0", "0"]);
  const lines = ended.flatMap(({ stdout }) => jsonLines(stdout)) as { event: string; job?: string }[];
  const begun = lines.filter(({ event }) => event === "job:started").map(({ job }) => job);
  expect(begun.toSorted()).toEqual(KINDS.toSorted());
  const runs = await readRuns(session, 1);
  expect(new Set(runs.map(({ job, attempts }) => `${job} ${attempts}`))).toEqual(
    new Set(KINDS.map((kind) => `${kind} 1`)),
  );
  expect(runs.filter(({ outcome }) => outcome === "failed").map(({ message }) => message)).toEqual([]);
});

test("a service that is killed in the middle of a job would take the job with it", async () => {
  await missed("create");
  configure({ tokens: [kept], port: 0 }, ["create"]);
  await session.query("DROP TABLE public.events_2024_12");
  await session.query("UPDATE partway.partition_config SET ahead = ahead + 1");
  const gate = await db.session();
  await gate.begin();
  await gate.query("LOCK TABLE public.events IN SHARE UPDATE EXCLUSIVE MODE");
  const first = folder.start(["serve", "--json"]);
  await expect.poll(() => waiting("public.events"), { timeout: 60_000 }).toBe(1);
  first.child.kill("SIGKILL");
  await first.ended;
  const second = folder.start(["serve", "--json"]);
  await second.event(({ event, attempt }) => event === "job:started" && attempt === 2);
  await gate.rollback();
  const end = await second.event(({ event }) => event === "job:ended");
  expect(end).toMatchObject({ job: "create", outcome: "done" });
  second.child.kill("SIGINT");
  expect((await second.ended).code).toBe(0);
});

test("ENABLE_PARTITION_MAINTENANCE=false would be passed over", async () => {
  await missed("create");
  const service = folder.start(["serve", "--json"], { ENABLE_PARTITION_MAINTENANCE: "false" });
  const { url, scheduler } = await service.event(({ event }) => event === "listening");
  expect(scheduler).toBe("disabled (ENABLE_PARTITION_MAINTENANCE=false)");
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${String(url)}/api/v1/partitions/status`, { headers });
  expect(await answer.json()).toMatchObject({
    scheduler: { enabled: false, reason: "ENABLE_PARTITION_MAINTENANCE=false" },
    jobs: [{ name: "create", nextRun: null, lastRun: null }],
  });
  service.child.kill("SIGTERM");
  expect((await service.ended).code).toBe(0);
  expect(await readRuns(session, 1)).toEqual([]);
});

test("a service would start that nobody, or everybody, could call", async () => {
  configure({});
  const none = await folder.run(["serve"]);
  expect(none.code).toBe(2);
  expect(none.stderr).toMatch(/no token is configured[\s\S]*partway token ops/);
  const made = await folder.run(["token", "ops", "--scope", "write", "--json"]);
  const [{ token: shown, entry }] = jsonLines(made.stdout) as [{ token: string; entry: { sha256: string } }];
  expect(made.stdout.split(shown)).toHaveLength(2);
  configure({ tokens: [entry], port: 0, schedule: { weekly: { cron: "0 2 * * 1-9", run: "health" } } });
  const wrong = await folder.run(["serve"]);
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/serve\.schedule\.weekly\.cron/)]);
});
