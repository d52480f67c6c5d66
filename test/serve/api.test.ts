/** The API of Analytics-Pulse, driven by an HTTP client: every endpoint, every refusal. */
import { createHash } from "node:crypto";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CARE_SQL } from "../../src/care/store.js";
import { adopt } from "../../src/care.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { REFUSALS } from "../../src/serve/refusals.js";
import { BASE, ROUTES } from "../../src/serve/routes.js";
import { ErrorAnswer } from "../../src/serve/shapes.js";
import type { TestDatabase } from "../support/database.js";
import { type Answer, analyticsDatabase, leavesOf, type Running, started, TOKENS } from "./scene.js";

let db: TestDatabase;
let session: Session;
let service: Running;
beforeAll(async () => {
  ({ db, session } = await analyticsDatabase());
  service = await started(db.ownerUrl);
});
afterAll(async () => {
  await service.stop();
  await db.drop();
});

const seen = new Set<string>();
function refused(answer: Answer, code: keyof typeof REFUSALS): void {
  expect(answer.status, answer.text).toBe(REFUSALS[code]);
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  const { error } = ErrorAnswer.parse(answer.json);
  expect(error.code, answer.text).toBe(code);
  expect(error.message).not.toBe("");
  expect(error.next).not.toBe("");
  seen.add(code);
}

describe("an operator would be told wrong", () => {
  test("how the tables are: partitions, rows, size, dates, what is to clean up", async () => {
    const { status, json } = await service.ask(`${BASE}/health`, { token: TOKENS.read });
    expect(status).toBe(200);
    const { tables } = ROUTES.health.answer.parse(json);
    expect(tables.map(({ table }) => table)).toEqual(["public.events", "public.goal_completions"]);
    expect(tables[0]).toMatchObject({
      ...{ totalPartitions: 15, oldestPartition: "events_2023_11", oldestDate: "2023-11-01 00:00:00+00" },
      ...{ newestPartition: "events_2025_01", newestDate: "2025-01-01 00:00:00+00", pendingCleanup: 2 },
      ...{ interval: "month", coveredUntil: "2025-02-01 00:00:00+00" },
    });
    expect(tables[0]?.totalBytes).toBeGreaterThan(0);
  });

  test("which partitions there are, of all and of one table", async () => {
    const all = ROUTES.list.answer.parse((await service.ask(`${BASE}/list`)).json).partitions;
    expect(all).toHaveLength(30);
    const one = ROUTES.list.answer.parse((await service.ask(`${BASE}/list?table=events`)).json).partitions;
    expect(one).toHaveLength(15);
    expect(one[1]).toMatchObject({
      ...{ table: "public.events", partition: "events_2023_12", partitionDate: "2023-12-01 00:00:00+00" },
      to: "2024-01-01 00:00:00+00",
    });
  });

  test("what the scheduler does", async () => {
    const answer = ROUTES.status.answer.parse((await service.ask(`${BASE}/status`)).json);
    expect(answer).toMatchObject({ scheduler: { enabled: true, reason: null }, timeZone: "UTC", jobs: [] });
  });

  test("what it can do, and with what", async () => {
    const { status, json } = await service.ask("/openapi.json", { token: null });
    expect(status).toBe(200);
    const { paths } = json as { paths: Record<string, Record<string, unknown>> };
    for (const { path, method } of Object.values(ROUTES))
      expect(Object.keys(paths[path] ?? {}), path).toEqual([method.toLowerCase()]);
    expect(json).toMatchObject({
      paths: {
        [`${BASE}/cleanup`]: {
          post: {
            requestBody: {
              content: {
                "application/json": {
                  schema: {
                    required: ["table"],
                    additionalProperties: false,
                    properties: { dryRun: { default: true } },
                  },
                },
              },
            },
          },
        },
      },
    });
  });
});

describe("data would be gone that nobody gave up", () => {
  test.each([
    ["cleanup", { table: "events", retentionMonths: 6 }],
    ["cleanup", { table: "events", retentionMonths: 12, dryRun: true }],
    ["maintenance", {}],
    ["maintenance", { table: "events" }],
  ] as const)("%s %j, which says nothing of dryRun false", async (name, body) => {
    const before = await leavesOf(session, "events");
    const { status, json } = await service.ask(`${BASE}/${name}`, { body });
    expect(status).toBe(200);
    const { dryRun, tables } = ROUTES.cleanup.answer.parse(json);
    expect(dryRun).toBe(true);
    expect(new Set(tables[0]?.retired.map(({ fate }) => fate))).toEqual(new Set(["would-drop"]));
    expect(await leavesOf(session, "events")).toEqual(before);
  });

  test("maintenance without a body", async () => {
    const { status, json } = await service.ask(`${BASE}/maintenance`, { method: "POST" });
    expect([status, ROUTES.maintenance.answer.parse(json).dryRun]).toEqual([200, true]);
    expect(await leavesOf(session, "events")).toHaveLength(15);
  });

  test("with a token that may only read", async () => {
    const asked = (name: string, body: object) =>
      service.ask(`${BASE}/${name}`, { body, token: TOKENS.read });
    expect((await asked("cleanup", { table: "events" })).status).toBe(200);
    refused(await asked("cleanup", { table: "events", dryRun: false }), "read-only-token");
    refused(await asked("maintenance", { dryRun: false }), "read-only-token");
    refused(await asked("create", { table: "events" }), "read-only-token");
    refused(await asked("analyze", { table: "events" }), "read-only-token");
    refused(await asked("vacuum", { table: "events" }), "read-only-token");
    expect(await leavesOf(session, "events")).toHaveLength(15);
  });

  test("beyond what was asked: cleanup of one table by its months, and nothing made", async () => {
    const body = { table: "goal_completions", retentionMonths: 13, dryRun: false };
    const { status, json } = await service.ask(`${BASE}/cleanup`, { body });
    expect(status).toBe(200);
    expect(ROUTES.cleanup.answer.parse(json).tables[0]).toMatchObject({
      ...{ created: [], analyzed: [] },
      retired: [{ name: "goal_completions_2023_11", fate: "dropped" }],
    });
    expect(await leavesOf(session, "goal_completions")).toHaveLength(14);
    expect(await leavesOf(session, "events")).toHaveLength(15);
  });
});

describe("what was asked would not be done", () => {
  test("partitions six months ahead, once", async () => {
    const body = { table: "events", monthsAhead: 6 };
    const first = ROUTES.create.answer.parse((await service.ask(`${BASE}/create`, { body })).json);
    expect(first.tables[0]?.created.map(({ name }) => name)).toEqual(
      ["02", "03", "04", "05", "06", "07"].map((month) => `events_2025_${month}`),
    );
    expect(first.tables[0]?.retired).toEqual([]);
    const again = ROUTES.create.answer.parse((await service.ask(`${BASE}/create`, { body })).json);
    expect(again.tables[0]?.created).toEqual([]);
  });

  test("analyze and vacuum of every partition", async () => {
    const analyzed = ROUTES.analyze.answer.parse(
      (await service.ask(`${BASE}/analyze`, { body: { table: "events" } })).json,
    );
    expect(analyzed.tables[0]?.done).toContain('"public"."events"');
    for (const full of [false, true]) {
      const body = { table: "public.events", full };
      const { tables } = ROUTES.vacuum.answer.parse((await service.ask(`${BASE}/vacuum`, { body })).json);
      expect(tables[0]?.done).toHaveLength(21);
      expect(tables[0]?.locked).toEqual([]);
    }
    await session.query("SELECT pg_stat_clear_snapshot()");
    const { partitions } = ROUTES.list.answer.parse((await service.ask(`${BASE}/list?table=events`)).json);
    expect(partitions.filter(({ lastAnalyze }) => lastAnalyze === null)).toEqual([]);
    expect(partitions.filter(({ lastVacuum }) => lastVacuum === null)).toEqual([]);
  });

  test("a partition that somebody has locked keeps only itself from its VACUUM FULL", async () => {
    const other = await db.session();
    await other.begin();
    await other.query("LOCK TABLE public.events_2024_05 IN ACCESS SHARE MODE");
    const answer = await service.ask(`${BASE}/vacuum`, { body: { table: "events", full: true } });
    await other.rollback();
    refused(answer, "lock-busy");
    const { tables } = ROUTES.vacuum.answer.parse({ tables: (answer.json as { tables: unknown }).tables });
    expect(tables[0]?.locked).toEqual(['"public"."events_2024_05"']);
    expect(tables[0]?.done).toHaveLength(20);
  });

  test("the whole of it, in order", async () => {
    const { json } = await service.ask(`${BASE}/maintenance`, { body: { dryRun: false } });
    const { tables } = ROUTES.maintenance.answer.parse(json);
    const retired = tables.map((one) => one.retired.map(({ name, fate }) => `${name} ${fate}`));
    expect(retired).toEqual([
      ["events_2023_11 dropped", "events_2023_12 dropped"],
      ["goal_completions_2023_12 dropped"],
    ]);
    expect(tables[1]?.created).toHaveLength(6);
    const health = ROUTES.health.answer.parse((await service.ask(`${BASE}/health`)).json);
    expect(health.status).toBe("HEALTHY");
  });
});

describe("somebody would get in, or not learn why not", () => {
  test("without a token, with a wrong one, with the hash of one", async () => {
    for (const { path, method } of Object.values(ROUTES)) {
      const none = await service.ask(path, { token: null, method });
      refused(none, "no-token");
      expect(none.headers.get("www-authenticate")).toMatch(/^Bearer /);
    }
    refused(await service.ask(`${BASE}/health`, { token: `${TOKENS.read}x` }), "wrong-token");
    // What the configuration file keeps of it opens nothing.
    const hash = createHash("sha256").update(TOKENS.write).digest("hex");
    refused(await service.ask(`${BASE}/health`, { token: hash }), "wrong-token");
    refused(await service.ask("/metrics", { token: null }), "no-token");
    const page = await service.ask("/", { token: null });
    refused(page, "no-token");
    expect(page.headers.get("www-authenticate")).toMatch(/^Basic /);
    // Basic is for pages: a browser would send it along with a request that another site makes.
    const basic = { authorization: `Basic ${btoa(`me:${TOKENS.write}`)}` };
    const how = { token: null, headers: basic };
    expect((await service.ask("/", how)).status).toBe(200);
    refused(await service.ask(`${BASE}/maintenance`, { ...how, method: "POST" }), "no-token");
  });

  test("with a path, method or table that is not there", async () => {
    refused(await service.ask("/api/v2/partitions/health"), "unknown-path");
    refused(await service.ask("/wp-login.php"), "unknown-path");
    const wrong = await service.ask(`${BASE}/cleanup`);
    refused(wrong, "wrong-method");
    expect(wrong.headers.get("allow")).toBe("POST");
    refused(await service.ask(`${BASE}/health`, { method: "DELETE" }), "wrong-method");
    refused(await service.ask(`${BASE}/list?table=nowhere`), "unknown-table");
    refused(await service.ask(`${BASE}/list?table=pg_class`), "unknown-table");
    await session.query("CREATE TABLE public.plain (id int)");
    for (const name of ["create", "analyze", "vacuum", "cleanup"])
      for (const table of ["nowhere", "plain", "nowhere.events"])
        refused(await service.ask(`${BASE}/${name}`, { body: { table } }), "unknown-table");
  });

  test.each([
    ["create", { table: "events", monthsAhead: "6" }, "monthsAhead"],
    ["create", { table: "events", monthsAhead: -1 }, "monthsAhead"],
    ["create", { table: "events", monthsAhead: 1.5 }, "monthsAhead"],
    ["create", {}, "table"],
    ["create", { table: "events", months: 6 }, "months"],
    ["cleanup", { table: "events", retentionMonths: 0, dryRun: false }, "retentionMonths"],
    ["cleanup", { table: "events", dryrun: false }, "dryrun"],
    ["cleanup", { table: "events", dryRun: "false" }, "dryRun"],
    ["maintenance", [], "the whole body"],
    ["vacuum", { table: "events", full: 1 }, "full"],
    ["analyze", { table: "" }, "table"],
  ])("with a body that is not meant: %s %j", async (name, body, field) => {
    const answer = await service.ask(`${BASE}/${name}`, { body });
    refused(answer, "bad-request");
    const { error } = ErrorAnswer.parse(answer.json);
    expect(error.fields?.map((one) => one.field)).toEqual([field]);
  });

  test("with what is not JSON, too long, or asked twice", async () => {
    refused(await service.ask(`${BASE}/create`, { body: '{"table":' }), "bad-request");
    const form = { "content-type": "application/x-www-form-urlencoded" };
    refused(await service.ask(`${BASE}/maintenance`, { body: "dryRun=false", headers: form }), "not-json");
    const long = JSON.stringify({ table: "x".repeat(70_000) });
    refused(await service.ask(`${BASE}/create`, { body: long }), "body-too-large");
    // Without a length that says so beforehand.
    const chunked = await fetch(`${service.url}${BASE}/create`, {
      ...{ method: "POST", body: new Blob([long]).stream(), duplex: "half" },
      headers: { authorization: `Bearer ${TOKENS.write}`, "content-type": "application/json" },
    });
    expect(chunked.status).toBe(413);
    refused(await service.ask(`${BASE}/list?table=events&table=plain`), "bad-request");
    refused(await service.ask(`${BASE}/list?tabel=events`), "bad-request");
    refused(await service.ask(`${BASE}/create`, { body: { table: '"' } }), "bad-request");
  });

  test("with a host that is none", async () => {
    const { port } = new URL(service.url);
    const [status, text] = await new Promise<[number | undefined, string]>((resolve, reject) => {
      const asked = request({ port, host: "127.0.0.1", path: "/healthz", headers: { host: "no host" } });
      asked.on("error", reject).on("response", (answer) => {
        let said = "";
        answer.setEncoding("utf8").on("data", (piece: string) => {
          said += piece;
        });
        answer.on("end", () => resolve([answer.statusCode, said]));
      });
      asked.end();
    });
    expect([status, ErrorAnswer.parse(JSON.parse(text)).error.code]).toEqual([400, "bad-request"]);
  });

  test("while other maintenance is at work", async () => {
    const other = await db.session();
    await other.query(CARE_SQL.lock);
    const answer = await service.ask(`${BASE}/create`, { body: { table: "events" } });
    await other.query("SELECT pg_advisory_unlock_all()");
    refused(answer, "maintenance-busy");
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("beside a migration of the table", async () => {
    const { STORE_SQL } = await import("../../src/sync/store.js");
    await session.query(STORE_SQL.make);
    await session.query(
      "INSERT INTO partway.migration (id, phase, source_oid, plan) VALUES ('events_1', 'retain', 'public.events'::regclass, '{}')",
    );
    refused(await service.ask(`${BASE}/create`, { body: { table: "events" } }), "refused");
    await session.query("DELETE FROM partway.migration");
  });

  test("too often, or after too many wrong tokens", async () => {
    const few = await started(db.ownerUrl, { perMinute: 2 });
    try {
      expect((await few.ask(`${BASE}/status`)).status).toBe(200);
      expect((await few.ask(`${BASE}/status`)).status).toBe(200);
      const third = await few.ask(`${BASE}/status`);
      refused(third, "too-many-requests");
      expect(Number(third.headers.get("retry-after"))).toBeGreaterThan(0);
      // Another token has a bucket of its own.
      expect((await few.ask(`${BASE}/status`, { token: TOKENS.read })).status).toBe(200);
      for (let n = 0; n < 30; n++) await few.ask(`${BASE}/status`, { token: "guess" });
      refused(await few.ask(`${BASE}/status`, { token: "guess" }), "too-many-requests");
      // Who guesses does not shut out who knows.
      expect((await few.ask(`${BASE}/status`, { token: TOKENS.read })).status).toBe(200);
    } finally {
      await few.stop();
    }
  });

  test("while the database is away", async () => {
    const away = await started(
      "postgres://nobody@127.0.0.1:9/nowhere",
      { schedulerOff: "for this test" },
      null,
    );
    try {
      for (const name of ["health", "list", "status"])
        refused(await away.ask(`${BASE}/${name}`), "database-unreachable");
      refused(await away.ask(`${BASE}/create`, { body: { table: "events" } }), "database-unreachable");
      expect((await away.ask("/healthz", { token: null })).status).toBe(200);
      expect((await away.ask("/metrics")).text).toMatch(/^partway_database_up 0$/m);
    } finally {
      await away.stop();
    }
  });
});

describe("a page would lie, run what a table is called, or say a token", () => {
  const EVIL = '<img src=x onerror="alert(1)">';

  test("status page and metrics", async () => {
    await session.query(
      `CREATE TABLE public.${ident(EVIL)} (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at)`,
    );
    await adopt({ url: db.ownerUrl, tables: [ident(EVIL)], policy: { every: "month" } });
    const fresh = await started(db.ownerUrl, { schedulerOff: "ENABLE_PARTITION_MAINTENANCE=false" });
    try {
      const { status, headers, text } = await fresh.ask("/");
      expect(status).toBe(200);
      expect(headers.get("content-security-policy")).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; /,
      );
      expect(text).not.toContain("<img");
      expect(text).toContain("&lt;img src=x onerror=");
      expect(text).toContain("The scheduler is disabled: ENABLE_PARTITION_MAINTENANCE=false.");
      expect(text).toMatch(/public\.events.*HEALTHY/s);
      expect(text).not.toMatch(/https?:\/\/|<script/);
      const metrics = (await fresh.ask("/metrics", { token: TOKENS.read })).text;
      expect(metrics).toMatch(/^partway_table_status\{table="public\.events",status="HEALTHY"\} 1$/m);
      expect(metrics).toMatch(/^partway_table_partitions\{table="public\.events"\} 19$/m);
      expect(metrics).toMatch(
        /^partway_table_covered_until_timestamp_seconds\{table="public\.events"\} 1754006400$/m,
      );
      expect(metrics).toMatch(/^partway_scheduler_enabled 0$/m);
      expect(metrics).toMatch(/^partway_http_requests_total\{method="GET",route="\/",status="200"\} 1$/m);
    } finally {
      await fresh.stop();
    }
  });

  test("anything that is told", () => {
    const told = JSON.stringify(service.events);
    expect(told).toContain('"token":"ops"');
    for (const token of Object.values(TOKENS)) expect(told).not.toContain(token);
  });
});

test("a request would hold up the end, or be cut in two", async () => {
  const own = await started(db.ownerUrl);
  const other = await db.session();
  await other.begin();
  await other.query("LOCK TABLE public.events IN SHARE UPDATE EXCLUSIVE MODE");
  const waiting = own.ask(`${BASE}/create`, { body: { table: "events", monthsAhead: 8 } });
  await expect
    .poll(async () => (await session.query("SELECT FROM pg_locks WHERE NOT granted")).rows.length, {
      timeout: 30_000,
    })
    .toBeGreaterThan(0);
  const before = await leavesOf(session, "events");
  await own.stop();
  refused(await waiting, "stopping");
  await other.rollback();
  expect(await leavesOf(session, "events")).toEqual(before);
  await expect(own.ask("/healthz")).rejects.toThrow();
  expect(own.events.at(-1)).toEqual({ event: "stopped" });
});

test("a statement that takes for ever would hold up the end", async () => {
  await session.query("CREATE TABLE public.slowly (on_now boolean)");
  await session.query(`CREATE FUNCTION public.slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN IF EXISTS (SELECT FROM public.slowly) THEN PERFORM pg_catalog.pg_sleep(1000); END IF; RETURN $1; END $$`);
  await session.query("CREATE INDEX ON public.events_2024_06 (public.slow(note))");
  await session.query("INSERT INTO public.slowly VALUES (true)");
  const own = await started(db.ownerUrl);
  const working = own.ask(`${BASE}/analyze`, { body: { table: "events" } });
  const asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
  await expect.poll(async () => (await session.query(asleep)).rows.length, { timeout: 60_000 }).toBe(1);
  await own.stop();
  refused(await working, "stopping");
});

test("a refusal that nobody has seen", () => {
  // too-busy and unexpected: test/serve/limits.unit.test.ts and refusals.unit.test.ts.
  const missing = Object.keys(REFUSALS).filter((code) => !seen.has(code));
  expect(missing).toEqual(["unexpected", "too-busy"]);
});
