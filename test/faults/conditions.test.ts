/** Conditions rather than moments: timeouts on the role, connection slots used up, a network that never answers again. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { BESIDE_WORKERS } from "../../src/pg/connect-failure.js";
import { ident } from "../../src/pg/quote.js";
import { objectsOf } from "../cli/scene.js";
import { jsonLines } from "../cli/support.js";
import { type RunningServer, startOwnServer } from "../support/server.js";
import { WAY, WINDOW } from "./faults.js";
import type { Act } from "./network.js";
import { openScene, RESUME, RUN, type Scene } from "./scene.js";

/** What an administrator sets on roles and databases, and far less than what the moments below are made to last. */
const TIMEOUTS = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
const LIMIT_MS = 700;
const LONGER_MS = 1_500;

let server: RunningServer;
let scene: Scene;
let untouched: string[];
beforeAll(async () => {
  server = await startOwnServer(inject("server").version);
  // The application is somebody else: its own statements are not what the timeouts are meant for here.
  scene = await openScene(server, { rows: 12_000, application: "superuser" });
  untouched = await scene.admin(objectsOf);
  const { db } = scene;
  await scene.admin(async (admin) => {
    const known = [...TIMEOUTS, ...(server.version === "18" ? ["transaction_timeout"] : [])];
    for (const name of known) {
      await admin.query(`ALTER ROLE ${ident(db.role)} SET ${name} = ${LIMIT_MS}`);
      await admin.query(`ALTER DATABASE ${ident(db.name)} SET ${name} = ${LIMIT_MS}`);
    }
  });
});
afterAll(async () => {
  await scene.close();
  await server.stop();
});

/** The transaction lies idle for longer than every timeout on the role. */
const idle: Act = async () => {
  await sleep(LONGER_MS);
  return "forward";
};

/** The statement waits for a lock for longer than every timeout on the role. */
const lockWait: Act = async () => {
  const admin = await scene.db.session(scene.db.superuserUrl);
  await admin.begin();
  await admin.query("LOCK TABLE partway.ledger IN ACCESS EXCLUSIVE MODE");
  setTimeout(() => void admin.end(), LONGER_MS);
  return "forward";
};

const slots = (limit: number) =>
  scene.admin((admin) => admin.query(`ALTER ROLE ${ident(scene.db.role)} CONNECTION LIMIT ${limit}`));

test("a server without a free slot would not be named at the start, or something would have been done", async () => {
  await slots(0);
  const { code, stdout } = await scene.start(RUN).ended;
  await slots(-1);
  expect(code).toBe(2);
  expect(jsonLines(stdout).at(-1)).toMatchObject({
    event: "error",
    what: expect.stringMatching(/no connection left .*too many connections for role/),
    state: "Nothing was touched.",
    next: expect.stringContaining(`--workers (a run uses up to ${BESIDE_WORKERS} connections more`),
  });
  expect(await scene.admin(objectsOf)).toEqual(untouched);
});

test.each([
  ["backup, reading", "idle in a transaction", idle],
  ["copy, before a batch's commit", "waiting for a lock", lockWait],
  ["copy, before a batch's commit", "idle in a transaction", idle],
  ["validate, hashing", "idle in a transaction", idle],
] as const)("%s: %s for longer than the role's timeouts would end the run", async (what, _how, act) => {
  if (what === "backup, reading") scene.start(RUN);
  const moment =
    act === lockWait
      ? { text: /INSERT INTO "public"\."orders_partitioned"/, when: "at" as const }
      : WAY[what];
  await scene.strike(moment, act);
  expect(scene.stops).toEqual([]);
});

test("the run would stop, or say nothing, when it cannot connect again because every slot is taken", async () => {
  await scene.strike(WAY["cutover, before its commit"], async () => {
    await slots(0);
    return "cut-all";
  });
  scene.network.flow();
  const full = await scene
    .process()
    .event(({ event, message }) => event === "log" && /too many connections for role/.test(String(message)));
  expect(full["message"]).toMatch(/the server has no connection left .*trying again in/);
  await slots(-1);
  expect(await scene.finish()).toMatchObject({ outcome: "retained" });
  expect(scene.stops).toEqual([]);
  await scene.proveNothingLost();
});

test("a run whose network never answers again could not be stopped by Ctrl-C", async () => {
  scene.start(["resume", "--hold", "--json"]);
  await scene.strike(WINDOW["window, before an apply's commit"], async () => {
    scene.network.stall();
    scene.process().child.kill("SIGINT");
    await scene.process().ended;
    return "forward";
  });
  const { code, stdout } = await scene.process().ended;
  expect(code).toBe(5);
  expect(jsonLines(stdout).at(-1)).toMatchObject({
    event: "stopped",
    what: expect.stringMatching(/stopped by the operator/),
    next: expect.stringMatching(/partway resume/),
  });
});

test("a network that falls silent for longer than everything waits would be waited for without a word", async () => {
  scene.start(["rollback", "--json", "--takeover"]);
  await scene.strike({ text: /apply_reverse_forget/, when: "at" }, async () => {
    scene.network.stall();
    const silent = ({ event, message }: { event: string; message?: unknown }) =>
      event === "log" && /has not answered for \d+ s; after 12 s/.test(String(message));
    expect(await scene.process().event(silent)).toMatchObject({ level: "warn" });
    const broken = ({ event, message }: { event: string; message?: unknown }) =>
      event === "log" &&
      /connection to the server lost: the server has not answered.*trying again/.test(String(message));
    expect(await scene.process().event(broken)).toMatchObject({ level: "warn" });
    return "vanish-all";
  });
  expect(await scene.finish([...RESUME, "--takeover"])).toMatchObject({ outcome: "rolled-back" });
  const left = (await scene.admin(objectsOf)).filter((line) => !/failed|partitioned_id_seq/.test(line));
  expect(left).toEqual(untouched);
  await scene.proveNothingLost();
});

test("Partway would need more connections than it says", () => {
  // Two workers (RUN), and pg_dump's in the backup, when it holds fewer of its own.
  expect(scene.network.peak()).toBeLessThanOrEqual(2 + BESIDE_WORKERS);
});
