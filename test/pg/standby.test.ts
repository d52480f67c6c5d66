/** A migration begun on a standby by mistake: told by the plan, with nothing in the journal. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { plan, run } from "../../src/api.js";
import { freshDatabase } from "../support/database.js";
import { startOwnServer } from "../support/server.js";

test("on a standby the journal would get a migration that no server knows", async () => {
  const server = await startOwnServer(inject("server").version);
  const state = join(mkdtempSync(join(tmpdir(), "partway-standby-")), "state");
  try {
    const db = await freshDatabase(server);
    const session = await db.session();
    await session.query("CREATE TABLE public.items (id bigint PRIMARY KEY, at timestamptz NOT NULL)");
    await session.end();
    if (server.dataDir === null) throw new Error("an embedded server is needed");
    writeFileSync(join(server.dataDir, "standby.signal"), "");
    await server.restart();
    const how = { table: "items", by: "at", every: "month", url: db.ownerUrl, state } as const;
    expect((await plan(how)).refusals).toMatchObject([
      { code: "standby", remedy: expect.stringContaining("--url") },
    ]);
    await expect(run(how)).rejects.toMatchObject({ kind: "refused", state: "Nothing was touched." });
    expect(existsSync(state)).toBe(false);
  } finally {
    await server.stop();
    rmSync(join(state, ".."), { recursive: true, force: true });
  }
});
