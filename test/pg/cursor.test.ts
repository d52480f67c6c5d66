/** A read in pieces whose connection goes: the run must hear of it, and not wait for a server that is not there. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConnectionLost, type Row, type Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

const MANY = "SELECT i::text FROM pg_catalog.generate_series(1, 100000) AS i";
/** The first piece comes, the second takes an hour. */
const STUCK =
  "SELECT CASE WHEN i = 4 THEN pg_catalog.pg_sleep(3600) END FROM pg_catalog.generate_series(1, 9) AS i";

let db: TestDatabase;
let reader: Session;
let other: Session;

beforeEach(async () => {
  db = await freshDatabase();
  [reader, other] = [await db.session(), await db.session()];
  await reader.begin({ readOnly: true });
});
afterEach(() => db.drop());

async function terminate(): Promise<void> {
  await other.query("SELECT pg_catalog.pg_terminate_backend($1, 10000)", [reader.pid]);
}

async function begun(sql: string): Promise<AsyncGenerator<Row[]>> {
  const pieces = reader.cursor(sql, [], 3);
  expect((await pieces.next()).value).toHaveLength(3);
  return pieces;
}

test("a connection that is lost while a piece is awaited would be waited for until the process is killed", async () => {
  const pieces = await begun(STUCK);
  const next = pieces.next().catch((error: unknown) => error);
  // Pulse can only look after what it sees.
  expect(reader.waiting).not.toBeNull();
  await terminate();
  expect(await next).toBeInstanceOf(ConnectionLost);
  expect(reader.waiting).toBeNull();
  await expect(reader.query("SELECT 1")).rejects.toBeInstanceOf(ConnectionLost);
});

test("a connection that we break ourselves would leave the read without an end", async () => {
  const pieces = await begun(STUCK);
  const next = pieces.next().catch((error: unknown) => error);
  reader.break("the server has not answered for 90 s");
  expect(await next).toMatchObject({ name: "ConnectionLost", message: expect.stringContaining("for 90 s") });
});

test("a connection that is lost between two pieces would be waited for by who reads on, and by who has enough", async () => {
  const pieces = await begun(MANY);
  await terminate();
  await expect(pieces.next()).rejects.toBeInstanceOf(ConnectionLost);
  reader = await db.session();
  await reader.begin({ readOnly: true });
  const enough = await begun(MANY);
  await terminate();
  await enough.return(undefined);
  await expect(reader.query("SELECT 1")).rejects.toBeInstanceOf(ConnectionLost);
});

test("a read that is broken off, or that the server refuses, would leave its connection unusable", async () => {
  const pieces = await begun(MANY);
  await pieces.return(undefined);
  expect(reader.waiting).toBeNull();
  expect((await reader.query("SELECT 'goes on' AS answer")).rows).toEqual([{ answer: "goes on" }]);
  const refused = reader.cursor("SELECT 1 / (i - 5) FROM pg_catalog.generate_series(1, 9) AS i", [], 3);
  await refused.next();
  await expect(refused.next()).rejects.toMatchObject({ code: "22012" });
  await reader.rollback();
  expect((await reader.query("SELECT 'goes on' AS answer")).rows).toEqual([{ answer: "goes on" }]);
});
