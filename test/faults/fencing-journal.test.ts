/** What the database says is asked under the lease, and a takeover that fails leaves the other process alone. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { proceed, run } from "../../src/api.js";
import { recover } from "../../src/recover.js";
import type { RunEvent } from "../../state/events.js";
import { BY_BUCKET, makeItems } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { value } from "../support/migration.js";
import { startProxy } from "../support/proxy.js";

const POLL = { timeout: 90_000, interval: 10 };
let db: TestDatabase;
let dir: string;
beforeEach(async () => {
  db = await freshDatabase();
  await makeItems(await db.session());
  dir = mkdtempSync(join(tmpdir(), "partway-fencing-"));
});
afterEach(async () => {
  await db.drop();
  rmSync(dir, { recursive: true, force: true });
});

const start = (over: object = {}) =>
  run({ table: "items", url: db.ownerUrl, state: join(dir, "first"), backup: false, ...BY_BUCKET, ...over });

test("a takeover would go on from where the other process stood before its last commit", async () => {
  await (await start({ until: "validate" })).finished;
  const state = join(dir, "second");
  await recover({ url: db.ownerUrl, state });
  // The other process's cutover: its COMMIT is still on its way when the taker looks.
  const other = await db.session();
  await other.query("SET application_name = 'a commit on its way'");
  await other.begin();
  await other.query("UPDATE partway.migration SET phase = 'index'");
  const looker = await db.session();
  const events: RunEvent[] = [];
  const taken = proceed("resume", {
    ...{ url: db.ownerUrl, state, takeover: true, until: "index" },
    onEvent: (event) => events.push(event),
  });
  const bumps = `SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%SET epoch = epoch + 1%'`;
  await expect.poll(() => value(looker, bumps), POLL).toBe("1");
  await other.commit();
  expect(await (await taken).finished).toMatchObject({ error: null });
  expect(events.flatMap((e) => (e.event === "phase" && e.status === "started" ? [e.phase] : []))).toEqual([
    "index",
  ]);
});

test("a takeover that cannot reach the server would stop the process that can", async () => {
  const events: RunEvent[] = [];
  const first = await start({ until: "validate", hold: true, onEvent: (e: RunEvent) => events.push(e) });
  await expect.poll(() => events.some(({ event }) => event === "ready"), POLL).toBe(true);
  const nowhere = new URL(db.ownerUrl);
  nowhere.password = "wrong";
  const taken = proceed("resume", { url: nowhere.href, state: join(dir, "first"), takeover: true });
  await expect(taken).rejects.toMatchObject({ kind: "bad-input" });
  expect(first.command("stop")).toBeNull();
  expect(await first.finished).toMatchObject({ outcome: "stopped", error: { kind: "stopped" } });
});

/** How often it tried to get its connection back. */
const tries = (events: RunEvent[]) =>
  events.filter((e) => e.event === "log" && /trying again/.test(e.message)).length;

test("a zombie would wait for its turn while the other one works, instead of saying that it was taken over", async () => {
  const events: RunEvent[] = [];
  const first = await start({ until: "validate", hold: true, onEvent: (e: RunEvent) => events.push(e) });
  await expect.poll(() => events.some(({ event }) => event === "ready"), POLL).toBe(true);
  const state = join(dir, "second");
  await recover({ url: db.ownerUrl, state });
  const second = await proceed("resume", { url: db.ownerUrl, state, takeover: true, hold: true });
  const { error } = await first.finished;
  second.command("stop");
  await second.finished;
  expect(error).toMatchObject({
    kind: "fenced",
    message: expect.stringMatching(/^another Partway process has taken over migration items_/),
  });
  // Its connection may have been ended by the takeover; it tries once, and learns why.
  expect(tries(events)).toBeLessThan(2);
});

test.each(["on its connections", "after they were cut"])(
  "a zombie whose migration another has ended would try for a minute, and not say why it stops (%s)",
  async (how) => {
    const proxy = await startProxy(db.ownerUrl);
    const events: RunEvent[] = [];
    const onEvent = (e: RunEvent) => events.push(e);
    const first = await start({ url: proxy.url(db.ownerUrl), until: "validate", hold: true, onEvent });
    await expect.poll(() => events.some(({ event }) => event === "ready"), POLL).toBe(true);
    const state = join(dir, "second");
    await recover({ url: db.ownerUrl, state });
    if (how === "after they were cut") proxy.cut();
    const ended = await proceed("abort", { url: db.ownerUrl, state, takeover: true });
    expect(await ended.finished).toMatchObject({ outcome: "aborted" });
    expect((await first.finished).error).toMatchObject({ kind: "fenced" });
    expect(tries(events)).toBeLessThan(3);
    await proxy.stop();
  },
);
