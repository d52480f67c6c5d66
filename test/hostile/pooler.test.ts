/** A pooler in transaction mode, at every command: refused before anything is set, made or written. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { plan, proceed, type RunOptions, run } from "../../src/api.js";
import { EXIT } from "../../src/errors.js";
import { verify } from "../../src/inspect.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { createOrders, value } from "../support/migration.js";
import { PGBOUNCER_MISSING, type PgBouncer, startPgBouncer } from "../support/pgbouncer.js";

const why = PGBOUNCER_MISSING === null ? "" : ` (skipped: ${PGBOUNCER_MISSING})`;

describe.skipIf(PGBOUNCER_MISSING !== null)(`behind PgBouncer${why}`, () => {
  let db: TestDatabase;
  let session: Session;
  let pooler: PgBouncer;
  let state: string;

  beforeEach(async () => {
    db = await freshDatabase();
    session = await db.session();
    await createOrders(session, 60);
    pooler = await startPgBouncer(db.ownerUrl);
    state = mkdtempSync(join(tmpdir(), "partway-pooler-"));
  });
  afterEach(async () => {
    await pooler.stop();
    await db.drop();
    rmSync(state, { recursive: true, force: true });
  });

  const options = (url: string): RunOptions => ({
    ...{ table: "orders", by: "created_at", every: "year", ahead: "1", backup: false, url, state },
  });
  const REFUSED = {
    kind: "refused",
    exitCode: EXIT.refused,
    message: expect.stringContaining("a pooler in transaction mode"),
    next: expect.stringContaining("5432 instead of 6432"),
  };
  const schema = () => value(session, "SELECT to_regnamespace('partway')::text");

  test("in transaction mode a run would lose its locks, and leave its settings to the application", async () => {
    const url = pooler.url("transaction");
    // An application that has used the pool before: its backend is the one that Partway gets.
    const application = new pg.Client(url);
    await application.connect();
    const path = async () =>
      (await application.query<{ path: string }>("SELECT current_setting('search_path') AS path")).rows;
    const before = await path();
    await expect(plan(options(url))).rejects.toMatchObject(REFUSED);
    await expect(run(options(url))).rejects.toMatchObject(REFUSED);
    expect(await schema()).toBeNull();
    expect(existsSync(join(state, "journal.db"))).toBe(false);
    expect(await path()).toEqual(before);
    expect((await application.query("SELECT count(*) FROM orders")).rows).toEqual([{ count: "60" }]);
    await application.end();
  });

  test("in transaction mode a migration would be gone on with, cut over, rolled back or aborted", async () => {
    await (await run({ ...options(db.ownerUrl), until: "validate" })).finished;
    const url = pooler.url("transaction");
    const stands = () => value(session, "SELECT phase || ' ' || epoch FROM partway.migration");
    const refuse = async (intents: readonly Parameters<typeof proceed>[0][]) => {
      const before = await stands();
      for (const intent of intents)
        await expect(proceed(intent, { url, state }), intent).rejects.toMatchObject(REFUSED);
      await expect(verify({ url, state })).rejects.toMatchObject(REFUSED);
      expect(await stands()).toBe(before);
    };
    await refuse(["resume", "cutover", "abort"]);
    await (await proceed("cutover", { url: db.ownerUrl, state })).finished;
    await refuse(["resume", "rollback", "finalize"]);
    const back = await proceed("rollback", { url: db.ownerUrl, state });
    expect(await back.finished).toMatchObject({ outcome: "rolled-back" });
  });

  test("in session mode, where it works, it would be refused", async () => {
    const url = pooler.url("session");
    expect(await (await run(options(url))).finished).toMatchObject({ outcome: "retained" });
    expect(await (await proceed("rollback", { url, state })).finished).toMatchObject({
      outcome: "rolled-back",
    });
    expect(await schema()).toBeNull();
  });
});
