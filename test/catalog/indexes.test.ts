import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { readTable } from "../../src/catalog/read.js";
import type { IndexInfo } from "../../src/catalog/types.js";
import { qualified } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import { atLeast } from "../support/versions.js";

/** NULLS NOT DISTINCT came with 15. */
const NULLS = atLeast(inject("server").version, "15");

let db: TestDatabase;
let session: Session;
let indexes: Map<string, IndexInfo>;

beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  await asAdmin(db.superuserUrl, (admin) => admin.query("CREATE EXTENSION btree_gist SCHEMA public"));
  await session.query(`
    CREATE SCHEMA "Sch USING x";
    CREATE TABLE "Sch USING x"."T USING btree" (
      gone int, id int PRIMARY KEY, "aB" int, note text, doc jsonb, span int4range, code text COLLATE "C", r int,
      CONSTRAINT "Uniq" UNIQUE ("aB", r) INCLUDE (note) DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT excl EXCLUDE USING gist ("aB" WITH =, span WITH &&));
    ALTER TABLE "Sch USING x"."T USING btree" DROP COLUMN gone;
    CREATE INDEX expr ON "Sch USING x"."T USING btree" (lower(note), "aB");
    CREATE INDEX part ON "Sch USING x"."T USING btree" ("aB") WHERE r IS NOT NULL AND note <> ' USING ';
    CREATE UNIQUE INDEX incl ON "Sch USING x"."T USING btree" (id) INCLUDE (note, "aB") WITH (fillfactor = 70);
    CREATE INDEX " ON ONLY ""q""" ON "Sch USING x"."T USING btree" USING gin (doc jsonb_path_ops);
    CREATE INDEX down ON "Sch USING x"."T USING btree" (r DESC NULLS LAST);
    CREATE INDEX ops ON "Sch USING x"."T USING btree" (note text_pattern_ops);
    CREATE INDEX coll ON "Sch USING x"."T USING btree" (note COLLATE "C");
    CREATE INDEX own_coll ON "Sch USING x"."T USING btree" (code);
    CREATE INDEX br ON "Sch USING x"."T USING btree" USING brin (r) WITH (pages_per_range = 16);
    CREATE UNIQUE INDEX nulls ON "Sch USING x"."T USING btree" (r)${NULLS ? " NULLS NOT DISTINCT" : ""};
    CREATE UNIQUE INDEX broken ON "Sch USING x"."T USING btree" (code);
    COMMENT ON INDEX "Sch USING x".expr IS 'for search';
    CLUSTER "Sch USING x"."T USING btree" USING down;
    ALTER TABLE "Sch USING x"."T USING btree" REPLICA IDENTITY USING INDEX "T USING btree_pkey";
  `);
  await asAdmin(db.superuserUrl, (admin) =>
    admin.query(
      "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"Sch USING x\".broken'::regclass",
    ),
  );
  const table = await readTable(session, '"Sch USING x"."T USING btree"');
  indexes = new Map(table.indexes.map((i) => [i.name, i]));
});
afterAll(() => db.drop());

test.each<[string, Partial<IndexInfo>]>([
  [
    "T USING btree_pkey",
    {
      tail: " USING btree (id)",
      primary: true,
      unique: true,
      plain: true,
      columns: ["id"],
      replicaIdentity: true,
      constraint: {
        name: "T USING btree_pkey",
        kind: "p",
        deferrable: false,
        definition: "PRIMARY KEY (id)",
      },
    },
  ],
  [
    "Uniq",
    {
      tail: ' USING btree ("aB", r) INCLUDE (note)',
      columns: ["aB", "r"],
      include: ["note"],
      constraint: {
        name: "Uniq",
        kind: "u",
        deferrable: true,
        definition: 'UNIQUE ("aB", r) INCLUDE (note) DEFERRABLE INITIALLY DEFERRED',
      },
    },
  ],
  [
    "excl",
    {
      tail: ' USING gist ("aB", span)',
      method: "gist",
      unique: false,
      constraint: {
        name: "excl",
        kind: "x",
        deferrable: false,
        definition: 'EXCLUDE USING gist ("aB" WITH =, span WITH &&)',
      },
    },
  ],
  [
    "expr",
    { tail: ' USING btree (lower(note), "aB")', columns: [null, "aB"], plain: false, comment: "for search" },
  ],
  [
    "part",
    {
      tail: ` USING btree ("aB") WHERE ((r IS NOT NULL) AND (note <> ' USING '::text))`,
      partial: true,
      plain: true,
    },
  ],
  [
    "incl",
    {
      tail: ` USING btree (id) INCLUDE (note, "aB") WITH (fillfactor='70')`,
      include: ["note", "aB"],
      options: ["fillfactor=70"],
      constraint: null,
      plain: true,
    },
  ],
  [' ON ONLY "q"', { tail: " USING gin (doc jsonb_path_ops)", method: "gin", plain: false }],
  ["down", { tail: " USING btree (r DESC NULLS LAST)", plain: false, clustered: true }],
  ["ops", { tail: " USING btree (note text_pattern_ops)", plain: false }],
  ["coll", { tail: ' USING btree (note COLLATE "C")', plain: false }],
  ["own_coll", { tail: " USING btree (code)", plain: true, clustered: false }],
  [
    "br",
    { tail: " USING brin (r) WITH (pages_per_range='16')", method: "brin", options: ["pages_per_range=16"] },
  ],
  [
    "nulls",
    { tail: ` USING btree (r)${NULLS ? " NULLS NOT DISTINCT" : ""}`, nullsNotDistinct: NULLS, valid: true },
  ],
  ["broken", { tail: " USING btree (code)", valid: false, nullsNotDistinct: false, tablespace: null }],
])("index %s would be rebuilt as another index, or not at all", (name, expected) => {
  expect(indexes.get(name)).toMatchObject(expected);
  expect(indexes.get(name)?.replicaIdentity).toBe(expected.replicaIdentity);
});

test("an index would be left out, or the primary key not found first", () => {
  expect(indexes.size).toBe(14);
  expect([...indexes.keys()][0]).toBe("T USING btree_pkey");
});

test("a tail would not build the same index on another table", async () => {
  await session.query('CREATE TABLE "Sch USING x".leaf (LIKE "Sch USING x"."T USING btree")');
  for (const [i, index] of [...indexes.values()].entries())
    await session.query(
      `CREATE ${index.unique ? "UNIQUE " : ""}INDEX leaf_${i} ON ${qualified("Sch USING x", "leaf")}${index.tail}`,
    );
  const leaf = await readTable(session, '"Sch USING x".leaf');
  const tails = (all: Iterable<IndexInfo>) => [...all].map((i) => i.tail).sort();
  expect(tails(leaf.indexes)).toEqual(tails(indexes.values()));
});

test("the index of a partitioned table would keep the beginning of its definition", async () => {
  await session.query(`CREATE TABLE public.p (id int) PARTITION BY RANGE (id);
    CREATE TABLE public.p_1 PARTITION OF public.p FOR VALUES FROM (1) TO (9);
    CREATE INDEX p_id ON ONLY public.p (id)`);
  const [index] = (await readTable(session, "p")).indexes;
  expect(index).toMatchObject({ tail: " USING btree (id)", valid: false });
});
