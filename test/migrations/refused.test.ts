/**
 * What is not carried is refused by name: exit code 3, nothing touched, and the remedy, where it is a statement, is run
 * as it stands and the plan passes afterwards.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { plan, run } from "../../src/api.js";
import { EXIT, PartwayError } from "../../src/errors.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { CASES, type Case, MONTHS, NOT_TABLES, T } from "./refused-cases.js";
import { lines } from "./shape.js";

let db: TestDatabase;
let session: Session;
let admin: Session;
let state: string;
beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  admin = await db.session(db.superuserUrl);
});
afterAll(() => db.drop());
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "partway-refused-"));
});
afterEach(async () => {
  await rm(state, { recursive: true, force: true });
  for (const name of await lines(admin, "SELECT quote_ident(pubname) AS line FROM pg_publication"))
    await admin.query(`DROP PUBLICATION ${name}`);
  await admin.query("DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE");
  await admin.query("DROP SCHEMA public CASCADE");
  await admin.query(`CREATE SCHEMA public AUTHORIZATION ${ident(db.role)}`);
});

/** Everything in the catalog that a migration could have touched. */
function catalog(): Promise<string[]> {
  return lines(
    admin,
    /*sql*/ `
    SELECT format('%s %s %s %s', oid, relname, relkind, relfilenode) AS line FROM pg_class WHERE oid > 16383
    UNION ALL SELECT format('trigger %s', tgname) FROM pg_trigger
    UNION ALL SELECT format('schema %s', nspname) FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)_'
    UNION ALL SELECT format('function %s', oid) FROM pg_proc WHERE oid > 16383 ORDER BY 1`,
  );
}

async function failure(work: Promise<unknown>): Promise<PartwayError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof PartwayError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** The statements in a remedy: what stands before a comment, in order. */
function statements(remedy: string): string[] {
  const text = remedy.replace(/--.*$/, "");
  return [...text.matchAll(/\b(?:ALTER|DROP|CREATE|REINDEX|GRANT|UPDATE|SECURITY)\b[^;]*;/g)].map(
    ([sql]) => sql,
  );
}

describe("a migration that begins would lose it", () => {
  const version = Number(inject("server").version) * 10_000;
  const known = ({ since = 0, before = Number.MAX_VALUE }: Case) => since <= version && version < before;
  test.each(CASES.filter(known))("$name", async (given) => {
    const on = given.superuser === true ? admin : session;
    for (const sql of given.setup) await on.query(sql);
    const [table = "t"] = await lines(
      admin,
      "SELECT relname AS line FROM pg_class WHERE relname IN ('t', 't_retired')",
    );
    if (given.superuser) await admin.query(`ALTER TABLE public.t OWNER TO ${ident(db.role)}`);
    const how = { table, url: db.ownerUrl, ...(given.options ?? MONTHS) };
    const before = await catalog();

    const made = await plan(how);
    const refusal = made.refusals.find((r) => r.code === given.code);
    expect(made.refusals.map((r) => r.code)).toContain(given.code);
    expect(refusal?.what).toMatch(given.names);

    const error = await failure(run({ ...how, state, backup: false }));
    expect(error.exitCode).toBe(EXIT.refused);
    expect(error.message).toMatch(given.names);
    expect(error.message).toContain(refusal?.remedy);
    expect(error.state).toBe("Nothing was touched.");
    expect(await catalog()).toEqual(before);
    expect(await readdir(state)).toEqual([]);

    const remedy = given.instead ?? made.refusals.flatMap((r) => statements(r.remedy));
    if (given.instead === undefined) expect(remedy.length).toBeGreaterThan(0);
    for (const sql of remedy) await on.query(sql);
    const after = await plan({
      ...how,
      table: "t",
      ...(given.after === undefined
        ? {}
        : { every: undefined, step: undefined, list: undefined, ...given.after }),
    });
    expect(after.refusals).toEqual([]);
  });
});

describe("what is no ordinary table would be copied as one", () => {
  test.each(NOT_TABLES)("$name", async ({ setup, is }) => {
    for (const sql of setup) await admin.query(sql);
    const before = await catalog();
    const error = await failure(run({ table: "t", url: db.superuserUrl, ...MONTHS, state, backup: false }));
    expect(error.exitCode).toBe(EXIT.refused);
    expect(error.message).toContain(is);
    expect(await catalog()).toEqual(before);
  });

  test("a leaf of another table", async () => {
    await session.query(
      "CREATE TABLE public.p (id int, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
    );
    await session.query("CREATE TABLE public.t PARTITION OF public.p DEFAULT");
    const made = await plan({ table: "t", url: db.ownerUrl, ...MONTHS });
    expect(made.refusals.map((r) => r.code)).toEqual(["inheritance-parent"]);
    for (const sql of statements(made.refusals[0]?.remedy ?? "")) await session.query(sql);
    expect((await plan({ table: "t", url: db.ownerUrl, ...MONTHS })).refusals).toEqual([]);
  });

  test("a temporary table, which only its session sees", async () => {
    await session.query("CREATE TEMPORARY TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL)");
    const error = await failure(run({ table: "t", url: db.ownerUrl, ...MONTHS, state, backup: false }));
    expect(error.exitCode).toBe(EXIT.badInput);
    expect(error.message).toContain("does not exist");
    await session.query("DROP TABLE pg_temp.t");
  });
});

test.skipIf(inject("server").version !== "18")(
  "a NOT NULL that is NOT VALID, and a CHECK that is NOT ENFORCED (18)",
  async () => {
    await session.query(T);
    await session.query(
      "ALTER TABLE public.t ADD CONSTRAINT n_there NOT NULL n NOT VALID, ADD CONSTRAINT soft CHECK (n > 0) NOT ENFORCED",
    );
    const made = await plan({ table: "t", url: db.ownerUrl, ...MONTHS });
    expect(made.refusals.map((r) => r.code).sort()).toEqual(["check-not-enforced", "other-dependent"]);
    for (const { remedy } of made.refusals) for (const sql of statements(remedy)) await session.query(sql);
    expect((await plan({ table: "t", url: db.ownerUrl, ...MONTHS })).refusals).toEqual([]);
  },
);

test("everything at once is named at once", async () => {
  await session.query("CREATE TABLE public.users (id int PRIMARY KEY)");
  await session.query(T);
  await session.query("CREATE TABLE public.child (t bigint REFERENCES public.t)");
  await session.query("CREATE VIEW public.v AS SELECT id, n FROM public.t GROUP BY id");
  await session.query("CREATE UNIQUE INDEX u ON public.t (n)");
  const error = await failure(run({ table: "t", url: db.ownerUrl, ...MONTHS, state, backup: false }));
  for (const code of ["incoming-foreign-key", "view-groups-by-key", "unique-without-partition-key"])
    expect(error.message).toContain(code);
});
