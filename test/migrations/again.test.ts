/** After the end: another attempt beside what a rollback left, the end of the window, and the way back before cutover. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { plan, proceed, run } from "../../src/api.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { leavesOf, lines, rowText, shapeOf, traces } from "./shape.js";

let db: TestDatabase;
let session: Session;
let state: string;
beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
  state = await mkdtemp(join(tmpdir(), "partway-again-"));
});
afterEach(async () => {
  await rm(state, { recursive: true, force: true });
  await db.drop();
});

const KEYS = [
  ["serial", "bigserial"],
  ["identity", "bigint GENERATED ALWAYS AS IDENTITY"],
] as const;

async function make(key: string): Promise<void> {
  await session.query(
    `CREATE TABLE public.t (id ${key} PRIMARY KEY, at timestamptz NOT NULL, note text CHECK (note <> ''))`,
  );
  await session.query("CREATE INDEX t_note ON public.t (note)");
  await session.query(
    "INSERT INTO public.t (at, note) SELECT '2026-07-02'::timestamptz + g * interval '6 hours', 'n' || g FROM generate_series(1, 400) g",
  );
}

const how = () => ({
  table: "t",
  by: "at",
  every: "month",
  ahead: "1",
  url: db.ownerUrl,
  state,
  backup: false as const,
});

async function ends(started: ReturnType<typeof run>, outcome: string): Promise<void> {
  const result = await (await started).finished;
  expect({ outcome: result.outcome, error: result.error?.message ?? null }).toEqual({ outcome, error: null });
}

async function rows(): Promise<string[]> {
  return lines(
    session,
    `SELECT ${await rowText(session, "public.t")} AS line FROM public.t AS t ORDER BY id`,
  );
}

describe("after a rollback", () => {
  test.each(KEYS)(
    "a second attempt would be refused, or collide with what is left of the first (%s)",
    async (_, key) => {
      await make(key);
      for (const attempt of [1, 2, 3]) {
        expect((await plan(how())).refusals).toEqual([]);
        await ends(run(how()), "retained");
        const leaves = (await leavesOf(session, "public.t")).map((leaf) => leaf.name);
        expect(leaves).toEqual(expect.arrayContaining(["t_2026_07", "t_2026_08", "t_2026_09", "t_2026_10"]));
        await session.query("INSERT INTO public.t (at, note) VALUES ('2026-08-02', $1)", [
          `attempt ${attempt}`,
        ]);
        if (attempt < 3) await ends(proceed("rollback", { url: db.ownerUrl, state }), "rolled-back");
      }
      await ends(proceed("finalize", { url: db.ownerUrl, state, force: "t" }), "done");
      expect(await traces(session)).toEqual([]);
      expect(
        await lines(
          session,
          "SELECT concat_ws(' ', count(*), count(DISTINCT id), max(note) FILTER (WHERE note LIKE 'att%')) AS line FROM public.t",
        ),
      ).toEqual(["403 403 attempt 3"]);
      await session.query("INSERT INTO public.t (at) VALUES ('2026-08-03')");
      expect(await lines(session, "SELECT count(DISTINCT id)::text AS line FROM public.t")).toEqual(["404"]);
    },
  );
});

describe("after the window", () => {
  test.each(KEYS)(
    "dropping the retired table would take the sequence, the defaults or rows with it (%s)",
    async (_, key) => {
      await make(key);
      const before = await rows();
      const { sequences, columns } = await shapeOf(session, "public.t");
      await ends(run(how()), "retained");
      await ends(proceed("finalize", { url: db.ownerUrl, state, force: "t" }), "done");
      expect(await traces(session)).toEqual([]);
      expect(await rows()).toEqual(before);
      const now = await shapeOf(session, "public.t");
      expect(now.sequences).toEqual(sequences);
      expect(now.columns).toEqual(columns);
      expect(now.triggers).toEqual([]);
      expect(
        await lines(session, "SELECT relname AS line FROM pg_class WHERE relname LIKE '%retired%'"),
      ).toEqual([]);
      await session.query("INSERT INTO public.t (at) VALUES ('2026-08-03')");
      expect(await lines(session, "SELECT max(id)::text AS line FROM public.t")).toEqual(["401"]);
      // In the new table nobody but its owner stands between the operator and DROP TABLE.
      await session.query("DROP TABLE public.t");
      expect(
        await lines(
          session,
          "SELECT relname AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        ),
      ).toEqual([]);
    },
  );
});

test("another table that takes its ids from this one's serial would stop, or both would give one id", async () => {
  await make("bigserial");
  await session.query("CREATE TABLE public.twin (id bigint DEFAULT nextval('public.t_id_seq'))");
  await ends(run(how()), "retained");
  await session.query("INSERT INTO public.twin DEFAULT VALUES");
  await session.query("INSERT INTO public.t (at) VALUES ('2026-08-03')");
  await ends(proceed("finalize", { url: db.ownerUrl, state, force: "t" }), "done");
  await session.query("INSERT INTO public.twin DEFAULT VALUES");
  expect(
    await lines(
      session,
      "SELECT string_agg(id::text, ' ' ORDER BY id) AS line FROM (SELECT id FROM public.twin UNION ALL SELECT max(id) FROM public.t) ids",
    ),
  ).toEqual(["401 402 403"]);
});

test.each(["shadow", "copy", "index", "validate"] as const)(
  "abort after %s would leave something behind",
  async (until) => {
    await make("bigint GENERATED ALWAYS AS IDENTITY");
    const before = { shape: await shapeOf(session, "public.t"), rows: await rows() };
    const relations =
      "SELECT concat_ws(' ', oid, relname, relfilenode) AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1";
    const catalog = await lines(session, relations);
    const stopped = await (await run({ ...how(), until })).finished;
    expect(stopped.exitCode).toBe(0);
    expect((await traces(session)).length).toBeGreaterThan(0);
    await ends(proceed("abort", { url: db.ownerUrl, state }), "aborted");
    expect(await traces(session)).toEqual([]);
    expect({ shape: await shapeOf(session, "public.t"), rows: await rows() }).toEqual(before);
    expect(await lines(session, relations)).toEqual(catalog);
  },
);
