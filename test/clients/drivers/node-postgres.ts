/** node-postgres with named statements: each is prepared once, before the migration, and executed ever after. */
import pg from "pg";
import { z } from "zod";
import type { Driver, Row } from "./driver.js";

const Orders = z
  .array(z.object({ id: z.string(), created_at: z.date(), note: z.string(), amount: z.string() }))
  .transform((rows) =>
    rows.map(({ created_at, note, amount }): Row => ({ note, amount, at: created_at.toISOString() })),
  );

/** A client of node-postgres. */
export async function openNodePostgres(url: string): Promise<Driver> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const named = (name: string, text: string, values: string[]) => client.query({ name, text, values });
  const changed = async (name: string, text: string, values: string[]) =>
    (await named(name, text, values)).rowCount ?? 0;
  return {
    pid: async () => {
      const { rows } = await named("pid", "SELECT pg_backend_pid() AS pid", []);
      return z.object({ pid: z.number() }).parse(rows[0]).pid;
    },
    insert: async ({ note, amount, at }) => {
      const text = "INSERT INTO orders (note, amount, created_at) VALUES ($1, $2, $3) RETURNING *";
      const { rows } = await named("insert", text, [note, amount, at]);
      return z.object({ id: z.string() }).parse(rows[0]).id;
    },
    read: async (id) =>
      Orders.parse((await named("read", "SELECT * FROM orders WHERE id = $1", [id])).rows)[0] ?? null,
    update: (id, note) => changed("update", "UPDATE orders SET note = $2 WHERE id = $1", [id, note]),
    move: (id, at) => changed("move", "UPDATE orders SET created_at = $2 WHERE id = $1", [id, at]),
    remove: (id) => changed("remove", "DELETE FROM orders WHERE id = $1", [id]),
    close: () => client.end(),
  };
}
