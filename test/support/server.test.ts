import { expect, inject, test } from "vitest";
import { z } from "zod";
import { asAdmin, freshDatabase } from "./database.js";

test("the tests would run on another major version than the one they name", async () => {
  const db = await freshDatabase();
  const session = await db.session();
  const row = await session.one(
    z.object({ version: z.string(), super: z.string(), name: z.string() }),
    `SELECT current_setting('server_version_num') AS version, current_database() AS name,
            (SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user) AS super`,
  );
  expect(row).toEqual({
    version: expect.stringMatching(new RegExp(`^${db.version}`)),
    super: "false",
    name: db.name,
  });
  await session.query("CREATE TABLE public.t (a int)");
  await db.drop();
});

test("a connection that was not given back would go unnoticed", async () => {
  const db = await freshDatabase();
  await asAdmin(db.superuserUrl, async (leaked) => {
    expect(leaked.pid).toBeGreaterThan(0);
    await expect(db.drop()).rejects.toThrow(`pid ${leaked.pid}`);
  });
  const gone = await asAdmin(inject("server").superuserUrl, (admin) =>
    admin.query("SELECT 1 FROM pg_database WHERE datname = $1", [db.name]),
  );
  expect(gone.count).toBe(0);
});
