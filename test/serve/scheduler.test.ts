/** Jobs on a clock of the test's own: once each, whoever serves, whatever died. */
import { hostname } from "node:os";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { MaintenanceBusy } from "../../src/care/alone.js";
import type { Session } from "../../src/pg/session.js";
import { clockText } from "../../src/serve/desk.js";
import { runJob } from "../../src/serve/jobs.js";
import { type JobResult, Scheduler, type SchedulerEvent } from "../../src/serve/scheduler.js";
import type { Job } from "../../src/serve/settings.js";
import { JOBS_SQL, makeJobStore, readRuns } from "../../src/serve/store.js";
import { type TestDatabase, targetOf } from "../support/database.js";
import { analyticsDatabase, leavesOf } from "./scene.js";

const JOB = { tables: [], apply: false } as const;
/** As the multi-schema platform has them. */
const CREATE: Job = { ...JOB, name: "create-monthly-partitions", cron: "0 2 1 * *", kind: "create" };
const CLEANUP: Job = {
  ...JOB,
  name: "cleanup-old-partitions",
  cron: "0 3 1 */3 *",
  kind: "cleanup",
  apply: true,
};
const HEALTH: Job = { ...JOB, name: "partition-health-check", cron: "0 1 * * *", kind: "health" };

let db: TestDatabase;
let session: Session;
beforeAll(async () => {
  ({ db, session } = await analyticsDatabase());
  await session.query("ANALYZE public.events, public.goal_completions");
});
afterAll(() => db.drop());
afterEach(() => session.query("DROP TABLE partway.jobs, partway.job_runs"));

interface Played {
  scheduler: Scheduler;
  ran: string[];
  events: SchedulerEvent[];
  /** Looks at this time, and waits for what it began. */
  at(time: string): Promise<void>;
}

const DONE: JobResult = { outcome: "done", message: "as it should" };

function play(
  jobs: Job[],
  how: { catchUp?: boolean; run?: (job: Job, signal: AbortSignal) => Promise<JobResult> } = {},
): Played {
  let now = new Date(0);
  const ran: string[] = [];
  const events: SchedulerEvent[] = [];
  const { catchUp = true, run = () => Promise.resolve(DONE) } = how;
  const scheduler = new Scheduler({
    ...{ target: targetOf(db.ownerUrl), jobs, catchUp, runner: `${hostname()}:1`, busyMs: 1 },
    clock: () => Promise.resolve(now),
    tell: (event) => void events.push(event),
    run: (job, signal) => {
      ran.push(`${job.name} ${clockText(now)}`);
      return run(job, signal);
    },
  });
  return {
    ...{ scheduler, ran, events },
    at: async (time) => {
      now = new Date(time);
      await scheduler.look();
      await scheduler.settled();
    },
  };
}

const runs = async () =>
  (await readRuns(session, 50)).map(
    ({ job, scheduledFor, outcome, attempts }) =>
      `${job} ${scheduledFor.slice(0, 16)} ${outcome} ${attempts}`,
  );

describe("partitions would not be there, or cut twice", () => {
  test("at 02:00 on the 1st they are made, by one of two services, and an hour later nothing is", async () => {
    const care = { url: db.ownerUrl, now: "2025-01-01 02:00:00" };
    const real = { run: (job: Job, signal: AbortSignal) => runJob(job, care, signal) };
    const two = [play([CREATE, CLEANUP, HEALTH], real), play([CREATE, CLEANUP, HEALTH], real)];
    const all = (time: string) => Promise.all(two.map((one) => one.at(time)));
    await all("2025-01-01T01:30:00Z");
    expect(await runs()).toEqual([]);
    await all("2025-01-01T01:59:59Z");
    expect(await runs()).toEqual([]);
    await all("2025-01-01T02:00:00Z");
    expect(await leavesOf(session, "events")).toHaveLength(21);
    await all("2025-01-01T02:00:30Z");
    await all("2025-01-01T02:59:00Z");
    expect(await runs()).toEqual(["create-monthly-partitions 2025-01-01T02:00 done 1"]);
    expect(two.flatMap(({ ran }) => ran)).toHaveLength(1);
    await all("2025-01-01T03:00:00Z");
    expect(await leavesOf(session, "events")).toHaveLength(19);
    await all("2025-01-02T01:00:10Z");
    expect(await runs()).toEqual([
      "partition-health-check 2025-01-02T01:00 done 1",
      "cleanup-old-partitions 2025-01-01T03:00 done 1",
      "create-monthly-partitions 2025-01-01T02:00 done 1",
    ]);
  });

  test("two weeks of two services that come and go: every time once", async () => {
    const ran: string[] = [];
    for (let day = 0; day < 14; day++) {
      const two = [0, 1].map(() => play([CREATE, HEALTH]));
      const time = new Date(Date.UTC(2025, 0, 1 + day, 2, 30)).toISOString();
      await Promise.all(two.map((one) => one.at(time)));
      ran.push(...two.flatMap((one) => one.ran));
    }
    expect(ran.filter((one) => one.startsWith(CREATE.name))).toHaveLength(0);
    expect(ran.filter((one) => one.startsWith(HEALTH.name))).toHaveLength(13);
  });

  test("what was missed is done once, not for every time it was", async () => {
    await play([CREATE, HEALTH]).at("2025-01-01T02:30:00Z");
    const back = play([CREATE, HEALTH]);
    await back.at("2025-04-05T00:30:00Z");
    await back.at("2025-04-05T00:31:00Z");
    expect(await runs()).toEqual([
      "partition-health-check 2025-04-04T01:00 done 1",
      "create-monthly-partitions 2025-04-01T02:00 done 1",
    ]);
  });

  test("what is missed is let go where that was said", async () => {
    const proud = { catchUp: false };
    await play([CREATE], proud).at("2025-01-01T01:30:00Z");
    const back = play([CREATE], proud);
    await back.at("2025-02-05T00:30:00Z");
    expect(await runs()).toEqual([]);
    await back.at("2025-03-01T02:00:30Z");
    expect(await runs()).toEqual(["create-monthly-partitions 2025-03-01T02:00 done 1"]);
  });

  test("a new job, and one whose times are others now, have missed nothing", async () => {
    await play([HEALTH]).at("2025-01-15T01:30:00Z");
    await play([HEALTH, CREATE]).at("2025-01-15T01:31:00Z");
    await play([{ ...HEALTH, cron: "0 0 * * *" }, CREATE]).at("2025-01-15T01:32:00Z");
    expect(await runs()).toEqual([]);
  });
});

describe("a run would be lost with who had begun it", () => {
  const due = "2025-01-01T02:00:00Z";

  async function died(times: number): Promise<void> {
    await makeJobStore(session);
    await session.query(JOBS_SQL.know, [CREATE.name, CREATE.cron, "2025-01-01T00:00:00Z"]);
    for (let n = 0; n < times; n++)
      await session.query(JOBS_SQL.claim, [CREATE.name, due, due, "elsewhere:9"]);
  }

  test("whose process died: the next one does it", async () => {
    await died(1);
    await play([CREATE]).at("2025-01-01T02:05:00Z");
    expect(await runs()).toEqual(["create-monthly-partitions 2025-01-01T02:00 done 2"]);
  });

  test("that other maintenance kept from its work: the next look takes it up, and it counts as one try", async () => {
    let busy = true;
    const kept = play([CREATE], {
      run: () => (busy ? Promise.reject(new MaintenanceBusy("9")) : Promise.resolve(DONE)),
    });
    await kept.at("2025-01-01T01:00:00Z");
    await kept.at("2025-01-01T02:05:00Z");
    expect(kept.events.at(-1)).toMatchObject({ event: "job:withdrawn", job: CREATE.name });
    busy = false;
    await kept.at("2025-01-01T02:06:00Z");
    expect(await runs()).toEqual(["create-monthly-partitions 2025-01-01T02:00 done 1"]);
  });

  test("that a clock which was ahead had scheduled: the right clock's times count again", async () => {
    const ahead = play([CREATE]);
    await ahead.at("2027-01-01T01:00:00Z");
    await ahead.at("2027-01-01T02:05:00Z");
    const right = play([CREATE]);
    await right.at("2025-01-01T01:00:00Z");
    await right.at("2025-02-01T02:05:00Z");
    expect(await runs()).toContain("create-monthly-partitions 2025-02-01T02:00 done 1");
  });

  test("with a table that is gone: the others have their leaves all the same", async () => {
    const job: Job = { ...CREATE, tables: ["public.gone", "public.events"] };
    const care = { url: db.ownerUrl, now: "2031-06-01 00:00:00" };
    await expect(runJob(job, care, new AbortController().signal)).rejects.toThrow(/1 of 2 tables failed/);
    expect(await leavesOf(session, "events")).toContain("events_2031_06");
    await makeJobStore(session);
  });

  test("whose process is at work: nobody else does it", async () => {
    await died(1);
    const other = await db.session();
    await other.query(JOBS_SQL.lock, [CREATE.name]);
    const second = play([CREATE]);
    await second.at("2025-01-01T02:05:00Z");
    expect(second.ran).toEqual([]);
    await other.query("SELECT pg_advisory_unlock_all()");
    await second.at("2025-01-01T02:06:00Z");
    expect(second.ran).toHaveLength(1);
  });

  test("that kills whoever does it: three, and no fourth", async () => {
    await died(3);
    const last = play([CREATE]);
    await last.at("2025-01-01T02:05:00Z");
    await last.at("2025-01-01T02:06:00Z");
    expect(last.ran).toEqual([]);
    expect(await runs()).toEqual(["create-monthly-partitions 2025-01-01T02:00 failed 4"]);
    await last.at("2025-02-01T02:00:10Z");
    expect(last.ran).toHaveLength(1);
  });

  test("that was never ended, by the time of the next", async () => {
    await died(1);
    await play([CREATE]).at("2025-02-01T02:05:00Z");
    expect(await runs()).toEqual([
      "create-monthly-partitions 2025-02-01T02:00 done 1",
      "create-monthly-partitions 2025-01-01T02:00 failed 1",
    ]);
  });

  test("that was stopped on purpose: not counted, and done by the next service", async () => {
    await died(0);
    let begun: () => void = () => undefined;
    const at = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const first = play([CREATE], {
      run: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("stopped")));
          begun();
        }),
    });
    const looked = first.at("2025-01-01T02:00:10Z");
    await at;
    await first.scheduler.stop();
    await looked;
    expect(first.events.at(-1)?.event).toBe("job:withdrawn");
    expect(await runs()).toEqual(["create-monthly-partitions 2025-01-01T02:00 null 0"]);
    await play([CREATE]).at("2025-01-01T02:05:00Z");
    expect(await runs()).toEqual(["create-monthly-partitions 2025-01-01T02:00 done 1"]);
  });

  test("while somebody else maintains: it waits for its turn", async () => {
    await died(0);
    let tries = 0;
    const patient = play([CREATE], {
      run: () => {
        tries += 1;
        return tries < 4 ? Promise.reject(new MaintenanceBusy("7")) : Promise.resolve(DONE);
      },
    });
    await patient.at("2025-01-01T02:00:10Z");
    expect([tries, await runs()]).toEqual([4, ["create-monthly-partitions 2025-01-01T02:00 done 1"]]);
  });

  test("that failed, or found something: it says so", async () => {
    const events = play([CREATE, HEALTH], {
      run: (job) =>
        job.kind === "health"
          ? Promise.resolve({ outcome: "unhealthy", message: "events CRITICAL" })
          : Promise.reject(new Error("no room")),
    });
    await events.at("2025-01-01T00:00:00Z");
    await events.at("2025-01-01T02:00:00Z");
    const kept = (await readRuns(session, 1)).map(({ job, outcome, message }) => ({ job, outcome, message }));
    expect(kept).toEqual([
      { job: CREATE.name, outcome: "failed", message: "no room" },
      { job: HEALTH.name, outcome: "unhealthy", message: "events CRITICAL" },
    ]);
  });
});
