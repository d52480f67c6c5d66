/** The copy phase (DESIGN 3.2): every row arrives once, whatever crashes and whatever the application does. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { CommitUnknown, type Session } from "../../src/pg/session.js";
import { SQLSTATE, sqlState } from "../../src/pg/sqlstate.js";
import { batchSql } from "../../src/phases/copy.js";
import { markSql } from "../../src/sync/pairs.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import {
  createOrders,
  SAME,
  startMigration,
  type TestMigration,
  untilBlocked,
  value,
} from "../support/migration.js";

const BATCH = / FROM ONLY "public"\."orders" WHERE ctid >=/;
const LEDGER = /INSERT INTO partway\.ledger/;

let db: TestDatabase;
let app: Session;
let m: TestMigration;

beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
  await createOrders(app, 1000);
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await m.run("shadow");
});
afterEach(() => db.drop());

const count = async (table: string) => Number(await value(app, `SELECT count(*) FROM ${table}`));
const copied = () => count(m.sides().lagging);
const blocks = async () =>
  Number(await value(app, "SELECT pg_relation_size('public.orders') / current_setting('block_size')::int"));

interface LedgerRow {
  generation: number;
  from: number;
  to: number;
  rows: number;
}
const Ledger = z.object({
  generation: z.coerce.number(),
  from: z.coerce.number(),
  to: z.coerce.number(),
  rows: z.coerce.number(),
});
const ledger = (): Promise<LedgerRow[]> =>
  app.rows(
    Ledger,
    "SELECT generation::text, from_block::text AS from, to_block::text AS to, rows::text FROM partway.ledger ORDER BY from_block",
  );
const ledgerRows = async () => (await ledger()).reduce((sum, row) => sum + row.rows, 0);

/** Ends a phase's session as a crash of its process would. */
const kill = async (session: Session) => {
  await app.query("SELECT pg_terminate_backend($1)", [session.pid]);
};

/** After whatever happened: on to the end of the index phase, and nothing is missing or too much. */
async function arrivesWhole(): Promise<void> {
  await m.through("index");
  expect(await m.difference()).toEqual(SAME);
}

test("a writer in flight when capture begins would lose its row", async () => {
  const writer = await db.session();
  await writer.begin();
  await writer.query("INSERT INTO public.orders (id, created_at) VALUES (5001, '2025-05-05 00:00+00')");
  await writer.query("UPDATE public.orders SET note = 'in flight' WHERE id = 3");
  const running = m.run("copy");
  await expect.poll(() => m.seen("lock-try").length, { timeout: 60_000, interval: 5 }).toBeGreaterThan(0);
  expect(m.seen("lock-try")[0]).toMatchObject({ outcome: "timeout" });
  expect(await copied()).toBe(0);
  await writer.query("INSERT INTO public.orders (id, created_at) VALUES (5002, '2025-06-06 00:00+00')");
  await writer.commit();
  await running;
  expect(await count(`${m.sides().lagging} WHERE id IN (5001, 5002) OR note = 'in flight'`)).toBe(3);
  await arrivesWhole();
});

test("rows written just before capture stands would lie beyond the end of the copy", async () => {
  const planned = await blocks();
  m.before(/IN SHARE UPDATE EXCLUSIVE MODE/, async () => {
    await app.query(
      "INSERT INTO public.orders (created_at) SELECT '2025-07-07 00:00+00' FROM generate_series(1, 500)",
    );
  });
  await m.run("copy");
  expect(await blocks()).toBeGreaterThan(planned);
  expect(await m.log()).toEqual([]);
  expect(await copied()).toBe(1500);
  await arrivesWhole();
});

test("a table rewritten between its size and its filenode would be copied short", async () => {
  let refused: string | null = "not asked";
  m.before(/UPDATE partway.migration SET blocks/, async () => {
    const other = await m.db.session();
    await other.query("SET lock_timeout = '300ms'");
    refused = await other.query("VACUUM FULL public.orders").then(() => null, sqlState);
  });
  await m.run("copy");
  expect(refused).toBe(SQLSTATE.lockNotAvailable);
  expect(await copied()).toBe(1000);
});

test("what is written while the first batch begins would be lost", async () => {
  m.before(BATCH, async () => {
    await app.query("INSERT INTO public.orders (id, created_at) VALUES (5003, '2025-05-05 00:00+00')");
    await app.query("DELETE FROM public.orders WHERE id = 1000");
    await app.query("UPDATE public.orders SET note = 'early' WHERE id = 1");
  });
  await m.run("copy");
  await app.query("UPDATE public.orders SET note = 'late' WHERE id = 2");
  expect((await m.log()).length).toBe(4);
  await arrivesWhole();
});

test("a process that dies before COMMIT would leave rows without ledger, copied again by the next", async () => {
  let batches = 0;
  m.before(
    BATCH,
    async () => {
      batches += 1;
      if (batches === 3) m.before(/^COMMIT/, kill);
    },
    3,
  );
  await expect(m.run("copy")).rejects.toThrow(CommitUnknown);
  expect(await copied()).toBe(await ledgerRows());
  await m.takeOver();
  await m.run("copy");
  expect(await copied()).toBe(1000);
  await arrivesWhole();
});

test("a process that dies between rows and ledger would leave the rows", async () => {
  let batches = 0;
  m.before(
    LEDGER,
    async (session) => {
      batches += 1;
      if (batches === 3) await kill(session);
    },
    3,
  );
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  expect((await ledger()).length).toBe(2);
  expect(await copied()).toBe(await ledgerRows());
  await m.takeOver();
  await m.run("copy");
  expect(await copied()).toBe(1000);
});

test("a ledger that is written first would call a batch done whose rows never came", async () => {
  m.before(BATCH, kill);
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  expect(await ledger()).toEqual([]);
  await m.takeOver();
  await m.run("copy");
  expect(await copied()).toBe(1000);
});

test("a crash would take what the next phase builds on, or each batch would wait for the disk", async () => {
  const seen: string[] = [];
  const look = (what: string) => async (inside: Session) => {
    const { rows } = await inside.query("SHOW synchronous_commit");
    seen.push(`${what}: ${rows[0]?.["synchronous_commit"]}`);
  };
  m.before(LEDGER, look("batch"));
  m.before(/^UPDATE partway\.migration SET phase = \$2/, look("phase"));
  await m.run("copy");
  expect(seen).toEqual(["batch: off", "phase: on"]);
});

/** Another process copies blocks [from, to) as batch `number`, with none of the checks. */
async function copyBeside(number: number, from: number, to: number): Promise<void> {
  const twin = await db.session();
  await twin.tx(async () => {
    await twin.query(markSql(m.plan));
    const { count } = await twin.query(batchSql(m.plan, from, to));
    await twin.query(
      "INSERT INTO partway.ledger (migration, generation, batch, from_block, to_block, rows) VALUES ($1, 1, $2, $3, $4, $5)",
      [m.plan.id, number, from, to, count],
    );
  });
}

test("a batch copied by two processes would stand twice", async () => {
  m.before(LEDGER, () => copyBeside(0, 0, 4));
  await expect(m.run("copy")).rejects.toMatchObject({ code: "23505" });
  expect(await copied()).toBe(await ledgerRows());
  await m.run("copy");
  expect(await copied()).toBe(1000);
});

test("a zombie's batch would be written under its successor", async () => {
  const zombie = m.lease;
  const next = await db.session();
  let bumped: Promise<unknown> = Promise.resolve();
  m.before(LEDGER, async () => {
    // The bump waits for the batch that holds the epoch; takeLease would end that batch after a second.
    bumped = next.query("UPDATE partway.migration SET epoch = epoch + 1 WHERE id = $1", [m.plan.id]);
    await untilBlocked(app, next.pid);
  });
  // The batch after it waits for the bump: the server may let a new FOR SHARE pass by an UPDATE that has waited longer.
  m.before(/FOR SHARE/, () => bumped.then(() => undefined), 100);
  await expect(m.run("copy")).rejects.toMatchObject({ kind: "fenced" });
  await m.takeOver();
  expect((await ledger()).length).toBe(1);
  expect(await copied()).toBe(await ledgerRows());
  const lease = m.lease;
  m.lease = zombie;
  await expect(m.run("copy")).rejects.toMatchObject({ kind: "fenced" });
  expect((await ledger()).length).toBe(1);
  m.lease = lease;
  await m.run("copy");
  expect(await copied()).toBe(1000);
});

test("another --batch-blocks on resume would shift the ranges: rows lost or twice", async () => {
  let batches = 0;
  m.before(
    LEDGER,
    async (session) => {
      batches += 1;
      if (batches === 4) await kill(session);
    },
    4,
  );
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  await m.takeOver();
  await m.run("copy", { batchBlocks: 7 });
  const ranges = await ledger();
  expect(ranges.map((row) => row.from)).toEqual([0, ...ranges.slice(0, -1).map((row) => row.to)]);
  expect(ranges.at(-1)?.to).toBe((await m.stored()).blocks);
  expect(await copied()).toBe(1000);
});

test("a resume with another size would leave out what a worker that failed had begun, or copy it again", async () => {
  // The first worker dies in blocks 0 to 4 once the second has committed the blocks after them: a hole.
  m.before(/ctid >= '\(0,0\)'/, async (session) => {
    await expect
      .poll(async () => (await ledger()).length, { timeout: 60_000, interval: 5 })
      .toBeGreaterThan(0);
    await kill(session);
  });
  await expect(m.run("copy", { workers: 2 })).rejects.toThrow(/connection to the server lost/);
  const before = await ledger();
  expect(before[0]).toMatchObject({ from: 4, to: 8 });
  await m.takeOver();
  let batches = 0;
  m.before(
    LEDGER,
    async (session) => {
      batches += 1;
      if (batches === 3) await kill(session);
    },
    3,
  );
  await expect(m.run("copy", { batchBlocks: 8 })).rejects.toThrow(/connection to the server lost/);
  await m.takeOver();
  await m.run("copy", { batchTimeMs: 600_000, workers: 2 });
  const ranges = await ledger();
  expect(ranges.map((row) => row.from)).toEqual([0, ...ranges.slice(0, -1).map((row) => row.to)]);
  expect(ranges.at(-1)?.to).toBe((await m.stored()).blocks);
  expect(new Set(ranges.map(({ from, to }) => to - from)).size).toBeGreaterThan(2);
  expect(m.seen("copy").at(-1)).toMatchObject({
    ...{ rowsDone: 1000, batchesDone: ranges.length, batchesTotal: ranges.length },
    ...{ blocksDone: await blocks(), blocksTotal: await blocks() },
  });
  expect(m.seen("map").at(-1)?.cells).toMatch(/^x+$/);
  expect(await copied()).toBe(1000);
  await arrivesWhole();
});

test("a longer batch over blocks that another process has copied would put them in twice", async () => {
  m.before(LEDGER, kill);
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  await m.takeOver();
  m.before(LEDGER, () => copyBeside(2, 8, 12));
  // Blocks 0 to 16 are batch 0: its number is no other's.
  await expect(m.run("copy", { batchBlocks: 16 })).rejects.toThrow(
    /blocks 0 to 16 .* two batches of the ledger/,
  );
  expect((await ledger()).map(({ from, to }) => [from, to])).toEqual([[8, 12]]);
  expect(await copied()).toBe(await ledgerRows());
  await m.run("copy", { batchBlocks: 16 });
  expect((await ledger()).map(({ from, to }) => [from, to]).slice(0, 3)).toEqual([
    [0, 8],
    [8, 12],
    [12, 28],
  ]);
  expect(await copied()).toBe(1000);
  await arrivesWhole();
});

test("two workers would copy a batch twice or none", async () => {
  await m.run("copy", { workers: 2, batchBlocks: 1 });
  expect((await ledger()).length).toBe(await blocks());
  expect(m.records.batches.length).toBe(await blocks());
  expect(await copied()).toBe(1000);
});

test("the record would show batches that were not committed", async () => {
  await m.run("copy");
  expect(m.records.batches.map((row) => row.rows)).toEqual((await ledger()).map((row) => row.rows));
  expect(m.seen("copy").at(-1)).toMatchObject({ rowsDone: 1000, batchesDone: (await ledger()).length });
});

test("an empty table could not be migrated", async () => {
  await m.run("abort");
  await app.query("TRUNCATE public.orders");
  m = await startMigration(db, { by: "created_at", every: "quarter", ahead: "0" });
  await m.through("copy");
  expect(await ledger()).toEqual([]);
  await app.query("INSERT INTO public.orders (created_at) VALUES ('2025-12-12 00:00+00')");
  await arrivesWhole();
});

/** Rows of the first blocks are gone, so a rewrite moves the others to blocks that are copied already. */
const REWRITES: readonly [string, string][] = [
  ["VACUUM FULL", "VACUUM FULL public.orders"],
  ["CLUSTER", "CLUSTER public.orders USING orders_pkey"],
];

for (const [name, statement] of REWRITES) {
  test(`${name} between two batches would move rows past the copy`, async () => {
    await app.query("DELETE FROM public.orders WHERE id <= 300");
    let batches = 0;
    m.before(
      BATCH,
      async () => {
        batches += 1;
        if (batches === 8) await app.query(statement);
      },
      8,
    );
    await expect(m.run("copy")).rejects.toMatchObject({ kind: "copy-restart", message: /was rewritten/ });
    expect(m.seen("copy-restarted")).toMatchObject([{ reason: expect.stringContaining("VACUUM FULL") }]);
    expect(await ledger()).toEqual([]);
    expect(await m.stored()).toMatchObject({ phase: "shadow", generation: 2, shadowOid: null, blocks: null });
    expect(await value(app, "SELECT to_regclass($1)::text", [m.sides().lagging])).toBeNull();
    await m.through("copy");
    expect(await copied()).toBe(700);
    expect((await ledger()).every((row) => row.generation === 2)).toBe(true);
    await arrivesWhole();
  });
}

test("a rewrite while the run is stopped would move rows past the copy", async () => {
  let batches = 0;
  m.before(
    LEDGER,
    async (session) => {
      batches += 1;
      if (batches === 9) await kill(session);
    },
    9,
  );
  await app.query("DELETE FROM public.orders WHERE id <= 300");
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  await app.query("VACUUM FULL public.orders");
  await m.takeOver();
  await expect(m.run("copy")).rejects.toMatchObject({ kind: "copy-restart" });
  await arrivesWhole();
  expect(await copied()).toBe(700);
});

test("TRUNCATE between two batches would leave truncated rows in the new table", async () => {
  let batches = 0;
  m.before(
    BATCH,
    async () => {
      batches += 1;
      if (batches !== 3) return;
      await app.query("TRUNCATE public.orders");
      await app.query("INSERT INTO public.orders (id, created_at) VALUES (5, '2025-02-02 00:00+00')");
    },
    3,
  );
  await expect(m.run("copy")).rejects.toMatchObject({ kind: "copy-restart" });
  await arrivesWhole();
  expect(await copied()).toBe(1);
});

test("TRUNCATE after the last batch would leave truncated rows in the new table", async () => {
  m.before(/^UPDATE partway.migration SET phase = \$2/, async () => {
    await app.query("TRUNCATE public.orders");
    await app.query("INSERT INTO public.orders (id, created_at) VALUES (5, '2025-02-02 00:00+00')");
  });
  await m.run("copy");
  await expect(m.run("index")).rejects.toMatchObject({ kind: "copy-restart", message: /truncated/ });
  await arrivesWhole();
  expect(await copied()).toBe(1);
});

test("a second TRUNCATE while the first is being dealt with would be forgotten", async () => {
  await m.run("copy");
  await app.query("TRUNCATE public.orders");
  m.before(/^DROP TABLE IF EXISTS/, async () => {
    await app.query("INSERT INTO public.orders (id, created_at) VALUES (6, '2025-02-02 00:00+00')");
    await app.query("TRUNCATE public.orders");
  });
  await expect(m.run("index")).rejects.toMatchObject({ kind: "copy-restart" });
  await arrivesWhole();
  expect(await copied()).toBe(0);
});

test("capture switched off while the run is stopped would lose every write meanwhile", async () => {
  let batches = 0;
  m.before(
    LEDGER,
    async (session) => {
      batches += 1;
      if (batches === 4) await kill(session);
    },
    4,
  );
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  await app.query("ALTER TABLE public.orders DISABLE TRIGGER USER");
  await app.query("UPDATE public.orders SET note = 'unseen' WHERE id IN (1, 999)");
  await app.query("DELETE FROM public.orders WHERE id = 2");
  await app.query("ALTER TABLE public.orders ENABLE TRIGGER USER");
  await m.takeOver();
  await expect(m.run("copy")).rejects.toMatchObject({ kind: "drift", message: /capture triggers/ });
  await expect(m.run("copy")).rejects.toMatchObject({ kind: "drift" });
  expect((await m.stored()).phase).toBe("copy");
});

test("capture dropped while the run is stopped would lose every write meanwhile", async () => {
  m.before(LEDGER, kill);
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  await m.takeOver();
  await m.run("copy");
  await app.query(`DROP TRIGGER "${m.plan.names.forwardTrigger}" ON public.orders`);
  await app.query("DELETE FROM public.orders WHERE id = 2");
  await expect(m.run("index")).rejects.toMatchObject({ kind: "drift", message: /capture triggers/ });
});

test("capture dropped right after it was looked for would be made anew, and writes before it be lost", async () => {
  m.before(BATCH, kill, 1);
  await expect(m.run("copy")).rejects.toThrow();
  await m.takeOver();
  // The statement after the look.
  m.before(/unnest\(\$2::text\[\]\) AS n\(name\)/, async () => {
    let statements = 0;
    m.before(
      /./,
      async () => {
        statements += 1;
        if (statements !== 2) return;
        await app.query(`DROP TRIGGER ${m.plan.names.forwardTrigger} ON public.orders`);
        await app.query("UPDATE public.orders SET note = 'unseen' WHERE id = 1");
      },
      2,
    );
  });
  await m.run("copy");
  await expect(m.run("index")).rejects.toMatchObject({ kind: "drift" });
});

test("capture switched off after a crash before the first batch would stop the run for good", async () => {
  m.before(/UPDATE partway.migration SET blocks/, kill);
  await expect(m.run("copy")).rejects.toThrow(/connection to the server lost/);
  await app.query("ALTER TABLE public.orders DISABLE TRIGGER USER");
  await app.query("UPDATE public.orders SET note = 'unseen' WHERE id IN (1, 999)");
  await m.takeOver();
  await m.run("copy");
  await app.query("UPDATE public.orders SET note = 'seen' WHERE id = 2");
  await arrivesWhole();
});

test("a table in the way of the lock would be waited for in silence, or its writers stalled", async () => {
  const writer = await db.session();
  await writer.begin();
  await writer.query("UPDATE public.orders SET note = 'mine' WHERE id = 3");
  await expect(m.run("copy", { lockTries: 2, lockTimeoutMs: 20 })).rejects.toMatchObject({
    kind: "lock-busy",
  });
  expect(m.seen("lock-try").length).toBe(2);
  expect(await copied()).toBe(0);
  await writer.commit();
  await arrivesWhole();
});

test("a batch would stop a writer of the rows it copies", async () => {
  let writes = 0;
  m.before(
    LEDGER,
    async () => {
      await app.query("UPDATE public.orders SET amount = amount + 1 WHERE id IN (1, 500, 1000)");
      writes += 1;
    },
    100,
  );
  await m.run("copy");
  expect(writes).toBe(m.records.batches.length);
  await arrivesWhole();
});
