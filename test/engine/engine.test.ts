import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { proceed, type RunOptions, run } from "../../src/api.js";
import { EXIT } from "../../src/errors.js";
import { LEASE_SQL } from "../../src/pg/lease.js";
import { Session } from "../../src/pg/session.js";
import type { RunEvent } from "../../state/events.js";
import { Journal } from "../../state/journal.js";
import { freshDatabase, type TestDatabase, targetOf } from "../support/database.js";
import { value } from "../support/migration.js";
import { type Proxy as Network, startProxy } from "../support/proxy.js";
import { BY_BUCKET, lines, makeItems } from "./items.js";

const POLL = { timeout: 90_000, interval: 10 };
let db: TestDatabase;
let session: Session;
let state: string;
let proxy: Network;
let events: RunEvent[];

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  state = mkdtempSync(join(tmpdir(), "partway-engine-"));
  proxy = await startProxy(db.ownerUrl);
  events = [];
  await makeItems(session);
});
afterEach(async () => {
  await proxy.stop();
  await db.drop();
  rmSync(state, { recursive: true, force: true });
});

const kind = () => value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass");
const seen = (name: RunEvent["event"]) => events.filter((event) => event.event === name);

function options(over: Partial<RunOptions> = {}): RunOptions {
  return {
    table: "items",
    url: db.ownerUrl,
    state,
    backup: false,
    ...BY_BUCKET,
    onEvent: (e) => events.push(e),
    ...over,
  };
}

/** Calls `act` when the cutover has its locks: the next COMMIT on the wire is the one that swaps the names. */
function atTheSwap(act: () => void) {
  return (event: RunEvent) => {
    events.push(event);
    if (event.event === "lock-try" && event.purpose === "cutover" && event.outcome === "acquired") act();
  };
}

const once = (act: () => void) => {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
};

test.each(["answer-lost", "statement-lost"] as const)(
  "a connection lost at the COMMIT of the swap would be taken for a failure, or swap twice (%s)",
  async (fault) => {
    const failing = atTheSwap(once(() => proxy.fail(fault, "COMMIT")));
    const running = await run(options({ url: proxy.url(db.ownerUrl), onEvent: failing }));
    const result = await running.finished;
    expect(proxy.happened()).toBe(1);
    expect(result).toMatchObject({ outcome: "retained", exitCode: EXIT.done, error: null });
    expect(await kind()).toBe("p");
    // Committed: nothing is swapped again. Not committed: once more, after the dead backend was ended.
    expect(seen("cutover")).toHaveLength(fault === "answer-lost" ? 0 : 1);
    expect(seen("log").map((e) => ("message" in e ? e.message : ""))).toContainEqual(
      expect.stringMatching(/^connection to the server lost.*trying again in 0.5 s$/),
    );
    expect(await value(session, "SELECT count(*) FROM public.items_retired")).toBe("1200");
    expect(await value(session, "SELECT count(*) FROM public.items")).toBe("1200");
    expect(await value(session, "SELECT phase FROM partway.migration")).toBe("retain");
  },
);

test("a COMMIT still on its way would be overtaken by the look at what it has done", async () => {
  const failing = atTheSwap(once(() => proxy.fail("statement-late", "COMMIT")));
  const running = await run(options({ url: proxy.url(db.ownerUrl), onEvent: failing }));
  // The engine must first bump the epoch, which waits for the transaction that still holds it; then the COMMIT arrives.
  const bumps = `SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%SET epoch = epoch + 1%'`;
  await expect.poll(() => value(session, bumps), { ...POLL, interval: 3 }).toBe("1");
  proxy.deliver();
  expect(await running.finished).toMatchObject({ outcome: "retained", error: null });
  expect(await kind()).toBe("p");
  expect(
    await lines(session, "SELECT relname FROM pg_class WHERE relname ~ '^items_(retired|partitioned)$'"),
  ).toEqual(["items_retired"]);
});

test("a network that drops every connection in the middle would cost the run, or a row", async () => {
  let cuts = 0;
  const cutting = (event: RunEvent) => {
    events.push(event);
    const moment =
      (event.event === "phase" &&
        event.status === "started" &&
        ["copy", "index", "validate"].includes(event.phase)) ||
      (event.event === "lock-try" && event.purpose === "cutover");
    if (moment && cuts < 4) {
      cuts += 1;
      proxy.cut();
    }
  };
  const running = await run(options({ url: proxy.url(db.ownerUrl), onEvent: cutting }));
  expect(await running.finished).toMatchObject({ outcome: "retained", error: null });
  expect(cuts).toBe(4);
  expect(await lines(session, "SELECT * FROM public.items")).toEqual(
    await lines(session, "SELECT * FROM public.items_retired"),
  );
});

test("an orchestrator that was taken over would go on, or not say why it stopped", async () => {
  const first = await run(options({ until: "validate", hold: true }));
  await expect.poll(() => seen("ready").length, POLL).toBe(1);
  const second = await proceed("resume", { url: db.ownerUrl, state, takeover: true, hold: false });
  expect(await second.finished).toMatchObject({ outcome: "ready-for-cutover", exitCode: EXIT.done });
  const result = await first.finished;
  expect(result).toMatchObject({ outcome: "failed" });
  expect(result.error).toMatchObject({ kind: "fenced", message: expect.stringContaining("has taken over") });
  expect(await kind()).toBe("r");
});

test("a zombie that lost its connections to a takeover would take the migration back when the other has ended", async () => {
  const first = await run(
    options({
      ...{ url: proxy.url(db.ownerUrl), until: "validate", hold: true },
      onEvent: (event) => {
        events.push(event);
        // One that takes it back would wait at the cutover for ever.
        if (event.event === "ready" && seen("ready").length > 1) queueMicrotask(() => first.command("stop"));
      },
    }),
  );
  await expect.poll(() => seen("ready").length, POLL).toBe(1);
  const epoch = Number(await value(session, "SELECT epoch FROM partway.migration"));
  // Cut off, as a laptop that sleeps is; the other one comes and goes before it tries again.
  await session.query("UPDATE partway.migration SET epoch = epoch + 1");
  proxy.cut();
  const result = await first.finished;
  expect(result.error).toMatchObject({ kind: "fenced" });
  expect(Number(await value(session, "SELECT epoch FROM partway.migration"))).toBe(epoch + 1);
});

test("a dead orchestrator's session that still holds a lock would keep the cutover, and the application, waiting", async () => {
  const first = await run(options({ until: "validate" }));
  const { migration } = await first.finished;
  // Its network died: the server believes in it for hours. It had locked the table and not read the epoch yet.
  const orphan = await Session.open(targetOf(db.ownerUrl));
  await orphan.query(LEASE_SQL.worker, [migration]);
  await orphan.begin();
  await orphan.query("LOCK TABLE public.items IN ACCESS SHARE MODE");
  // Another role's is not ours to end, and asking for it would be refused.
  const others = await db.session(db.superuserUrl);
  await others.query(LEASE_SQL.worker, [migration]);
  const cut = await proceed("cutover", { url: db.ownerUrl, state, lockTimeout: "20ms", lockTries: "2" });
  expect(await cut.finished).toMatchObject({ outcome: "retained" });
  await expect(orphan.query("SELECT")).rejects.toThrow(/lost/);
  await orphan.end();
  expect(await value(others, "SELECT 1")).toBe("1");
});

test("a stop would lose what was done, or a resume begin from the start", async () => {
  const running = await run(
    options({
      onEvent: (event) => {
        events.push(event);
        if (event.event === "phase" && event.phase === "index" && event.status === "started")
          queueMicrotask(() => running.command("stop"));
      },
    }),
  );
  expect(await running.finished).toMatchObject({ outcome: "stopped", exitCode: EXIT.stopped });
  const batches = await value(session, "SELECT count(*) FROM partway.ledger");
  events.length = 0;
  const resumed = await proceed("resume", { url: db.ownerUrl, state, onEvent: (e) => events.push(e) });
  expect(await resumed.finished).toMatchObject({ outcome: "retained" });
  expect(events.flatMap((e) => (e.event === "phase" && e.status === "started" ? [e.phase] : []))).toEqual([
    "index",
    "validate",
    "cutover",
  ]);
  expect(await value(session, "SELECT count(*) FROM partway.ledger")).toBe(batches);
});

test("a lock that cannot be had would end the run with nothing to go on from", async () => {
  const reader = await db.session();
  const running = await run(
    options({
      lockTimeout: "20ms",
      lockTries: "2",
      onEvent: (event) => events.push(event),
      until: "validate",
    }),
  );
  await running.finished;
  await reader.begin();
  await reader.query("SELECT FROM public.items LIMIT 1");
  const cut = await proceed("cutover", { url: db.ownerUrl, state });
  expect(await cut.finished).toMatchObject({
    outcome: "failed",
    exitCode: EXIT.lockBusy,
    error: { kind: "lock-busy" },
  });
  await reader.commit();
  const again = await proceed("cutover", { url: db.ownerUrl, state });
  expect(await again.finished).toMatchObject({ outcome: "retained" });
  expect(await kind()).toBe("p");
});

test("a name typed wrong would drop the retired table before its time, or a right one not", async () => {
  const running = await run(options());
  await running.finished;
  const finalize = (force: string | undefined) => proceed("finalize", { url: db.ownerUrl, state, force });
  const early = await finalize(undefined);
  expect(await early.finished).toMatchObject({ exitCode: EXIT.refused, error: { kind: "refused" } });
  await expect(finalize("item")).rejects.toMatchObject({
    kind: "bad-input",
    message: "--force item is not the table's name (public.items)",
  });
  expect(await value(session, "SELECT count(*) FROM public.items_retired")).toBe("1200");
  const forced = await finalize("items");
  expect(await forced.finished).toMatchObject({ outcome: "done", exitCode: EXIT.done });
  expect(await value(session, "SELECT to_regclass('public.items_retired')")).toBeNull();
});

test("a write to the old table by name, found right after cutover, would close the way back", async () => {
  const trigger = atTheSwap(() => undefined);
  const running = await run(options({ until: "validate", onEvent: trigger }));
  await running.finished;
  const cut = await proceed("cutover", { url: db.ownerUrl, state });
  await cut.finished;
  await session.query("UPDATE public.items_retired SET note = 'by its new name' WHERE id = 1");
  const refused = await proceed("rollback", { url: db.ownerUrl, state });
  expect(await refused.finished).toMatchObject({ exitCode: EXIT.refused });
  const back = await proceed("rollback", { url: db.ownerUrl, state, repair: true });
  expect(await back.finished).toMatchObject({ outcome: "rolled-back" });
  expect(await kind()).toBe("r");
  expect(await value(session, "SELECT note FROM public.items WHERE id = 1")).toBe("row 1");
});

test("the journal would not say how a run ended, or who holds it", async () => {
  const running = await run(options({ until: "validate" }));
  const { migration } = await running.finished;
  const journal = Journal.open(join(state, "journal.db"), "read");
  try {
    const record = journal.migrations().find((m) => m.id === migration);
    expect(record).toMatchObject({ outcome: "ready-for-cutover", state: "halted", owner: null });
  } finally {
    journal.close();
  }
});

test("a small server would get as many connections as a large one, and nobody would be told why", async () => {
  const { name } = await session.one(
    z.object({ name: z.string() }),
    "SELECT quote_ident(current_database()) AS name",
  );
  await session.query(`ALTER DATABASE ${name} SET max_parallel_workers = 2`);
  const said = () => seen("log").filter((e) => e.event === "log" && /connection/.test(e.message));
  const working = () => seen("copy").map((e) => (e.event === "copy" ? e.workers : 0));
  const first = await run(options({ until: "copy" }));
  expect((await first.finished).exitCode).toBe(EXIT.done);
  expect(said()).toMatchObject([
    { message: expect.stringMatching(/^1 connection copies: the server is set for 2 processes in parallel/) },
  ]);
  expect(new Set(working())).toEqual(new Set([1]));
  // The operator knows better.
  expect((await (await proceed("abort", options())).finished).exitCode).toBe(EXIT.done);
  events = [];
  const second = await run(options({ until: "copy", workers: "3" }));
  expect((await second.finished).exitCode).toBe(EXIT.done);
  expect(said()).toEqual([]);
  expect(new Set(working())).toEqual(new Set([3]));
});
