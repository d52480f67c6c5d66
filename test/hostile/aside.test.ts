/**
 * While Partway scans the application's table an ALTER or TRUNCATE of it must not wait, and with it everybody else: the
 * step makes way and is done again. Each step is held up by a lock on something else that it needs, for as long as the
 * test wants; the application gets its table meanwhile.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { proceed, type RunOptions, run } from "../../src/api.js";
import type { Running } from "../../src/engine/running.js";
import { EXIT } from "../../src/errors.js";
import { verify } from "../../src/inspect.js";
import { ASIDE_TRIES } from "../../src/pg/aside.js";
import type { Session } from "../../src/pg/session.js";
import type { RunEvent } from "../../state/events.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, value } from "../support/migration.js";

const POLL = { timeout: 60_000, interval: 10 };
let db: TestDatabase;
let session: Session;
let state: string;
let events: RunEvent[];

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  state = mkdtempSync(join(tmpdir(), "partway-aside-"));
  events = [];
  await session.query("CREATE TYPE public.mood AS ENUM ('calm')");
  await createOrders(session, 60);
  await session.query("ALTER TABLE public.orders ADD COLUMN mood public.mood NOT NULL DEFAULT 'calm'");
});
afterEach(async () => {
  await db.drop();
  rmSync(state, { recursive: true, force: true });
});

const onEvent = (event: RunEvent) => void events.push(event);
const start = (more: Partial<RunOptions> = {}) =>
  run({
    table: "orders",
    by: "created_at",
    every: "year",
    ahead: "1",
    url: db.ownerUrl,
    state,
    onEvent,
    ...more,
  });
const resume = (more: Partial<RunOptions> = {}) =>
  proceed("resume", { url: db.ownerUrl, state, onEvent, ...more });
const name = (kind: "fwd_log" | "rev_log") =>
  value(session, "SELECT oid::regclass::text FROM pg_class WHERE relname ~ $1 AND relkind = 'r'", [kind]);

/** Holds a lock on something that the step needs, until the transaction ends. */
async function holdUp(what: string, mode: string, as = db.ownerUrl): Promise<Session> {
  const holder = await db.session(as);
  await holder.begin();
  await holder.query(`LOCK TABLE ${what} IN ${mode} MODE`);
  return holder;
}

const STUCK_SQL = `
SELECT count(*)::text FROM pg_locks held JOIN pg_locks waits ON waits.pid = held.pid AND NOT waits.granted
 WHERE held.relation = 'public.orders'::regclass AND held.granted AND held.mode = 'AccessShareLock'`;

/** The step has the application's table and cannot go on. */
const stuck = () => expect.poll(() => value(session, STUCK_SQL), POLL).not.toBe("0");

/** What an ALTER TABLE does first. Resolves when it has the table, and gives it back at once. */
async function wantsTheTable(): Promise<Session> {
  const application = await db.session();
  await application.tx(async () => {
    await application.query("LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE");
  });
  return application;
}

const told = () => events.flatMap((e) => (e.event === "log" && e.level === "warn" ? [e.message] : []));

/** The application gets the table although what holds the step up is still there; then the step is done again. */
async function makesWay(holder: Session, during: string, running: Promise<Running>) {
  const { finished } = await running;
  await stuck();
  const application = await wantsTheTable();
  expect(holder.inTransaction).toBe(true);
  await holder.commit();
  expect(await finished).toMatchObject({ exitCode: EXIT.done });
  expect(told()).toContainEqual(
    expect.stringMatching(
      `^pid ${application.pid} \\(partway\\) waited \\d+ ms behind ${during}: LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE; stepped aside, and trying again \\(1 of ${ASIDE_TRIES}\\)$`,
    ),
  );
}

test("an ALTER would wait for the whole backup, and the application behind it", async () => {
  let holder = session;
  // Neither COPY nor pg_dump can print the column without it.
  const confirm = async () => {
    holder = await holdUp("pg_catalog.pg_enum", "ACCESS EXCLUSIVE", db.superuserUrl);
    return true;
  };
  const running = await start({ until: "backup", confirm });
  await makesWay(holder, "backup", Promise.resolve(running));
  expect(events.filter((e) => e.event === "backup" && e.done)).toHaveLength(1);
});

test("an ALTER would wait for a batch of the copy, and the application behind it", async () => {
  await (await start({ until: "shadow", backup: false })).finished;
  const holder = await holdUp("partway.ledger", "SHARE");
  await makesWay(holder, "copy", resume({ until: "validate" }));
  expect(events.filter((e) => e.event === "copy-restarted")).toEqual([]);
});

test("an ALTER would wait for an apply of the whole log, and the application behind it", async () => {
  await (await start({ until: "index", backup: false })).finished;
  const holder = await holdUp((await name("fwd_log")) ?? "", "ACCESS EXCLUSIVE");
  await makesWay(holder, "validate", resume({ until: "validate" }));
});

test("an ALTER would wait for the rebuilding of the retired table, and the application behind it", async () => {
  await (await start({ backup: false })).finished;
  await session.query("TRUNCATE public.orders");
  await session.query("INSERT INTO public.orders (created_at) VALUES ('2025-05-05')");
  const holder = await holdUp("public.orders_retired", "ACCESS SHARE");
  await makesWay(holder, "retain", resume());
  expect(await value(session, "SELECT count(*)::text FROM public.orders_retired")).toBe("1");
});

test("an ALTER would wait for the drain before a rollback, and the application behind it", async () => {
  await (await start({ backup: false })).finished;
  const holder = await holdUp((await name("rev_log")) ?? "", "ACCESS EXCLUSIVE");
  const running = proceed("rollback", { url: db.ownerUrl, state, onEvent });
  await makesWay(holder, "rollback", running);
  expect(await value(session, "SELECT relkind FROM pg_class WHERE relname = 'orders'")).toBe("r");
});

test("an ALTER would wait for a verify that a person has started, and the application behind it", async () => {
  await (await start({ until: "validate", backup: false })).finished;
  const holder = await holdUp((await name("fwd_log")) ?? "", "ACCESS EXCLUSIVE");
  const verifying = verify({ url: db.ownerUrl, state });
  await stuck();
  await wantsTheTable();
  await holder.commit();
  expect(await verifying).toMatchObject({ equal: true, live: { rows: 60 } });
});

test("a scan that is in the way again and again would begin for ever, and nobody know for whom", async () => {
  await (await start({ until: "index", backup: false })).finished;
  const holder = await holdUp((await name("fwd_log")) ?? "", "ACCESS EXCLUSIVE");
  const running = await resume({ until: "validate" });
  let ended = false;
  const finished = running.finished.finally(() => {
    ended = true;
  });
  const application = await db.session();
  while (!ended)
    await application.tx(async () => {
      await application.query("LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE");
    });
  const { error, exitCode } = await finished;
  expect(exitCode).toBe(EXIT.lockBusy);
  expect(error?.message).toMatch(
    `validate stepped aside ${ASIDE_TRIES} times for sessions that wanted the table for themselves; the last: pid ${application.pid}`,
  );
  await holder.commit();
  expect(await (await resume({ until: "validate" })).finished).toMatchObject({
    outcome: "ready-for-cutover",
  });
});
