import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { readTable } from "../../src/catalog/read.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import { atLeast } from "../support/versions.js";

let db: TestDatabase;
let session: Session;

beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterAll(() => db.drop());

/** `kind: name | detail` of everything that hangs on the table, as found now. */
async function hanging(table: string): Promise<string[]> {
  const { dependents } = await readTable(session, table);
  return dependents.map((d) => `${d.kind}: ${d.name} | ${d.detail}`);
}

const admin = (sql: string) => asAdmin(db.superuserUrl, (s) => s.query(sql));

test("a table on which nothing hangs would be refused", async () => {
  await session.query(`CREATE SCHEMA bare; CREATE TABLE bare.t (
    id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, note text UNIQUE DEFAULT 'x', CHECK (id > 0),
    doc jsonb, twice int GENERATED ALWAYS AS (id * 2) STORED);
    CREATE INDEX ON bare.t (lower(note)) WHERE note IS NOT NULL;
    COMMENT ON TABLE bare.t IS 'bare'; GRANT SELECT ON bare.t TO PUBLIC;`);
  expect(await hanging("bare.t")).toEqual([]);
});

test("Partway's own triggers would be taken for the application's", async () => {
  await session.query(`CREATE SCHEMA ours; CREATE TABLE ours.t (id int);
    CREATE FUNCTION ours.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER partway_forward AFTER INSERT ON ours.t FOR EACH ROW EXECUTE FUNCTION ours.f();
    CREATE TRIGGER partwayx AFTER INSERT ON ours.t FOR EACH ROW EXECUTE FUNCTION ours.f();`);
  expect((await hanging("ours.t")).map((line) => line.split(" | ")[0])).toEqual(["trigger: partwayx"]);
});

test("a foreign key, trigger, rule, view, policy or function would be left behind unnoticed", async () => {
  await session.query(`
    CREATE SCHEMA "S"; CREATE TABLE "S".owners (id int PRIMARY KEY);
    CREATE TABLE "S"."T" (id int PRIMARY KEY, "Owner" int CONSTRAINT to_owner REFERENCES "S".owners ON DELETE CASCADE,
      parent int CONSTRAINT to_self REFERENCES "S"."T", total numeric);
    CREATE TABLE "S".items (t_id int CONSTRAINT "to T" REFERENCES "S"."T" (id));
    CREATE TABLE "S".items_p (t_id int CONSTRAINT p_to_t REFERENCES "S"."T") PARTITION BY RANGE (t_id);
    CREATE TABLE "S".items_p1 PARTITION OF "S".items_p FOR VALUES FROM (1) TO (9);
    CREATE FUNCTION "S".trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER "Audit" AFTER UPDATE OF total ON "S"."T" FOR EACH ROW EXECUTE FUNCTION "S".trg('a b');
    CREATE CONSTRAINT TRIGGER from_items AFTER INSERT ON "S".items FROM "S"."T" FOR EACH ROW EXECUTE FUNCTION "S".trg();
    CREATE RULE no_delete AS ON DELETE TO "S"."T" DO INSTEAD NOTHING;
    CREATE RULE "copy" AS ON INSERT TO "S".items DO ALSO UPDATE "S"."T" SET total = 1;
    CREATE VIEW "S"."V" AS SELECT id, "Owner" FROM "S"."T";
    CREATE VIEW "S".grouped AS SELECT t.*, count(*) FROM "S"."T" t GROUP BY id;
    CREATE VIEW "S".indirect AS SELECT * FROM "S"."V";
    CREATE VIEW "S".literal AS SELECT '"S"."T"'::regclass AS t;
    CREATE MATERIALIZED VIEW "S".mat AS SELECT sum(total) FROM "S"."T";
    CREATE POLICY p_own ON "S"."T" FOR UPDATE USING (id > 1) WITH CHECK (id > 2);
    CREATE POLICY p_other ON "S".items USING (EXISTS (SELECT FROM "S"."T" t WHERE t.id = t_id));
    CREATE FUNCTION "S".body(i int) RETURNS numeric LANGUAGE sql BEGIN ATOMIC SELECT total FROM "S"."T" WHERE id = i; END;
    CREATE FUNCTION "S".as_text() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM "S"."T"';
    CREATE STATISTICS "S".stats ON id, total FROM "S"."T";
  `);
  expect(await hanging('"S"."T"')).toEqual(
    [
      'extended-statistics: "S".stats | CREATE STATISTICS "S".stats ON id, total FROM "S"."T"',
      'function: "S".body(integer) | reads id, total',
      'incoming-foreign-key: "to T" on "S".items | FOREIGN KEY (t_id) REFERENCES "S"."T"(id)',
      'incoming-foreign-key: p_to_t on "S".items_p | FOREIGN KEY (t_id) REFERENCES "S"."T"(id)',
      'incoming-foreign-key: to_self on "S"."T" | FOREIGN KEY (parent) REFERENCES "S"."T"(id)',
      'materialized-view: "S".mat | reads total',
      'outgoing-foreign-key: to_owner | FOREIGN KEY ("Owner") REFERENCES "S".owners(id) ON DELETE CASCADE',
      'outgoing-foreign-key: to_self | FOREIGN KEY (parent) REFERENCES "S"."T"(id)',
      'policy: p_other on "S".items | reads id',
      "policy: p_own | permissive update using ((id > 1)) with check ((id > 2))",
      'rule: copy on "S".items | reads total',
      'rule: no_delete | CREATE RULE no_delete AS\n    ON DELETE TO "S"."T" DO INSTEAD NOTHING;',
      'trigger: Audit | CREATE TRIGGER "Audit" AFTER UPDATE OF total ON "S"."T" FOR EACH ROW EXECUTE FUNCTION "S".trg(\'a b\')',
      'trigger: from_items on "S".items | CREATE CONSTRAINT TRIGGER from_items AFTER INSERT ON "S".items FROM "S"."T" NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION "S".trg()',
      'view: "S"."V" | reads "Owner", id',
      'view: "S".grouped | reads "Owner", id, parent, total',
      'view: "S".literal | refers to the table',
    ].sort(),
  );
});

test("something that uses the row type would keep the old table's type alive", async () => {
  await session.query(`
    CREATE SCHEMA rt; CREATE TABLE rt.t (id int);
    CREATE TABLE rt.holder (one rt.t, many rt.t[]);
    CREATE TYPE rt.wrapper AS (inner_row rt.t);
    CREATE DOMAIN rt.dom AS rt.t;
    CREATE FUNCTION rt.takes(rt.t) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
    CREATE FUNCTION rt.gives() RETURNS SETOF rt.t LANGUAGE sql BEGIN ATOMIC SELECT * FROM rt.t; END;
    CREATE FUNCTION rt.eq(rt.t, rt.t) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE OPERATOR rt.=== (LEFTARG = rt.t, RIGHTARG = rt.t, FUNCTION = rt.eq);
    CREATE CAST (rt.t AS int) WITH FUNCTION rt.takes(rt.t);
    CREATE TABLE rt.checks (r regclass CHECK (r <> 'rt.t'::regclass) DEFAULT 'rt.t'::regclass);
    CREATE INDEX idx ON rt.checks ((r = 'rt.t'::regclass));
  `);
  const found = await hanging("rt.t");
  const uses = "uses the row type of the table";
  expect(found).toEqual(
    expect.arrayContaining([
      `other: table column rt.holder.one | ${uses}`,
      `other: table column rt.holder.many | ${uses}`,
      `other: composite type column rt.wrapper.inner_row | ${uses}`,
      `other: type rt.dom | ${uses}`,
      `other: function rt.takes(rt.t) | ${uses}`,
      `other: function rt.gives() | ${uses}`,
      "function: rt.gives() | reads id",
      `other: operator rt.===(rt.t,rt.t) | ${uses}`,
      `other: cast (rt.t AS integer) | ${uses}`,
      "other: table constraint checks_r_check on rt.checks | refers to the table",
      "other: default value for rt.checks.r | refers to the table",
      "other: index rt.idx | refers to the table",
    ]),
  );
  expect(found).toHaveLength(13);
  expect(found).toContain(`other: function rt.eq(rt.t,rt.t) | ${uses}`);
});

test("another table's default would go unnoticed, or not be told from one that uses the table itself", async () => {
  await session.query(`CREATE SCHEMA sq; CREATE TABLE sq.t (id serial);
    CREATE TABLE sq.second (id int DEFAULT nextval('sq.t_id_seq'));
    CREATE VIEW sq.peek AS SELECT last_value FROM sq.t_id_seq;`);
  expect(await hanging("sq.t")).toEqual([
    "other: default value for sq.second.id | uses the serial sequence of the table",
    "view: sq.peek | reads last_value",
  ]);
});

test("inheritance and partition parents and children would be cut off", async () => {
  await session.query(`CREATE SCHEMA ih; CREATE TABLE ih.top (id int); CREATE TABLE ih.mid () INHERITS (ih.top);
    CREATE TABLE ih.low () INHERITS (ih.mid);
    CREATE TABLE ih.parted (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
    CREATE TABLE ih.leaf PARTITION OF ih.parted FOR VALUES FROM (1) TO (9);
    CREATE INDEX ON ih.parted (note);
    CREATE VIEW ih.of_leaf AS SELECT id FROM ih.leaf;
    CREATE FUNCTION ih.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER once AFTER INSERT ON ih.parted FOR EACH ROW EXECUTE FUNCTION ih.f();`);
  expect(await hanging("ih.mid")).toEqual([
    "inheritance-child: ih.low | inherits from the table",
    "inheritance-parent: ih.top | the table inherits from it",
  ]);
  expect(await hanging("ih.leaf")).toContain("inheritance-parent: ih.parted | the table is its partition");
  expect((await hanging("ih.parted")).map((line) => line.split(" | ")[0])).toEqual([
    "trigger: once",
    "view: ih.of_leaf",
  ]);
});

test("a subscriber would stop on a relation it does not know, or see no more changes", async () => {
  // Schemas, column lists and row filters came with 15.
  const since15 = atLeast(db.version, "15");
  await session.query(`CREATE SCHEMA pb; CREATE TABLE pb.t (id int PRIMARY KEY); CREATE TABLE pb.u (id int);
    CREATE UNLOGGED TABLE pb.quick (id int);
    CREATE PUBLICATION "by Table" FOR TABLE pb.t${since15 ? " (id) WHERE (id > 1)" : ""};`);
  await admin(
    `CREATE PUBLICATION everything FOR ALL TABLES;
    ${since15 ? "CREATE PUBLICATION by_schema FOR TABLES IN SCHEMA pb;" : ""}
    CREATE SUBSCRIPTION "in" CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false);
    INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
      SELECT oid, 'pb.u'::regclass, 'i' FROM pg_subscription WHERE subname = 'in';`.replace(
      "INSERT INTO",
      "SET allow_system_table_mods = on; INSERT INTO",
    ),
  );
  try {
    const all = [
      ...(since15 ? ["publication: by_schema | for tables in schema pb"] : []),
      "publication: everything | for all tables",
    ];
    expect(await hanging("pb.t")).toEqual(["publication: by Table | for the table", ...all].sort());
    expect(await hanging("pb.u")).toEqual(['other: subscription "in" | writes to the table', ...all]);
    expect(await hanging("pb.quick")).toEqual([]);
  } finally {
    await admin(`ALTER SUBSCRIPTION "in" SET (slot_name = NONE)`);
    await admin(`DROP SUBSCRIPTION "in"`);
    await admin(`DROP PUBLICATION everything${since15 ? ", by_schema" : ""}`);
  }
});

test("a security label, an extension or an exclusion constraint would be lost", async () => {
  await admin("CREATE EXTENSION btree_gist SCHEMA public");
  await session.query(`CREATE SCHEMA ex; CREATE TABLE ex.t (id int, span int4range,
      CONSTRAINT no_overlap EXCLUDE USING gist (id WITH =, span WITH &&));
    CREATE INDEX ex_idx ON ex.t (id); CREATE TABLE ex.member (id int);
    CREATE FUNCTION ex.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER trg AFTER INSERT ON ex.t FOR EACH ROW EXECUTE FUNCTION ex.f();`);
  await admin(`ALTER EXTENSION btree_gist ADD TABLE ex.member;
    ALTER INDEX ex.ex_idx DEPENDS ON EXTENSION btree_gist; ALTER TRIGGER trg ON ex.t DEPENDS ON EXTENSION btree_gist;
    SET allow_system_table_mods = on;
    INSERT INTO pg_seclabel VALUES ('ex.t'::regclass, 'pg_class'::regclass, 1, 'dummy', 'secret');`);
  expect(await hanging("ex.t")).toEqual([
    "exclusion-constraint: no_overlap | EXCLUDE USING gist (id WITH =, span WITH &&)",
    "extension: btree_gist | index ex.ex_idx depends on it",
    "extension: btree_gist | trigger trg on ex.t depends on it",
    "security-label: dummy | secret on ex.t.id",
    expect.stringMatching(/^trigger: trg \| /),
  ]);
  expect(await hanging("ex.member")).toEqual(["extension: btree_gist | table ex.member is a member of it"]);
});

test("an application role that may not see the dependents' schemas would be told there are none", async () => {
  const name = `low_${db.role}`;
  await admin(`CREATE ROLE ${ident(name)} LOGIN PASSWORD 'x'`);
  try {
    await session.query(`CREATE SCHEMA lo; CREATE TABLE lo.t (id int); CREATE VIEW lo.v AS SELECT id FROM lo.t;
      CREATE POLICY p ON lo.t USING (id > 0)`);
    const url = new URL(db.ownerUrl);
    url.username = name;
    url.password = "x";
    const low = await db.session(url.href);
    const { dependents } = await readTable(low, "lo.t");
    expect(dependents.map((d) => `${d.kind} ${d.name}`)).toEqual(["policy p", "view lo.v"]);
    await low.end();
  } finally {
    await asAdmin(inject("server").superuserUrl, (s) => s.query(`DROP ROLE ${ident(name)}`));
  }
});
