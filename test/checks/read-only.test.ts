/** Questions that a run can do without: none holds it up, and none ends it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { portal, readOnly } from "../../src/checks/read-only.js";
import { ConnectionLost, type Session } from "../../src/pg/session.js";
import { SizeReader } from "../../src/phases/window-sizes.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterEach(() => db.drop());

/** A thousand million rows that come one by one: quarter of an hour, and no piece of them takes long. */
const ENDLESS = "SELECT pg_catalog.generate_series(1, 1000000000)";

test("a check that reads all of a big table would hold the run for hours, if each piece had a timeout of its own", async () => {
  const read = (sql: string, timeoutMs: number, limit?: number) =>
    readOnly(session, timeoutMs, () => portal(session, sql, limit));
  expect(await read(ENDLESS, 300)).toMatchObject({
    ...{ ok: false, error: "it took longer than its timeout of 300 ms" },
  });
  expect(await read(ENDLESS, 60_000, 2500)).toMatchObject({ ok: true, value: { rows: 3000 } });
  expect(await read("SELECT 7 AS n", 60_000)).toMatchObject({ ok: true, value: { first: { n: "7" } } });
});

test("a question that only fills a line of the screen would end the window's process", async () => {
  const other = await db.session();
  // What the server says against it: here that this is no oid.
  expect(await new SizeReader().read(session, "-", "0")).toEqual({});
  await other.query("SELECT pg_catalog.pg_terminate_backend($1, 10000)", [session.pid]);
  await expect(new SizeReader().read(session, "0", "0")).rejects.toBeInstanceOf(ConnectionLost);
});
