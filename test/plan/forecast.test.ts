/** Bytes that a plan forecasts, against those of a real migration: they do not depend on how busy the machine is. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { plan, run } from "../../src/api.js";
import { readTable } from "../../src/catalog/read.js";
import { sampleTable } from "../../src/checks/sample.js";
import { createOrders } from "../../src/demo/writer.js";
import type { Session } from "../../src/pg/session.js";
import { report } from "../../src/report.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import { value } from "../support/migration.js";
import { type RunningServer, startOwnServer } from "../support/server.js";

let server: RunningServer;
let db: TestDatabase;
let session: Session;
let state: string;

// A server of its own: nobody else's WAL is in the measurement. None of the checkpoints that a busy machine begins late
// comes in between, so that bytes are the same in every run; with them: npm run bench:forecast -- --set max_wal_size=256MB.
beforeAll(async () => {
  server = await startOwnServer("18", {
    flags: ["-c", "max_wal_size=1GB", "-c", "full_page_writes=on", "-c", "autovacuum=off"],
  });
  db = await freshDatabase(server);
  session = await db.session();
  state = mkdtempSync(join(tmpdir(), "partway-forecast-"));
  await createOrders(session, { schema: "public", name: "orders", rows: 120_000, months: 12 });
  // Few different keys share entries, in a part of the rows, too.
  await session.query(`CREATE INDEX ON public.orders (status); CREATE INDEX ON public.orders (status DESC);
    CREATE INDEX ON public.orders (status) WHERE customer_id < 25000`);
  // Half of the source is dead: what it takes today says nothing of what the new table will take.
  await session.query("UPDATE public.orders SET updated_at = created_at WHERE id % 2 = 0");
  await asAdmin(db.superuserUrl, async (admin) => {
    await admin.query("VACUUM (ANALYZE) public.orders");
    await admin.query("CHECKPOINT");
  });
});
afterAll(async () => {
  await db.drop();
  await server.stop();
  rmSync(state, { recursive: true, force: true });
});

const within = (forecast: number | undefined, happened: number) => {
  const ratio = (forecast ?? Number.NaN) / happened;
  return { ratio, isNear: ratio > 0.75 && ratio < 1.25 };
};

test("heap, indexes or WAL would differ by more than a quarter from what plan said", async () => {
  const asked = { table: "orders", url: db.ownerUrl, by: "created_at", every: "month" };
  const { forecast, names } = await plan(asked);
  const lsn = () => value(session, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')");
  const before = Number(await lsn());
  const { finished } = await run({ ...asked, state, backup: false, until: "validate" });
  const { exitCode, error } = await finished;
  expect(exitCode, String(error)).toBe(0);
  const wal = Number(await lsn()) - before;
  const of = async (size: string) =>
    Number(
      await value(
        session,
        `SELECT sum(${size}) FROM pg_partition_tree('public.${names.shadow}') WHERE isleaf`,
      ),
    );
  const shadow = {
    heap: within((forecast.disk?.heap ?? 0) + (forecast.disk?.toast ?? 0), await of("pg_table_size(relid)")),
    indexes: within(forecast.disk?.indexes, await of("pg_indexes_size(relid)")),
    wal: within(forecast.walBytes, wal),
  };
  expect(shadow).toMatchObject({
    heap: { isNear: true },
    indexes: { isNear: true },
    wal: { isNear: true },
  });
  const page = await report({ url: db.ownerUrl, state, format: "md" });
  const told = page.split("## Forecast and what happened")[1]?.split("\n## ")[0] ?? "";
  for (const what of ["copy", "index", "validate", "new table: rows", "new table: indexes", "WAL"])
    expect(told).toMatch(new RegExp(`\\| ${what} \\|[^|]+\\|[^|]*\\d[^|]*\\|[^|]*\\d`));
});

test("a table that somebody holds would keep plan waiting for its sample, or the sample would write", async () => {
  const table = await readTable(session, "public.orders");
  const next = () => value(session, "SELECT pg_snapshot_xmax(pg_current_snapshot())");
  const before = await next();
  expect(await sampleTable(session, table)).toMatchObject({ blocksRead: 64 });
  expect(await next()).toBe(before);
  const holder = await db.session();
  await holder.tx(async () => {
    await holder.query("LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE");
    expect(await sampleTable(session, table)).toEqual({
      why: expect.stringMatching(/lock timeout|statement timeout/),
    });
  });
});
