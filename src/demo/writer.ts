/**
 * The application of the demo and of the tests: clients that write at random and know exactly what the table must hold
 * afterwards. They see only what an application sees; nothing here knows that a migration exists.
 */
import { qualified } from "../pg/quote.js";
import { AppConnection, Stopwatch } from "./application.js";
import { WriterClient, type WriterOptions } from "./client.js";
import { BaselineRow, baselineSql, Ledger } from "./ledger.js";
import { World, type WriterStats } from "./world.js";

export type { WriterOptions } from "./client.js";
export { compareWithLedger, Ledger, type LedgerComparison } from "./ledger.js";
export { createOrders, type TableName } from "./orders.js";
export type { WriterStats } from "./world.js";

export interface WriterReport extends WriterStats {
  /** The writer's own, not a copy: after resume() it goes on. */
  ledger: Ledger;
}

export interface Writer {
  /** What happened so far. */
  stats(): WriterStats;
  /** Lets every client finish its transaction and wait; resolves when all wait. The ledger is then exact. */
  pause(): Promise<WriterReport>;
  resume(): void;
  /** Lets every client finish its transaction and closes the connections. May be called twice. */
  stop(): Promise<WriterReport>;
}

/** Sums up the table as it is, then starts the clients. Nobody else may write to the table. */
export async function startWriter(options: WriterOptions): Promise<Writer> {
  const world = await prepare(options);
  const runs = Array.from({ length: options.clients }, (_, i) => new WriterClient(world, options, i + 1));
  try {
    for (const client of runs) await client.connect();
  } catch (error) {
    await Promise.all(runs.map((client) => client.end()));
    throw error;
  }
  const ended = Promise.all(runs.map((client) => client.run()));
  const report = () => ({ ...world.stats(), ledger: world.ledger });
  return {
    stats: () => world.stats(),
    pause: async () => {
      await world.gate.close();
      return report();
    },
    resume: () => world.gate.open(),
    stop: async () => {
      world.stopping = true;
      world.gate.open();
      await ended;
      return report();
    },
  };
}

async function prepare(options: WriterOptions): Promise<World> {
  const db = new AppConnection(options.url, new Stopwatch(), false);
  await db.connect();
  try {
    await db.control("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const baseline = await db.query("baseline", baselineSql(options.table));
    const { rows } = await db.query(
      "window",
      `SELECT coalesce(max(id), 0)::text AS "max", now()::text AS "to", coalesce(min(created_at), now())::text AS "from"
       FROM ${qualified(options.table.schema, options.table.name)}`,
    );
    await db.control("COMMIT");
    const { max, from, to } = rows[0] ?? {};
    const ledger = new Ledger(
      baseline.rows.map((row) => BaselineRow.parse(row)),
      Number(max ?? 0),
    );
    return new World(ledger, { from: from ?? "now", to: to ?? "now" }, options.clients);
  } finally {
    await db.end();
  }
}
