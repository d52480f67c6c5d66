/** Drizzle on node-postgres, with statements that it prepares under a name. */
import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { bigserial, numeric, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import pg from "pg";
import { z } from "zod";
import type { Driver } from "./driver.js";

const orders = pgTable("orders", {
  id: bigserial("id", { mode: "bigint" }).primaryKey(),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
  note: text("note").notNull(),
  amount: numeric("amount").notNull(),
});

/** Drizzle with a pool of one connection. */
export async function openDrizzle(url: string): Promise<Driver> {
  const pool = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0 });
  const db = drizzle(pool);
  const id = sql.placeholder("id");
  const insert = db
    .insert(orders)
    .values({
      note: sql.placeholder("note"),
      amount: sql.placeholder("amount"),
      createdAt: sql.placeholder("at"),
    })
    .returning({ id: orders.id })
    .prepare("insert_order");
  const read = db.select().from(orders).where(eq(orders.id, id)).prepare("read_order");
  const remove = db.delete(orders).where(eq(orders.id, id)).prepare("remove_order");
  const where = (value: string) => eq(orders.id, BigInt(value));
  return {
    pid: async () => {
      const { rows } = await db.execute(sql`SELECT pg_backend_pid() AS pid`);
      return z.object({ pid: z.number() }).parse(rows[0]).pid;
    },
    insert: async ({ note, amount, at }) => {
      const [row] = await insert.execute({ note, amount, at: new Date(at) });
      return String(row?.id);
    },
    read: async (value) => {
      const [row] = await read.execute({ id: value });
      return row === undefined
        ? null
        : { note: row.note, amount: row.amount, at: row.createdAt.toISOString() };
    },
    update: async (value, note) => (await db.update(orders).set({ note }).where(where(value))).rowCount ?? 0,
    move: async (value, at) =>
      (
        await db
          .update(orders)
          .set({ createdAt: new Date(at) })
          .where(where(value))
      ).rowCount ?? 0,
    remove: async (value) => (await remove.execute({ id: value })).rowCount ?? 0,
    close: () => pool.end(),
  };
}
