/** Every kind of key and name (DESIGN 3.1, 7.3), the whole way and back with changes at every step. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import { catchUpReverse } from "../../src/sync/reverse.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type MigrationOptions, planFor, SAME, startMigration } from "../support/migration.js";

let db: TestDatabase;
let app: Session;
beforeEach(async () => {
  db = await freshDatabase();
  app = await db.session();
});
afterEach(() => db.drop());

interface Kind {
  /** Makes the table with some hundred rows. */
  make: string;
  options: MigrationOptions;
  /** Statements that change rows, key and partition value; run in the copy, and again in each later phase. */
  changes: string[];
}

const UUID = (n: string) => `md5((${n})::text)::uuid`;

const KINDS: Record<string, Kind> = {
  "a key of two columns, of which the first repeats": {
    make: `CREATE TABLE public.orders (tenant int, no int, at timestamptz NOT NULL, note text, PRIMARY KEY (tenant, no));
      INSERT INTO public.orders SELECT n % 3, n, '2025-01-01+00'::timestamptz + n * interval '1 day', 'n' FROM generate_series(1, 300) n`,
    options: { by: "at", every: "quarter", ahead: "1" },
    changes: [
      "UPDATE public.orders SET note = note || '!' WHERE tenant = 1 AND no < 100",
      "UPDATE public.orders SET tenant = tenant + 3 WHERE no % 10 = 0",
      "UPDATE public.orders SET at = at + interval '1 month' WHERE no % 11 = 0 AND at < '2025-10-01+00'",
      "DELETE FROM public.orders WHERE no % 29 = 0",
    ],
  },
  "a key that holds the partition column": {
    make: `CREATE TABLE public.orders (id int, at date, note text, PRIMARY KEY (at, id));
      INSERT INTO public.orders SELECT n, '2025-01-01'::date + n, 'n' FROM generate_series(1, 300) n`,
    options: { by: "at", every: "month", ahead: "1" },
    changes: [
      "UPDATE public.orders SET at = at + 3 WHERE id % 5 = 0 AND at < '2025-10-01'",
      "UPDATE public.orders SET id = id + 1000 WHERE id % 7 = 0",
      "DELETE FROM public.orders WHERE id = 3",
      "INSERT INTO public.orders VALUES (3, '2025-07-07', 'again')",
    ],
  },
  "a uuid key, cut by hash": {
    make: `CREATE TABLE public.orders (id uuid PRIMARY KEY, note text);
      INSERT INTO public.orders SELECT ${UUID("n")}, 'n' || n FROM generate_series(1, 300) n`,
    options: { by: "id", hash: "4" },
    changes: [
      `UPDATE public.orders SET id = ${UUID("id::text || 'x'")} WHERE note LIKE '%7'`,
      "UPDATE public.orders SET note = NULL WHERE note LIKE '%3'",
      "DELETE FROM public.orders WHERE note LIKE '%12'",
    ],
  },
  "a text key with quotes, backslashes, commas and nothing at all, cut by list": {
    make: `CREATE TABLE public.orders (k text PRIMARY KEY, region text NOT NULL, note text);
      INSERT INTO public.orders VALUES ('', 'eu', 'empty'), ('it''s', 'us', ''), ('a\\b', 'eu', ''), ('{x,"y"}', 'us', ''),
        (E'two\\nlines', 'eu', ''), ('NULL', 'us', ''), ('(1,2)', 'o''hara', ''), ('ünï', 'eu', ''), ('a ', 'eu', ''), ('a', 'us', '')`,
    options: { by: "region", list: `eu,us,"o'hara"` },
    changes: [
      "UPDATE public.orders SET note = note || '!'",
      "UPDATE public.orders SET k = k || '\\' WHERE k <> '' AND length(k) < 40",
      "UPDATE public.orders SET region = CASE region WHEN 'eu' THEN 'us' ELSE 'eu' END WHERE region <> 'o''hara'",
      "UPDATE public.orders SET k = 'was empty ' || (SELECT count(*) FROM public.orders WHERE k LIKE 'was empty%') WHERE k = ''",
      "INSERT INTO public.orders VALUES ('', 'us', 'empty again')",
    ],
  },
  "odd names everywhere": {
    make: `CREATE SCHEMA "My Schema";
      CREATE TABLE "My Schema"."Odd""Name" ("Id" int, "select" timestamptz NOT NULL, "partway_seq x" text, "createdAt" int DEFAULT 1,
        CONSTRAINT "Odd""Key" PRIMARY KEY ("Id"));
      CREATE INDEX "Odd""Index" ON "My Schema"."Odd""Name" ("createdAt");
      INSERT INTO "My Schema"."Odd""Name" SELECT n, '2025-01-01+00'::timestamptz + n * interval '1 day' FROM generate_series(1, 300) n`,
    options: { table: `"My Schema"."Odd""Name"`, by: "select", every: "quarter", ahead: "1" },
    changes: [
      `UPDATE "My Schema"."Odd""Name" SET "createdAt" = "createdAt" + 1 WHERE "Id" % 3 = 0`,
      `UPDATE "My Schema"."Odd""Name" SET "Id" = "Id" + 1000 WHERE "Id" % 7 = 0`,
      `UPDATE "My Schema"."Odd""Name" SET "select" = "select" + interval '9 days' WHERE "Id" % 11 = 0 AND "select" < '2025-11-01+00'`,
      `DELETE FROM "My Schema"."Odd""Name" WHERE "Id" = 2`,
    ],
  },
  "a numeric key written 1.0 and then 1.00": {
    make: `CREATE TABLE public.orders (id numeric PRIMARY KEY, at timestamp NOT NULL, note text);
      INSERT INTO public.orders SELECT n + 0.0, '2025-01-01'::timestamp + n * interval '1 day', 'n' FROM generate_series(1, 300) n`,
    options: { by: "at", every: "quarter", ahead: "1" },
    changes: [
      "UPDATE public.orders SET id = id + 0.00 WHERE id < 100",
      "UPDATE public.orders SET id = round(id, 0) WHERE id < 50",
      "UPDATE public.orders SET id = id + 0.5 WHERE id > 250",
      "UPDATE public.orders SET id = trim_scale(id), note = NULL WHERE id BETWEEN 100 AND 110",
    ],
  },
  "a unique index for a key, and no primary key": {
    make: `CREATE TABLE public.orders (code varchar(20) NOT NULL, n int NOT NULL, note text);
      CREATE UNIQUE INDEX by_code ON public.orders (code);
      INSERT INTO public.orders SELECT 'code ' || n, n FROM generate_series(1, 300) n`,
    options: { by: "n", step: "100", ahead: "1" },
    changes: [
      "UPDATE public.orders SET note = 'x' WHERE n % 2 = 0",
      "UPDATE public.orders SET code = code || 'x' WHERE n % 9 = 0 AND length(code) < 18",
      "UPDATE public.orders SET n = n + 10 WHERE n % 13 = 0 AND n < 280",
    ],
  },
  "a blank-padded key and a domain": {
    make: `CREATE DOMAIN public.day AS date NOT NULL CHECK (VALUE > '2000-01-01');
      CREATE TABLE public.orders (code char(8) PRIMARY KEY, at public.day, note text);
      INSERT INTO public.orders SELECT 'c' || n, '2025-01-01'::date + n, 'n' FROM generate_series(1, 300) n;
      ALTER TABLE public.orders ALTER COLUMN at SET NOT NULL`,
    options: { by: "at", every: "quarter", ahead: "1" },
    changes: [
      "UPDATE public.orders SET note = 'x' WHERE code LIKE '%1'",
      "UPDATE public.orders SET code = left(code, 6) || 'z' WHERE code LIKE '%9_%'",
      "UPDATE public.orders SET at = at + 5 WHERE code LIKE '%3%' AND at < '2025-10-01'",
    ],
  },
  "an enum to cut by, an always-identity key, a generated column": {
    make: `CREATE TYPE public.state AS ENUM ('new', 'paid', 'done');
      CREATE TABLE public.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s public.state NOT NULL, a int,
        twice int GENERATED ALWAYS AS (a * 2) STORED);
      INSERT INTO public.orders (s, a) SELECT (ARRAY['new', 'paid', 'done'])[1 + n % 3]::public.state, n FROM generate_series(1, 300) n`,
    options: { by: "s", list: "new,paid,done" },
    changes: [
      "UPDATE public.orders SET a = a + 1 WHERE id % 4 = 0",
      "UPDATE public.orders SET s = 'done' WHERE s = 'paid' AND id % 3 = 1",
      "INSERT INTO public.orders (s, a) VALUES ('new', 7)",
      "DELETE FROM public.orders WHERE id = 8",
    ],
  },
  "keys that differ only in case, under a collation that calls them equal": {
    make: `CREATE COLLATION public.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE public.orders (k text COLLATE public.nocase PRIMARY KEY, at timestamptz NOT NULL, note text);
      INSERT INTO public.orders SELECT 'key ' || n, '2025-01-01+00'::timestamptz + n * interval '1 day' FROM generate_series(1, 300) n`,
    options: { by: "at", every: "quarter", ahead: "1" },
    changes: [
      "UPDATE public.orders SET k = upper(k) WHERE at < '2025-04-01+00'",
      "UPDATE public.orders SET note = 'x' WHERE at < '2025-02-01+00'",
      "UPDATE public.orders SET k = lower(k) WHERE at < '2025-02-01+00'",
      "UPDATE public.orders SET k = initcap(k) WHERE at < '2025-01-15+00'",
    ],
  },
};

describe("rows would be lost, doubled or stale with", () => {
  for (const [what, { make, options, changes }] of Object.entries(KINDS)) {
    test(what, async () => {
      await app.query(make);
      const m = await startMigration(db, options);
      const change = async () => {
        for (const sql of changes) await app.query(sql);
      };
      await m.run("shadow");
      m.before(/INSERT INTO partway\.ledger/, change);
      await m.run("copy", { batchBlocks: 1 });
      expect((await m.log()).length).toBeGreaterThan(0);
      await m.run("index");
      expect(await m.difference()).toEqual(SAME);
      await change();
      expect((await m.log()).length).toBeGreaterThan(0);
      await m.run("ready");
      expect(await m.difference()).toEqual(SAME);
      await m.through("cutover");
      await change();
      expect((await m.log("reverse")).length).toBeGreaterThan(0);
      const context = m.context();
      await catchUpReverse(await context.open(), context).finally(() => context.close());
      expect(await m.difference("reverse")).toEqual(SAME);
      await m.run("rollback");
      await change();
    });
  }
});

test("a table without a key would be migrated, and its rows mixed up", async () => {
  await app.query("CREATE TABLE public.orders (id int UNIQUE, at timestamptz NOT NULL)");
  const { refusals, shadowDdl } = await planFor(app, { by: "at", every: "month" });
  expect(refusals.map((r) => r.code)).toContain("no-key");
  expect(refusals.find((r) => r.code === "no-key")?.remedy).toMatch(/NOT NULL/);
  expect(shadowDdl).toEqual([]);
});
