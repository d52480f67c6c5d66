/**
 * The application's own libraries, at work before, during and after cutover and rollback: each on the one connection
 * and with the statements that it prepared before the migration began.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { value } from "../support/migration.js";
import { Crowd, Worker } from "./crowd.js";
import type { Open, Row } from "./drivers/driver.js";
import { openDrizzle } from "./drivers/drizzle.js";
import { openKnex } from "./drivers/knex.js";
import { openNodePostgres } from "./drivers/node-postgres.js";
import { hasPsql, openPsql } from "./drivers/psql.js";
import { openSequelize } from "./drivers/sequelize.js";
import { type Clientele, openClientele } from "./scene.js";

const psql = hasPsql();
const CLIENTS: Record<string, Open> = {
  "node-postgres": openNodePostgres,
  Drizzle: openDrizzle,
  Sequelize: openSequelize,
  Knex: openKnex,
  ...(psql ? { psql: openPsql } : {}),
};
/** Rounds of each client in each stage, at least. */
const ROUNDS = 6;

let scene: Clientele;
const pids = new Map<Worker, number>();
const workers: Worker[] = [];
/** What each client's rows were in the table, and in its ledger, while all rested. */
const seen = { cutover: new Map<string, Both>(), rollback: new Map<string, Both>() };
interface Both {
  table: Record<string, Row>;
  ledger: Record<string, Row>;
}
const kinds: (string | null)[] = [];

const Found = z.object({ id: z.string(), note: z.string(), amount: z.string(), at: z.string() });

async function compare(into: Map<string, Both>): Promise<void> {
  for (const { name, ledger } of workers) {
    const rows = await scene.session.rows(
      Found,
      `SELECT id, note, amount, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
         FROM public.orders WHERE note LIKE $1 || ' %'`,
      [name],
    );
    expect(rows.length).toBeLessThanOrEqual(ledger.size);
    const table = Object.fromEntries(rows.map(({ id, ...row }) => [id, row]));
    // A copy: the ledger goes on changing.
    into.set(name, { table, ledger: structuredClone(Object.fromEntries(ledger)) });
  }
}

const kind = () =>
  value(scene.session, "SELECT relkind FROM pg_class WHERE oid = to_regclass('public.orders')");

beforeAll(async () => {
  scene = await openClientele(20_000);
  for (const [name, open] of Object.entries(CLIENTS)) {
    const worker = new Worker(name, await open(scene.db.ownerUrl));
    pids.set(worker, await worker.driver.pid());
    workers.push(worker);
  }
  const crowd = new Crowd(workers);
  await crowd.busy(ROUNDS);
  await scene.run("copy");
  await crowd.busy(ROUNDS);
  await scene.go("resume", { until: "validate" });
  await crowd.busy(ROUNDS);
  await scene.go("cutover");
  await crowd.busy(ROUNDS);
  await crowd.rest();
  kinds.push(await kind());
  await compare(seen.cutover);
  crowd.go();
  await crowd.busy(ROUNDS);
  await scene.go("rollback");
  await crowd.busy(ROUNDS);
  await crowd.stop();
  kinds.push(await kind());
  await compare(seen.rollback);
});
afterAll(async () => {
  await Promise.all(workers.map(({ driver }) => driver.close()));
  await scene.close();
});

test("the table would not have been partitioned, and back", () => {
  expect(kinds).toEqual(["p", "r"]);
});

const named = (name: string): Worker => {
  const worker = workers.find((one) => one.name === name);
  if (worker === undefined) throw new Error(`no client ${name}`);
  return worker;
};

describe.each(Object.keys(CLIENTS))("%s", (name) => {
  test("would get an error, a stale row or a wrong count", () => {
    expect(named(name).failure).toBeNull();
    expect(named(name).rounds).toBeGreaterThanOrEqual(6 * ROUNDS);
  });

  test("would have to reconnect", async () => {
    expect(await named(name).driver.pid()).toBe(pids.get(named(name)));
  });

  test.each(["cutover", "rollback"] as const)("would lose a write by the %s", (stop) => {
    const both = seen[stop].get(name);
    expect(Object.keys(both?.ledger ?? {}).length).toBeGreaterThan(ROUNDS);
    expect(both?.table).toEqual(both?.ledger);
  });
});

test.runIf(!psql)("psql is not here (apt-get install postgresql-client): not tried", () => undefined);
