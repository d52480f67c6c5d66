/** What a rehearsal finds stops the cutover until somebody accepts it: nobody is to learn of it from the application. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { proceed, type RunOptions, run } from "../../src/api.js";
import { EXIT } from "../../src/errors.js";
import { Session } from "../../src/pg/session.js";
import { acceptFindings, rehearse } from "../../src/rehearsal.js";
import { Journal } from "../../state/journal.js";
import { freshDatabase, type TestDatabase, targetOf } from "../support/database.js";
import { value } from "../support/migration.js";
import { startOwnServer } from "../support/server.js";

let db: TestDatabase;
let session: Session;
let dir: string;

const TABLE = `
CREATE TABLE public.orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, status text);
INSERT INTO public.orders SELECT n, '2025-01-01'::timestamptz + n * interval '3 hours', 'new' FROM generate_series(1, 2500) n;
ANALYZE public.orders`;

const LOOKUP = "SELECT * FROM orders WHERE id = $1";
const UPSERT = "INSERT INTO orders (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
const GOOD = "SELECT * FROM orders WHERE id = $1 AND created_at = $2";

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  dir = mkdtempSync(join(tmpdir(), "partway-gate-"));
  await session.query(TABLE);
});
afterEach(async () => {
  await db.drop();
  rmSync(dir, { recursive: true, force: true });
});

const where = () => ({ url: db.ownerUrl, state: join(dir, ".partway") });

function options(over: Partial<RunOptions> = {}): RunOptions {
  return {
    ...{ table: "orders", by: "created_at", every: "quarter", ahead: "0", backup: false },
    ...where(),
    ...over,
  };
}

function queries(...statements: string[]): string {
  const file = join(dir, "queries.sql");
  writeFileSync(file, statements.join(";\n"));
  return file;
}

const kind = () => value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.orders'::regclass");
const finished = async (running: Awaited<ReturnType<typeof run>>) => running.finished;

test("the cutover is refused, naming the statements, until each is accepted or mended", async () => {
  expect((await finished(await run(options({ until: "validate" })))).exitCode).toBe(EXIT.done);
  const file = queries(LOOKUP, UPSERT, GOOD);
  const report = await rehearse({ ...where(), file, worse: "2" });
  expect(report.statements.map(({ verdict }) => verdict)).toEqual(["worse", "breaks", "fine"]);
  expect(report.open).toEqual([1, 2]);
  await expect(proceed("cutover", where())).rejects.toMatchObject({
    exitCode: EXIT.refused,
    message: expect.stringMatching(/1 worse: SELECT[\s\S]*2 breaks: INSERT/),
  });
  await expect(acceptFindings({ ...where(), numbers: [1, 7] })).rejects.toMatchObject({
    exitCode: EXIT.badInput,
  });
  expect(await acceptFindings({ ...where(), numbers: [1] })).toMatchObject({ accepted: [1], open: [2] });
  // What was accepted stays so when the same is found again; what another file says is not forgotten.
  expect((await rehearse({ ...where(), file, worse: "2" })).open).toEqual([2]);
  const other = join(dir, "other.sql");
  writeFileSync(other, "COPY orders TO STDOUT");
  expect(await rehearse({ ...where(), file: other })).toMatchObject({
    open: [2, 3],
    statements: [{ n: 3, verdict: "breaks" }],
  });
  queries(LOOKUP, GOOD);
  expect((await rehearse({ ...where(), file, worse: "2" })).open).toEqual([3]);
  await expect(proceed("cutover", where())).rejects.toMatchObject({
    message: expect.stringContaining("3 breaks: COPY"),
  });
  expect(await kind()).toBe("r");
  const result = await finished(await proceed("cutover", { ...where(), accept: true }));
  expect(result).toMatchObject({ exitCode: EXIT.done, outcome: "retained" });
  expect(await kind()).toBe("p");
  await expect(rehearse({ ...where(), file, worse: "2" })).rejects.toMatchObject({ exitCode: EXIT.refused });
});

test("a run told to rehearse stops before its cutover, and goes on once that is accepted", async () => {
  const file = queries(UPSERT);
  const stopped = await finished(await run(options({ rehearse: { file } })));
  expect(stopped).toMatchObject({ exitCode: EXIT.refused, error: { kind: "refused" } });
  expect(stopped.error?.message).toContain("1 breaks: INSERT");
  expect(await kind()).toBe("r");
  expect((await finished(await proceed("resume", where()))).exitCode).toBe(EXIT.refused);
  await acceptFindings({ ...where(), numbers: "all" });
  expect((await finished(await proceed("resume", where()))).exitCode).toBe(EXIT.done);
  expect(await kind()).toBe("p");
});

test("a finding would hold up what is left of a cutover whose names are swapped already", async () => {
  const { migration: id, outcome } = await finished(await run(options()));
  expect(outcome).toBe("retained");
  // As a process leaves it that is killed between the swap's COMMIT and its next step.
  const at = new Date().toISOString();
  const journal = Journal.open(join(where().state, "journal.db"), "write");
  const snapshot = { value: "cutover", context: { from: "cutover" } };
  journal.transition({
    ...{ migration: id, from: "validate", to: "cutover", event: "DONE", snapshot, outcome: null },
    at,
  });
  journal.rehearsed(id, "queries.sql", {}, [{ n: 1, verdict: "breaks", statement: UPSERT, reason: "" }], at);
  journal.close();
  expect(await finished(await proceed("resume", where()))).toMatchObject({
    exitCode: EXIT.done,
    outcome: "retained",
  });
});

test("a rehearsal that must be made and cannot lets the run come to its cutover, and not through it", async () => {
  const file = join(dir, "none.sql");
  const logged: string[] = [];
  const ready = await run(
    options({
      until: "validate",
      rehearse: { file, required: true },
      onEvent: (e) => logged.push(e.event === "log" ? e.message : ""),
    }),
  );
  expect((await ready.finished).exitCode).toBe(EXIT.done);
  expect(logged.join()).toContain("not rehearsed");
  const refused = await finished(await proceed("cutover", where()));
  expect(refused).toMatchObject({ exitCode: EXIT.refused });
  expect(refused.error?.message).toContain("none.sql");
  expect(await kind()).toBe("r");
  expect((await rehearse({ ...where(), file: queries(GOOD) })).open).toEqual([]);
  expect((await finished(await proceed("cutover", where()))).exitCode).toBe(EXIT.done);
});

test("what the application has sent is found in pg_stat_statements, without Partway's own statements", async () => {
  const flags = ["-c", "shared_preload_libraries=pg_stat_statements"];
  const server = await startOwnServer(inject("server").version, { flags });
  const application = await Session.open(targetOf(server.superuserUrl));
  try {
    await application.query("CREATE EXTENSION pg_stat_statements SCHEMA public");
    await application.query(TABLE);
    const url = server.superuserUrl;
    await application.query("SET search_path = public");
    await application.query("SELECT pg_stat_statements_reset()");
    await application.query("SELECT count(*) FROM orders WHERE id = 7");
    await application.query(
      "SELECT extract(year FROM created_at) FROM orders WHERE created_at > now() - interval '1 day'",
    );
    await finished(await run(options({ url, until: "validate" })));
    const { statements, open } = await rehearse({ ...where(), url, worse: "2" });
    const found = statements.map(({ text, verdict }) => `${verdict}: ${text}`).toSorted();
    expect(found).toEqual([
      "fine: SELECT extract($1 FROM created_at) FROM orders WHERE created_at > now() - interval $2",
      "worse: SELECT count(*) FROM orders WHERE id = $1",
    ]);
    expect(open).toHaveLength(1);
    expect(statements.every(({ calls }) => calls === 1)).toBe(true);
  } finally {
    await application.end();
    await server.stop();
  }
});
