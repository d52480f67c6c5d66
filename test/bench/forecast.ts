/**
 * `npm run bench:forecast -- --rows 5000000`: a server of its own, a table, `plan`, a whole migration up to ready, and
 * what was forecast beside what happened. Not in CI: seconds are of a quiet machine or of none.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { plan, run } from "../../src/api.js";
import { readTable } from "../../src/catalog/read.js";
import { probeServer, sampleTable } from "../../src/checks/sample.js";
import { createOrders } from "../../src/demo/writer.js";
import { Session } from "../../src/pg/session.js";
import { bytes, duration } from "../../ui/format.js";
import { targetOf } from "../support/database.js";
import { startOwnServer } from "../support/server.js";
import { versionOf } from "../support/versions.js";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "5000000" },
    months: { type: "string", default: "28" },
    table: { type: "string", default: "orders" },
    pg: { type: "string", default: "18" },
    workers: { type: "string", default: "2" },
    json: { type: "boolean", default: false },
    /** Tell each phase in probes, too: for the reference of src/plan/forecast-time.ts. */
    probe: { type: "boolean", default: false },
    /** Server settings, `name=value`, as often as needed. */
    set: { type: "string", multiple: true, default: [] },
  },
});
const rows = Number(values.rows);

/** Shapes whose forecasts fail in different ways: little beside the headers, long rows, values moved out. */
const SHAPES: Record<string, string> = {
  narrow: "CREATE TABLE public.t (id bigint PRIMARY KEY, n int, created_at timestamptz NOT NULL)",
  wide: "CREATE TABLE public.t (id bigint PRIMARY KEY, n int, created_at timestamptz NOT NULL, body text, extra text)",
  toast:
    "CREATE TABLE public.t (id bigint PRIMARY KEY, n int, created_at timestamptz NOT NULL, body text); ALTER TABLE public.t ALTER body SET STORAGE external",
};
const FILL: Record<string, string> = {
  narrow: "n, n % 1000, at",
  wide: "n, n % 1000, at, repeat(md5(n::text), 8), CASE WHEN n % 2 = 0 THEN repeat('x', (n % 200)::int) END",
  toast: "n, n % 1000, at, CASE WHEN n % 4 = 0 THEN repeat(md5(n::text), 200) END",
};

async function makeTable(session: Session): Promise<string> {
  const months = Number(values.months);
  if (values.table === "orders") {
    await createOrders(session, { schema: "public", name: "orders", rows, months });
    return "orders";
  }
  for (const one of (SHAPES[values.table] ?? "").split("; ")) await session.query(one);
  await session.query(
    `INSERT INTO public.t SELECT ${FILL[values.table] ?? ""} FROM (SELECT n, now() - make_interval(months => $2::int) * (1 - n::float8 / $1::float8) AS at
       FROM generate_series(1, $1::bigint) AS n) AS made`,
    [rows, months],
  );
  await session.query("CREATE INDEX t_n_idx ON public.t (n)");
  return "t";
}

const Lsn = z.object({ at: z.coerce.number() });
const lsn = async (session: Session) =>
  (await session.one(Lsn, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text AS at")).at;

/** The probe again and again while the run works: on a machine that others use, too, a phase is told in probes. */
class Load {
  #phase = "";
  #on = true;
  readonly probes = new Map<string, number[]>();
  phase(name: string): void {
    this.#phase = name;
  }
  async watch(session: Session): Promise<void> {
    while (this.#on) {
      this.probes.set(this.#phase, [...(this.probes.get(this.#phase) ?? []), await probeServer(session)]);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
  stop(): void {
    this.#on = false;
  }
  mean(name: string): number {
    const all = this.probes.get(name) ?? [];
    return all.reduce((sum, one) => sum + one, 0) / all.length;
  }
}

const server = await startOwnServer(versionOf(values.pg), {
  fsync: true,
  flags: values.set.flatMap((one) => ["-c", one]),
});
const state = mkdtempSync(join(tmpdir(), "partway-forecast-"));
try {
  const session = await Session.open(targetOf(server.superuserUrl));
  const name = await makeTable(session);
  await session.query(`VACUUM (ANALYZE) public.${name}`);
  await session.query("CHECKPOINT");
  const asked = { table: name, url: server.superuserUrl, by: "created_at", every: "month" };
  const from = performance.now();
  const made = await plan({ ...asked, workers: values.workers } as typeof asked);
  const planMs = performance.now() - from;
  const sampled = await sampleTable(session, await readTable(session, name));
  if ("why" in sampled) throw new Error(`no sample: ${sampled.why}`);
  const { probeMs, hashRowUs, blockSeconds } = sampled;
  const began = await lsn(session);
  const seconds = new Map<string, number>();
  const load = new Load();
  const prober = await Session.open(targetOf(server.superuserUrl));
  const watching = values.probe ? load.watch(prober) : Promise.resolve();
  const engine = await run({
    ...asked,
    state,
    backup: false,
    until: "validate",
    workers: values.workers,
    onEvent: (event) => {
      if (event.event === "phase" && event.status === "started") load.phase(event.phase);
      if (event.event === "phase" && event.status === "done")
        seconds.set(event.phase, (event.ms ?? 0) / 1000);
    },
  });
  const { exitCode, error } = await engine.finished;
  load.stop();
  await watching;
  await prober.end();
  if (exitCode !== 0) throw error ?? new Error(`the run ended with exit code ${exitCode}`);
  const wal = (await lsn(session)) - began;
  const Size = z.object({ heap: z.coerce.number(), toast: z.coerce.number(), indexes: z.coerce.number() });
  const size = await session.one(
    Size,
    `SELECT sum(pg_table_size(relid) - coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0))::text AS heap,
            coalesce(sum(pg_total_relation_size(nullif(c.reltoastrelid, 0))), 0)::text AS toast,
            sum(pg_indexes_size(relid))::text AS indexes
       FROM pg_partition_tree($1::regclass) AS p JOIN pg_class c ON c.oid = p.relid WHERE isleaf`,
    [`public.${made.names.shadow}`],
  );
  const stages = (made.forecast.phases ?? []).map(
    ({ phase, low }) => [`seconds, ${phase}`, low, seconds.get(phase) ?? Number.NaN] as const,
  );
  const total = stages.reduce((sum, [, , took]) => sum + took, 0);
  const disk = made.forecast.disk ?? { heap: 0, toast: 0, indexes: 0 };
  const measured: (readonly [string, number, number])[] = [
    ...stages,
    ["seconds, all", stages.reduce((sum, [, low]) => sum + low, 0), total],
    ["heap", disk.heap, size.heap],
    ["toast", disk.toast, size.toast],
    ["indexes", disk.indexes, size.indexes],
    ["new table", disk.heap + disk.toast + disk.indexes, size.heap + size.toast + size.indexes],
    ["WAL", made.forecast.walBytes, wal],
  ];
  if (values.json)
    process.stdout.write(`${JSON.stringify({ rows, planMs, forecast: made.forecast, measured })}\n`);
  else {
    const amount = (what: string, n: number) => (what.startsWith("seconds") ? duration(n * 1000) : bytes(n));
    const line = (cells: readonly string[]) =>
      `${cells.map((cell, i) => (i === 0 ? cell.padEnd(20) : cell.padStart(12))).join("")}\n`;
    process.stdout.write(
      `${rows.toLocaleString("en-US")} rows of ${values.table}, PostgreSQL ${values.pg}, ${values.workers} workers; plan took ${Math.round(planMs)} ms\n`,
    );
    process.stdout.write(line(["", "forecast", "happened", "ratio"]));
    for (const [what, forecast, happened] of measured)
      process.stdout.write(
        line([
          what,
          amount(what, forecast),
          amount(what, happened),
          happened === 0 ? "" : (forecast / happened).toFixed(2),
        ]),
      );
    process.stdout.write(
      `${JSON.stringify({ wal: made.forecast.wal, disk: made.forecast.disk, probeMs, hashRowUs, blockSeconds })}\n`,
    );
  }
  if (values.probe)
    for (const [phase, took] of seconds)
      process.stdout.write(
        `${phase}: ${took.toFixed(2)} s, probe ${load.mean(phase).toFixed(1)} ms: ${((took / load.mean(phase)) * 20).toFixed(2)} s at 20 ms\n`,
      );
  await session.end();
} finally {
  await server.stop();
  rmSync(state, { recursive: true, force: true });
}
