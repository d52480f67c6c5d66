import { afterEach, beforeEach, expect, test } from "vitest";
import { poolerRefusal } from "../../src/pg/pooler.js";
import { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase, targetOf } from "../support/database.js";

let db: TestDatabase;
beforeEach(async () => {
  db = await freshDatabase();
});
afterEach(() => db.drop());

/**
 * What a pooler in transaction mode does to a client, without one: the session claims the backend it was given at
 * login, and every statement outside a transaction is answered by another one.
 */
async function pooled(): Promise<Session> {
  const front = await db.session();
  const behind = await db.session();
  const answer = behind.query.bind(behind);
  front.query = (sql, params, name) => answer(sql, params, name);
  return front;
}

test("a direct connection would be refused as a pooler", async () => {
  const session = await db.session();
  await expect(poolerRefusal(session, () => db.session())).resolves.toEqual([]);
});

test("a session whose backend changes between transactions would lose its lease in silence", async () => {
  const [refusal] = await poolerRefusal(await pooled(), () => db.session());
  expect(refusal).toMatchObject({
    code: "transaction-pooler",
    remedy: expect.stringContaining("5432 instead of 6432"),
  });
});

test("a pool of one backend would pass for a direct connection", async () => {
  // Both clients are answered by the same backend: only one of them can say so at a time.
  const one = await db.session();
  const two = await db.session();
  two.query = one.query.bind(one);
  await expect(poolerRefusal(one, async () => two)).resolves.toMatchObject([{ code: "transaction-pooler" }]);
  await one.rollback();
});

test("the look at the pooler would leave a transaction open", async () => {
  const session = await db.session();
  const opened: Session[] = [];
  await poolerRefusal(session, async () => {
    const other = await Session.open(targetOf(db.ownerUrl));
    opened.push(other);
    return other;
  });
  await expect(opened[0]?.query("SELECT 1")).rejects.toThrow();
});
