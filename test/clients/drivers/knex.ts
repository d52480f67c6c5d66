/** Knex, with a pool of one connection. */
import knex from "knex";
import { z } from "zod";
import type { Driver } from "./driver.js";

const Orders = z.array(z.object({ created_at: z.date(), note: z.string(), amount: z.string() }));
const Ids = z.tuple([z.object({ id: z.string() })]);

/** Knex as an application sets it up. */
export async function openKnex(url: string): Promise<Driver> {
  const db = knex({ client: "pg", connection: url, pool: { min: 1, max: 1, idleTimeoutMillis: 3_600_000 } });
  const changed = (n: unknown) => z.number().parse(n);
  return {
    pid: async () => {
      const { rows } = z
        .object({ rows: z.tuple([z.object({ pid: z.number() })]) })
        .parse(await db.raw("SELECT pg_backend_pid() AS pid"));
      return rows[0].pid;
    },
    insert: async ({ note, amount, at }) => {
      const made: unknown = await db("orders").insert({ note, amount, created_at: at }).returning("id");
      return Ids.parse(made)[0].id;
    },
    read: async (id) => {
      const [row] = Orders.parse(await db("orders").where({ id }).select("*"));
      return row === undefined
        ? null
        : { note: row.note, amount: row.amount, at: row.created_at.toISOString() };
    },
    // In a transaction of its own: Knex gives it the pool's connection and takes it back.
    update: (id, note) =>
      db.transaction(async (tx) => changed(await tx("orders").where({ id }).update({ note }))),
    move: async (id, at) => changed(await db("orders").where({ id }).update({ created_at: at })),
    remove: async (id) => changed(await db("orders").where({ id }).delete()),
    close: () => db.destroy(),
  };
}
