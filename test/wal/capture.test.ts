/** Capture from the write-ahead log, step by step: what each of its rules keeps from being lost. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { grants } from "../../src/grants.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import type { PhaseContext } from "../../src/phases/phase.js";
import { catchUp, followForward } from "../../src/sync/catchup.js";
import { drain, drainBriefly, fired } from "../../src/sync/drain.js";
import { ask } from "../../src/throttle/ask.js";
import { judge } from "../../src/throttle/judge.js";
import { slotWal } from "../../src/throttle/read.js";
import { alongside } from "../../src/wal/alongside.js";
import { fill, fillInLock, filling, fillToNow } from "../../src/wal/fill.js";
import { slotStatus, walNames } from "../../src/wal/slot.js";
import { lines } from "../migrations/shape.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import {
  createOrders,
  planFor,
  SAME,
  startMigration,
  type TestMigration,
  untilBlocked,
  value,
} from "../support/migration.js";
import { startOwnServer } from "../support/server.js";

const WAL = { by: "created_at", every: "month", capture: "wal" } as const;

let db: TestDatabase;
let session: Session;

async function fresh(server?: Parameters<typeof freshDatabase>[0]): Promise<void> {
  db = await freshDatabase(server);
  const admin = await db.session(db.superuserUrl);
  await admin.query(`ALTER ROLE ${ident(db.role)} REPLICATION`);
  session = await db.session();
  await createOrders(session, 400);
}
beforeEach(() => fresh());
afterEach(async () => {
  const admin = await db.session(db.superuserUrl);
  await admin.query(
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()",
  );
  await db.drop();
});

/** Triggers on the source, slots and publications. */
const standing = () =>
  lines(
    session,
    `SELECT 'trigger' AS line FROM pg_trigger WHERE tgrelid = to_regclass('public.orders') AND NOT tgisinternal
     UNION ALL SELECT 'slot' FROM pg_replication_slots WHERE database = current_database()
     UNION ALL SELECT 'publication' FROM pg_publication ORDER BY 1`,
  );

const ops = async (m: TestMigration) => (await m.log()).map(({ op, pair }) => `${op} ${pair}`);

test("a writer would pay for a trigger, or an abort leave a slot that keeps WAL for ever", async () => {
  const m = await startMigration(db, WAL);
  await m.through("copy");
  expect(await standing()).toEqual(["publication", "slot"]);
  await m.run("abort");
  expect(await standing()).toEqual([]);
  expect(await value(session, "SELECT count(*) FROM pg_namespace WHERE nspname = 'partway'")).toBe("0");
});

test("a change while a copy runs, in a subtransaction or none, would be lost, or come although it was rolled back", async () => {
  const m = await startMigration(db, WAL);
  m.before(/^INSERT INTO "public"."orders_partitioned"/, async () => {
    await session.query("BEGIN");
    await session.query("UPDATE public.orders SET note = 'kept' WHERE id = 1");
    await session.query("SAVEPOINT s");
    await session.query("UPDATE public.orders SET note = 'undone' WHERE id = 2");
    await session.query("ROLLBACK TO s");
    await session.query("SAVEPOINT s2");
    await session.query("DELETE FROM public.orders WHERE id = 3");
    await session.query("RELEASE s2");
    await session.query("UPDATE public.orders SET id = 9000, created_at = '2025-06-01' WHERE id = 4");
    await session.query("COMMIT");
  });
  await m.through("copy");
  expect(await ops(m)).toEqual([
    'u (1,"2025-01-01 00:00:00+00")',
    "k (3,)",
    "k (4,)",
    'r (9000,"2025-06-01 00:00:00+00")',
  ]);
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
});

test("writers that commit more than is read meanwhile would keep a run waiting after its copy for ever", async () => {
  const m = await startMigration(db, WAL);
  await m.through("copy");
  let came = 0;
  m.before(
    /DECLARE partway_changes/,
    async () => {
      came += 1;
      await session.query("UPDATE public.orders SET note = 'more' WHERE id <= 20000");
    },
    6,
  );
  await session.query(
    "INSERT INTO public.orders (note, created_at) SELECT 'new', '2025-02-01' FROM generate_series(1, 25000)",
  );
  const context = m.context();
  await fillToNow(await context.open(), context);
  await context.close();
  expect(came).toBeLessThan(3);
});

test("a log that is long already would be filled faster than it is applied, and a drain have no end", async () => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  await session.query(
    "INSERT INTO public.orders (note, created_at) SELECT 'new', '2025-02-01' FROM generate_series(1, 12000)",
  );
  let readings = 0;
  const read = async () => {
    readings += 1;
  };
  m.before(/DECLARE partway_changes/, read, 100);
  const context = m.context();
  const { plan, lease } = m;
  const options = { plan, lease, sides: m.sides(), fill: filling(context) };
  expect(await drain(await context.open(), options, context)).toBe(12_000);
  await context.close();
  // One for all of it, and one that finds nothing more.
  expect(readings).toBe(2);
  expect(await m.difference()).toEqual(SAME);
});

// The server is asked for its note: PostgreSQL 16.
const asked = test.runIf(Number(inject("server").version) >= 16);
asked(
  "where nobody writes any more the slot would keep its WAL, and a copy that is held for it be held for ever",
  async () => {
    const m = await startMigration(db, WAL);
    await m.through("copy");
    const admin = await db.session(db.superuserUrl);
    const context = m.context();
    const reader = await context.open();
    const kept = async () => (await slotStatus(reader, m.plan))?.retainedBytes ?? 0;
    await admin.query(
      "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000)) FROM generate_series(1, 24)",
    );
    await fillToNow(reader, context);
    expect(await kept()).toBeGreaterThan(16_777_216);
    // As the server notes it by itself, at most every 15 s.
    const quiet = async () => {
      await admin.query("SELECT pg_log_standby_snapshot()");
      await fill(reader, context);
      return kept();
    };
    await expect.poll(quiet, { timeout: 20_000, interval: 20 }).toBeLessThan(16_777_216);
    await context.close();
  },
);

test("killed between the log's COMMIT and the slot's move, a change would stand twice or be lost", async () => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  await session.query("UPDATE public.orders SET note = 'once' WHERE id <= 5");
  const died = new Error("died");
  m.before(/pg_replication_slot_advance/, () => Promise.reject(died));
  const context = m.context();
  await expect(fillToNow(await context.open(), context)).rejects.toBe(died);
  await context.close();
  const before = await m.log();
  expect(before).toHaveLength(5);
  await m.takeOver();
  await session.query("UPDATE public.orders SET note = 'later' WHERE id = 6");
  const next = m.context();
  expect(await fillToNow(await next.open(), next)).toBe(1);
  await next.close();
  expect((await m.log()).slice(0, 5)).toEqual(before);
  await m.through("cutover");
  expect(await m.difference("reverse")).toEqual(SAME);
});

/** Moved to where the reading stands: nothing that stands in the log is read again. */
const isBehind = async (m: TestMigration) =>
  value(
    session,
    `SELECT s.confirmed_flush_lsn < p.lsn FROM pg_replication_slots AS s, ${walNames(m.plan).position} AS p
      WHERE s.slot_name = $1`,
    [walNames(m.plan).slot],
  );

const busy = () => Promise.reject(Object.assign(new Error("somebody looks into it"), { code: "55006" }));

test("after a large transaction whose slot was not moved, every reading would end before what is new, for ever", async () => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  await session.query(
    "INSERT INTO public.orders (created_at, filler) SELECT '2025-03-03', '' FROM generate_series(1, 20000)",
  );
  const died = new Error("died");
  m.before(/pg_replication_slot_advance/, () => Promise.reject(died));
  const first = m.context();
  await expect(fill(await first.open(), first)).rejects.toBe(died);
  await first.close();
  expect(await isBehind(m)).toBe("t");
  await m.takeOver();
  await session.query("UPDATE public.orders SET note = 'new' WHERE id = 1");
  const next = m.context();
  const reader = await next.open();
  expect(await fill(reader, next)).toMatchObject({ rows: 1, complete: true });
  expect(await isBehind(m)).toBe("f");
  // The same in the lock, where fewer are read: somebody was at the slot when it was to be moved.
  await session.query(
    "INSERT INTO public.orders (created_at, filler) SELECT '2025-04-04', '' FROM generate_series(1, 60)",
  );
  m.before(/pg_replication_slot_advance/, busy);
  expect(await fill(reader, next)).toMatchObject({ rows: 60, complete: true });
  expect(await isBehind(m)).toBe("t");
  await session.query("UPDATE public.orders SET note = 'newer' WHERE id = 2");
  const observer = await next.open();
  expect(await reader.tx(() => fillInLock(reader, observer, m.plan, 50))).toBe(true);
  await next.close();
  expect(await m.log()).toHaveLength(20_062);
});

test("two readers of the same run would move the slot back, and end the run", async () => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  const context = m.context();
  const [one, other] = [await context.open(), await context.open()];
  await session.query("UPDATE public.orders SET note = 'one' WHERE id = 1");
  const second: Promise<unknown>[] = [];
  m.before(/pg_replication_slot_advance/, async () => {
    await session.query("UPDATE public.orders SET note = 'two' WHERE id = 2");
    second.push(fill(other, context));
    await Promise.race([...second, untilBlocked(session, other.pid)]);
  });
  expect(await fill(one, context)).toMatchObject({ rows: 1 });
  expect(await Promise.all(second)).toMatchObject([{ rows: 1 }]);
  await context.close();
  expect(await isBehind(m)).toBe("f");
  expect(await m.log()).toHaveLength(2);
});

test("a change that was not read yet when the sides are compared would be taken for a difference", async () => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  m.before(/pg_export_snapshot/, async () => {
    await session.query("UPDATE public.orders SET note = 'unread' WHERE id = 7");
    await session.query("UPDATE public.orders SET created_at = '2025-12-01' WHERE id = 8");
    await session.query("DELETE FROM public.orders WHERE id = 9");
    await session.query("INSERT INTO public.orders (created_at) VALUES ('2025-03-03')");
  });
  await m.through("validate");
  expect(m.seen("validation").map(({ result, excluded }) => ({ result, excluded }))).toEqual([
    { result: "equal", excluded: 4 },
  ]);
});

test("a change that was not read yet when a difference is mended would be told as one that was mended", async () => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  await session.query(`UPDATE ${m.sides().lagging} SET note = 'damaged' WHERE id = 1`);
  // The differences are looked for: whatever comes now is read after that.
  m.before(/count\(\*\)::text AS rows, sum\(h\)::text AS hash/, async () => {
    await session.query("UPDATE public.orders SET note = 'unread' WHERE id IN (2, 3, 4)");
  });
  await m.through("validate", { repair: true });
  expect(m.seen("repaired").map(({ keys }) => keys)).toEqual([1]);
  expect(m.seen("validation").map(({ result }) => result)).toEqual(["different", "equal"]);
});

test("what a writer without synchronous_commit wrote last before the lock would stay behind", async () => {
  const m = await startMigration(db, WAL);
  await m.through("validate");
  // After the last reading beside the lock.
  m.before(/LOCK TABLE "public"\."orders_partitioned" IN ACCESS EXCLUSIVE/, async () => {
    await session.query("SET synchronous_commit = off");
    await session.query("INSERT INTO public.orders (created_at, note) VALUES ('2025-03-03', 'last')");
    await session.query("UPDATE public.orders SET created_at = '2025-11-11' WHERE id = 10");
    await session.query("RESET synchronous_commit");
  });
  await m.through("cutover");
  expect(await value(session, "SELECT count(*) FROM public.orders WHERE note = 'last'")).toBe("1");
  expect(await m.difference("reverse")).toEqual(SAME);
  // The new table's parent has its own two; nothing is left that keeps WAL.
  expect(await standing()).toEqual(["trigger", "trigger"]);
  const retired =
    "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.orders_retired'::regclass AND tgname ~ '^partway_fwd'";
  expect(await value(session, retired)).toBe("2");
});

test("a TRUNCATE while a copy runs would leave rows, or start the copy again for ever", async () => {
  const m = await startMigration(db, WAL);
  m.before(/^INSERT INTO "public"."orders_partitioned"/, async () => {
    await session.query("TRUNCATE public.orders");
  });
  // Read from the slot when the next copy runs already, which begins after it.
  m.before(/^DROP TABLE IF EXISTS "public"."orders_partitioned"/, async () => {
    await session.query("TRUNCATE public.orders");
    await session.query("INSERT INTO public.orders (created_at, note) VALUES ('2025-03-03', 'after')");
  });
  await m.through("index");
  expect(m.seen("copy-restarted")).toHaveLength(1);
  await session.query("TRUNCATE public.orders");
  await m.through("cutover");
  expect(await value(session, "SELECT count(*) FROM public.orders")).toBe("0");
  expect(m.seen("copy-restarted").map(({ reason }) => reason)).toEqual([
    expect.stringContaining("rewritten"),
    expect.stringContaining("the source was truncated"),
  ]);
});

test.each([
  [
    "its slot",
    (m: TestMigration) => `SELECT pg_drop_replication_slot('${walNames(m.plan).slot}')`,
    /is gone/,
  ],
  [
    "its slot read by somebody else",
    (m: TestMigration) =>
      `SELECT count(*) FROM pg_logical_slot_get_binary_changes('${walNames(m.plan).slot}', NULL, NULL,
         'proto_version', '1', 'publication_names', '${walNames(m.plan).slot}')`,
    /somebody else has read/,
  ],
  [
    "its publication",
    (m: TestMigration) => `ALTER PUBLICATION ${walNames(m.plan).slot} SET (publish = 'insert')`,
    /publication .* was altered/,
  ],
])("%s lost, a change would never come: the copy begins again, and says so", async (_, sql, reason) => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  // Stands in the log when the slot goes; what followed it never does.
  await session.query("UPDATE public.orders SET created_at = '2025-05-05' WHERE id = 11");
  const context = m.context();
  expect(await fillToNow(await context.open(), context)).toBe(1);
  await context.close();
  await session.query("UPDATE public.orders SET note = 'unread' WHERE id = 12");
  await session.query(sql(m));
  await session.query("UPDATE public.orders SET created_at = '2025-07-07' WHERE id = 11");
  await session.query("UPDATE public.orders SET note = 'unseen' WHERE id = 12");
  await m.through("cutover");
  expect(m.seen("copy-restarted").map((event) => event.reason)).toEqual([expect.stringMatching(reason)]);
  expect(await value(session, "SELECT note FROM public.orders WHERE id = 12")).toBe("unseen");
  expect(await m.difference("reverse")).toEqual(SAME);
});

test("killed before whoever was writing had ended, a resume would copy without them", async () => {
  const m = await startMigration(db, WAL);
  const died = new Error("died");
  m.before(/pg_snapshot_xmin/, () => Promise.reject(died));
  await expect(m.through("copy")).rejects.toBe(died);
  await m.takeOver();
  const writer = await db.session();
  await writer.begin();
  await writer.query("UPDATE public.orders SET note = 'written' WHERE id = 1");
  // Another one ends: what writes still has a number that is lower.
  await session.query("UPDATE public.orders SET note = 'ended' WHERE id = 2");
  const order: string[] = [];
  let asked = 0;
  m.before(
    /pg_snapshot_xmin/,
    async () => {
      asked += 1;
      if (asked !== 3) return;
      await writer.commit();
      order.push("ended");
    },
    3,
  );
  m.before(/SET blocks = pg_relation_size/, async () => void order.push("measured"));
  await m.through("copy");
  expect(order).toEqual(["ended", "measured"]);
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
});

test("a slot dropped right after it was looked for would be made anew beside what is copied", async () => {
  const m = await startMigration(db, WAL);
  const died = new Error("died");
  m.before(/^INSERT INTO partway.ledger/m, () => Promise.reject(died));
  await expect(m.through("copy")).rejects.toBe(died);
  await m.takeOver();
  await session.query("UPDATE public.orders SET note = 'unread' WHERE id = 1");
  // The statement after the look.
  m.before(/AS followed FROM/, async () => {
    let statements = 0;
    m.before(
      /./,
      async () => {
        statements += 1;
        if (statements === 2)
          await session.query(`SELECT pg_drop_replication_slot('${walNames(m.plan).slot}')`);
      },
      2,
    );
  });
  await m.through("index");
  expect(m.seen("copy-restarted")).toHaveLength(1);
  expect(await m.difference()).toEqual(SAME);
});

test("a slot of that name in another database would end a run with the server's words, its copy thrown away", async () => {
  const m = await startMigration(db, WAL);
  await m.through("index");
  const { slot } = walNames(m.plan);
  const elsewhere = await freshDatabase();
  try {
    const admin = await elsewhere.session(elsewhere.superuserUrl);
    const name = await value(admin, "SELECT current_database()");
    await session.query("SELECT pg_drop_replication_slot($1)", [slot]);
    await admin.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    const { generation } = await m.stored();
    await expect(m.run("validate")).rejects.toMatchObject({
      kind: "refused",
      message: expect.stringContaining(`database ${name} has it`),
    });
    expect(await m.stored()).toMatchObject({ generation, phase: "validate" });
    await m.run("abort");
    expect(await value(admin, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", [slot])).toBe(
      "1",
    );
    await admin.query("SELECT pg_drop_replication_slot($1)", [slot]);
  } finally {
    await elsewhere.drop();
  }
});

test("a run that is paused at ready would let the server keep WAL until its disk is full", async () => {
  const m = await startMigration(db, WAL);
  await m.through("validate");
  const stop = new AbortController();
  const context = m.context({}, stop);
  const paused = (_?: number, until?: AbortSignal) => fired(until ?? context.signal);
  const following = followForward(await context.open(), { ...context, follower: paused }, stop.signal);
  await session.query("UPDATE public.orders SET note = 'while paused' WHERE id = 15");
  const read = `SELECT count(*) FROM ${m.sides().log}`;
  await expect.poll(() => value(session, read), { timeout: 30_000, interval: 20 }).toBe("1");
  stop.abort();
  await following;
  await context.close();
  await m.through("cutover");
  expect(await m.difference("reverse")).toEqual(SAME);
});

test("a reader that dies while the run is paused would leave the WAL to grow, unread and unsaid", async () => {
  const m = await startMigration(db, WAL);
  await m.through("validate");
  const waits = (_?: number, until?: AbortSignal) => fired(until ?? new AbortController().signal);
  const phases = [
    (context: PhaseContext) => alongside(context, ({ heavy }) => heavy()),
    async (context: PhaseContext) => followForward(await context.open(), context, context.signal),
    async (context: PhaseContext) => catchUp(await context.open(), context),
  ];
  for (const phase of phases) {
    const context = { ...m.context(), gate: waits, heavy: waits, follower: waits };
    m.before(/pg_current_wal_flush_lsn/, (reader) =>
      session.query("SELECT pg_terminate_backend($1)", [reader.pid]).then(() => undefined),
    );
    await expect(phase(context)).rejects.toThrow(/connection to the server lost/);
    await context.close();
  }
});

test("a role that lacks a right would stop half-way instead of at the plan, or not be told of it by the script", async () => {
  const admin = await db.session(db.superuserUrl);
  const named = ident((await value(admin, "SELECT current_database()")) ?? "");
  await admin.query(`ALTER ROLE ${ident(db.role)} NOREPLICATION`);
  await admin.query(`REVOKE TEMPORARY ON DATABASE ${named} FROM PUBLIC, ${ident(db.role)}`);
  const refused = (await planFor(session, WAL)).refusals;
  const [replication, temporary] = [
    `ALTER ROLE ${ident(db.role)} REPLICATION;`,
    `GRANT TEMPORARY ON DATABASE ${named} TO ${ident(db.role)};`,
  ];
  expect(refused.map(({ code, remedy }) => ({ code, remedy }))).toEqual([
    { code: "no-replication-right", remedy: expect.stringContaining(replication) },
    { code: "no-temporary-right", remedy: expect.stringContaining(temporary) },
  ]);
  const asked = { table: "public.orders", url: db.ownerUrl, missing: true };
  expect((await grants(asked)).grants).toEqual([]);
  const script = (await grants({ ...asked, capture: "wal" })).grants.map(({ sql }) => sql);
  expect(script).toEqual([replication, temporary]);
  const folder = mkdtempSync(join(tmpdir(), "partway-wal-"));
  const config = join(folder, "partway.config.json");
  writeFileSync(config, JSON.stringify({ tables: { "public.orders": WAL } }));
  const listed = await grants({ url: db.ownerUrl, config, missing: true });
  rmSync(folder, { recursive: true });
  expect(listed.grants.map(({ sql }) => sql)).toEqual(script);
  for (const sql of script) await admin.query(sql);
  expect((await planFor(session, WAL)).refusals).toEqual([]);
  expect((await grants({ ...asked, capture: "wal" })).grants).toEqual([]);
  const other = { ...asked, role: "nobody_yet", capture: "wal" };
  expect((await grants(other)).grants.map(({ code }) => code)).toEqual(
    expect.arrayContaining(["no-replication-right", "no-publication-right", "no-temporary-right"]),
  );
});

test("a commit that no snapshot sees yet would be applied as the row was, and forgotten; WAL beyond its bound", async () => {
  // What is committed without waiting for the disk stays off it until somebody else's COMMIT.
  const server = await startOwnServer(db.version, { fsync: false, flags: ["-c", "wal_writer_delay=10s"] });
  await db.drop();
  try {
    await fresh(server);
    const admin = await db.session(db.superuserUrl);
    const m = await startMigration(db, WAL);
    await m.through("index");
    const context = m.context();
    const reader = await context.open();
    await reader.query("SET synchronous_commit = local");
    await admin.query("SET synchronous_commit = local");
    // Nobody of that name answers: a COMMIT is in the log, and is not seen until it is cancelled.
    await admin.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    await admin.query("SELECT pg_reload_conf()");
    // The server takes its time to hear of it: the first few may pass.
    const made = { updates: 0, isEnough: false };
    const writing = (async () => {
      while (!made.isEnough) {
        made.updates += 1;
        await session.query("UPDATE public.orders SET note = $1 WHERE id = 13", [String(made.updates)]);
      }
    })();
    const waits = `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
    await expect.poll(() => value(admin, waits), { timeout: 30_000, interval: 20 }).toBe("1");
    made.isEnough = true;
    // Beside the cutover's lock there is no time for that: its session would be silent for as long.
    const { plan, lease } = m;
    await drainBriefly(reader, { plan, lease, sides: m.sides(), fill: filling(context) }, 300);
    const reading = fill(reader, context);
    const asks = `SELECT count(*) FROM pg_stat_activity WHERE pid = ${reader.pid} AND query ~ 'pg_current_snapshot'`;
    await expect.poll(() => value(admin, asks), { timeout: 30_000, interval: 20 }).toBe("1");
    expect(await value(admin, `SELECT count(*) FROM ${m.sides().log}`)).toBe("0");
    expect(await value(admin, "SELECT note FROM public.orders WHERE id = 13")).not.toBe(`${made.updates}`);
    await admin.query("ALTER SYSTEM RESET synchronous_standby_names");
    await admin.query("SELECT pg_reload_conf()");
    await writing;
    expect((await reading).rows).toBe(made.updates);
    expect(await value(admin, "SELECT note FROM public.orders WHERE id = 13")).toBe(`${made.updates}`);
    await context.close();

    const kept = async () => slotWal((await ask(admin, ["slot"], walNames(plan).slot)).slot);
    const holds = async () => judge("slot-wal", await kept(), 50, false);
    expect(await kept()).toEqual({ value: null });
    await admin.query("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    await admin.query("SELECT pg_reload_conf()");
    await session.query("UPDATE public.orders SET note = 'given up' WHERE id = 14");
    const status = "SELECT wal_status FROM pg_replication_slots";
    for (let turn = 0; turn < 8 && (await value(admin, status)) !== "lost"; turn++) {
      await admin.query(
        "CREATE TABLE public.much AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)",
      );
      // Before it is given up the copy is held: what it writes itself would be kept as well.
      if (turn === 0) expect(await holds()).toMatch(/^the slot's WAL .* >= 50 %/);
      await admin.query("DROP TABLE public.much");
      await admin.query("SELECT pg_switch_wal()");
      await admin.query("CHECKPOINT");
    }
    expect(await value(admin, status)).toBe("lost");
    m.before(/LOCK TABLE "public"\."orders_partitioned" IN ACCESS EXCLUSIVE/, async () => {
      await session.query("SET synchronous_commit = off");
      await session.query("INSERT INTO public.orders (created_at, note) VALUES ('2025-03-03', 'last')");
    });
    await m.through("cutover");
    expect(await value(admin, "SELECT count(*) FROM public.orders WHERE note = 'last'")).toBe("1");
    expect(m.seen("copy-restarted").map(({ reason }) => reason)).toEqual([
      expect.stringContaining("max_slot_wal_keep_size"),
    ]);
    expect(await m.difference("reverse")).toEqual(SAME);
    await db.drop();
  } finally {
    await server.stop();
    await fresh();
  }
});
