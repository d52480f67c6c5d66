/**
 * A statement that waits for the swap and then reads the other table: which sees every row, and which only those that
 * were there when it began to wait.
 */
import pg from "pg";
import { expect, test } from "vitest";
import { openHostile } from "../hostile/scene.js";
import { untilBlocked } from "../support/migration.js";

const WAYS: readonly { name: string; sql: string | pg.QueryConfig; sees: number }[] = [
  { name: "a plain statement", sql: "SELECT FROM orders WHERE id = 900", sees: 1 },
  {
    name: "a statement that the driver prepared",
    sql: { name: "young", text: "SELECT FROM orders WHERE id = $1", values: [900] },
    sees: 1,
  },
  { name: "EXECUTE of a PREPARE", sql: "EXECUTE young_too", sees: 0 },
  { name: "COPY of a query", sql: "COPY (SELECT id FROM orders WHERE id = 900) TO STDOUT", sees: 0 },
];

test.each(WAYS)("$name would see another table than README says", async ({ sql, sees }) => {
  const scene = await openHostile();
  const client = new pg.Client({ connectionString: scene.db.ownerUrl });
  await client.connect();
  try {
    await client.query("PREPARE young_too AS SELECT FROM orders WHERE id = 900");
    const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
    await client.query(sql);
    const migration = await scene.start();
    await migration.through("validate");
    // After the last drain before the lock: it is carried over inside the swap's own transaction.
    migration.before(/^LOCK TABLE .* ACCESS EXCLUSIVE/, async () => {
      await scene.session.query("INSERT INTO public.orders (id, created_at) VALUES (900, '2025-05-05')");
    });
    let answer: Promise<number | null> = Promise.resolve(null);
    migration.before(/ RENAME TO /, async () => {
      answer = client.query(sql).then(({ rowCount }) => rowCount);
      await untilBlocked(scene.session, rows[0].pid);
    });
    await migration.run("cutover");
    expect(await answer).toBe(sees);
    expect((await client.query(sql)).rowCount).toBe(1);
  } finally {
    await client.end();
    await scene.db.drop();
  }
});
