import { afterAll, beforeAll, expect, test } from "vitest";
import { readTable } from "../../src/catalog/read.js";
import type { TableInfo } from "../../src/catalog/types.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;
let table: TableInfo;

beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  await session.query(`
    CREATE SCHEMA "Sch";
    CREATE TYPE "Sch"."Mood" AS ENUM ('sad', 'happy');
    CREATE TYPE "Sch".pair AS (a int, b json);
    CREATE DOMAIN "Sch".amount AS numeric(10,2) CHECK (VALUE >= 0);
    CREATE DOMAIN "Sch".deep AS "Sch".amount;
    CREATE TABLE "Sch"."Odd""Name" (
      gone_first int,
      id bigint GENERATED ALWAYS AS IDENTITY (START WITH 5 INCREMENT BY 5) PRIMARY KEY,
      "orderNo" serial,
      gone text,
      "createdAt" timestamptz NOT NULL DEFAULT now(),
      note varchar(20) COLLATE "C" DEFAULT E'it''s',
      amount "Sch".deep,
      mood "Sch"."Mood",
      doc jsonb, raw json, parts "Sch".pair, tags text[], docs json[], span tstzrange,
      doubled int GENERATED ALWAYS AS (extract(epoch FROM interval '1 second')::int * 2) STORED,
      CONSTRAINT "Positive" CHECK (id > 0),
      CONSTRAINT later CHECK (note <> 'x') NO INHERIT
    ) WITH (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false);
    ALTER TABLE "Sch"."Odd""Name" DROP COLUMN gone_first, DROP COLUMN gone,
      ADD CONSTRAINT unchecked CHECK ("orderNo" < 1000000) NOT VALID,
      ALTER note SET STATISTICS 500, ALTER note SET (n_distinct = 100), ALTER doc SET STORAGE external,
      ALTER tags SET COMPRESSION pglz, REPLICA IDENTITY FULL, ENABLE ROW LEVEL SECURITY;
    COMMENT ON TABLE "Sch"."Odd""Name" IS 'the ''odd'' one';
    COMMENT ON COLUMN "Sch"."Odd""Name"."createdAt" IS 'when';
    COMMENT ON CONSTRAINT "Positive" ON "Sch"."Odd""Name" IS 'above zero';
    COMMENT ON SEQUENCE "Sch"."Odd""Name_orderNo_seq" IS 'numbers';
    INSERT INTO "Sch"."Odd""Name" (note) SELECT 'n' FROM generate_series(1, 500);
    ANALYZE "Sch"."Odd""Name";
  `);
  table = await readTable(session, '"Sch"."Odd""Name"');
});
afterAll(() => db.drop());

const column = (name: string) => {
  const found = table.columns.find((c) => c.name === name);
  if (found === undefined) throw new Error(`no column ${name}`);
  return found;
};

test("the table's own facts would be lost on the way to the new table", async () => {
  expect(table).toMatchObject({
    database: db.name,
    schema: "Sch",
    name: 'Odd"Name',
    kind: "r",
    persistence: "p",
    owner: db.role,
    options: ["fillfactor=70", "autovacuum_enabled=false"],
    toastOptions: ["autovacuum_enabled=false"],
    tablespace: null,
    replicaIdentity: "f",
    rowSecurity: true,
    forceRowSecurity: false,
    ofType: null,
    comment: "the 'odd' one",
    estimatedRows: 500,
    grants: null,
    columnGrants: [],
  });
  expect(Math.floor(table.serverVersion / 10000)).toBe(Number(db.version));
  const { rows } = await session.query(
    `SELECT pg_relation_filenode(oid) AS node, oid FROM pg_class WHERE relname = 'Odd"Name'`,
  );
  expect({ node: table.filenode, oid: table.oid }).toEqual(rows[0]);
  expect(table.heapBytes).toBe(table.blocks * 8192);
  expect(table.blocks).toBeGreaterThan(0);
  expect(table.indexBytes).toBe(table.indexes[0]?.sizeBytes);
  expect(table.accessMethod).toBeUndefined();
});

test("a new name would collide with a relation or a type of the schema", () => {
  expect(table.namesInSchema).toEqual(
    expect.arrayContaining(['Odd"Name', 'Odd"Name_pkey', 'Odd"Name_orderNo_seq', "Mood", "pair", "amount"]),
  );
});

test("dropped columns would be copied, or the order of the others changed", () => {
  expect(table.columns.map((c) => c.name)).toEqual(
    "id orderNo createdAt note amount mood doc raw parts tags docs span doubled".split(" "),
  );
  expect(column("id").attnum).toBe(2);
});

test("a column's definition would be carried over incompletely", () => {
  expect(column("id")).toMatchObject({ type: "bigint", notNull: true, identity: "always", default: null });
  expect(column("orderNo")).toMatchObject({
    default: `nextval('"Sch"."Odd""Name_orderNo_seq"'::regclass)`,
    identity: null,
  });
  expect(column("createdAt")).toMatchObject({
    type: "timestamp with time zone",
    baseType: "pg_catalog.timestamptz",
    default: "now()",
    collation: null,
    comment: "when",
  });
  expect(column("note")).toMatchObject({
    type: "character varying(20)",
    default: "'it''s'::character varying",
    collation: 'pg_catalog."C"',
    statistics: 500,
    options: ["n_distinct=100"],
  });
  expect(column("amount")).toMatchObject({
    type: '"Sch".deep',
    baseType: "pg_catalog.numeric",
    typeKind: "b",
    typeCategory: "N",
    statistics: null,
    options: [],
  });
  expect(column("mood")).toMatchObject({ type: '"Sch"."Mood"', baseType: "Sch.Mood", typeKind: "e" });
  expect(column("parts")).toMatchObject({ typeKind: "c", typeCategory: "C" });
  expect(column("doubled").generated).toBe("stored");
  expect(column("doubled").default).toContain("* 2");
  expect(column("doc").storage).toBe("external");
  expect(column("tags").compression).toBe("pglz");
  expect(column("note").storage).toBeUndefined();
  expect(column("note").compression).toBeUndefined();
});

test("check constraints would be lost, or re-created with another meaning", () => {
  expect(table.checks).toEqual([
    {
      name: "Positive",
      definition: "CHECK ((id > 0))",
      validated: true,
      noInherit: false,
      comment: "above zero",
    },
    {
      name: "later",
      definition: "CHECK (((note)::text <> 'x'::text)) NO INHERIT",
      validated: true,
      noInherit: true,
    },
    {
      name: "unchecked",
      definition: 'CHECK (("orderNo" < 1000000)) NOT VALID',
      validated: false,
      noInherit: false,
    },
  ]);
});

test("a sequence would restart at 1 or stay behind with the old table", () => {
  expect(table.sequences).toEqual([
    {
      schema: "Sch",
      name: 'Odd"Name_id_seq',
      column: "id",
      kind: "identity",
      grants: [],
      increment: "5",
      definition: "INCREMENT BY 5 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 5 CACHE 1 NO CYCLE",
      lastValue: "2500",
      isCalled: true,
    },
    {
      schema: "Sch",
      name: 'Odd"Name_orderNo_seq',
      column: "orderNo",
      kind: "serial",
      grants: [],
      increment: "1",
      definition: "INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 START WITH 1 CACHE 1 NO CYCLE",
      comment: "numbers",
      lastValue: "500",
      isCalled: true,
    },
  ]);
});

test("on 18, a virtual column and a NOT NULL not yet valid", async () => {
  if (db.version !== "18") {
    expect(table.columns.every((c) => c.notNullName === undefined)).toBe(true);
    return;
  }
  await session.query(`
    CREATE TABLE public.new18 (id int CONSTRAINT "must be" NOT NULL, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL,
      maybe int, CONSTRAINT soft CHECK (id > 0) NOT ENFORCED);
    ALTER TABLE public.new18 ADD CONSTRAINT maybe_nn NOT NULL maybe NOT VALID;`);
  const found = await readTable(session, "new18");
  expect(found.columns.map((c) => [c.name, c.notNull, c.notNullName, c.generated])).toEqual([
    ["id", true, "must be", null],
    ["twice", false, undefined, "virtual"],
    ["maybe", false, "maybe_nn", null],
  ]);
  expect(found.checks[0]?.definition).toBe("CHECK ((id > 0)) NOT ENFORCED");
  expect(found.dependents).toEqual([
    { kind: "other", name: "not-null constraint maybe_nn", detail: "NOT NULL maybe NOT VALID" },
  ]);
});
