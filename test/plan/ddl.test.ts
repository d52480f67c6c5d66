/** The shadow as the server makes it from the plan, compared with the source in the catalog. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { fingerprint } from "../../src/catalog/fingerprint.js";
import { readTable } from "../../src/catalog/read.js";
import { survey } from "../../src/catalog/survey.js";
import { parseRequest, type RawOptions } from "../../src/config/request.js";
import { ident, literal, qualified } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { leafFor } from "../../src/plan/bounds.js";
import { leafDdl, shadowDdl } from "../../src/plan/ddl.js";
import { hasFallback } from "../../src/plan/fallback.js";
import { makePlan } from "../../src/plan/index.js";
import { leafIndexName } from "../../src/plan/names.js";
import type { Plan } from "../../src/plan/types.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;
beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterEach(() => db.drop());

async function planOf(table: string, options: RawOptions): Promise<Plan> {
  const info = await readTable(session, table);
  const request = parseRequest(table, options);
  return makePlan({
    table: info,
    survey: await survey(session, info, request.scheme, hasFallback(request)),
    request,
    fingerprint: await fingerprint(session, info.oid),
    id: "t_3f9a1c",
    nonce: "n",
  });
}

/** Runs the plan's DDL as the shadow phase does. */
async function build(plan: Plan): Promise<void> {
  await session.tx(async () => {
    for (const statement of plan.shadowDdl) await session.query(statement.sql);
  });
}

/** The indexes as the index phase makes them: on every leaf, then on the parent alone, then attached. */
async function buildIndexes(plan: Plan): Promise<void> {
  const { schema, shadow } = plan.names;
  for (const index of plan.indexes) {
    const on = (only: string, table: string, name: string) =>
      index.build.kind === "index"
        ? `CREATE ${index.unique ? "UNIQUE " : ""}INDEX ${ident(name)} ON ${only}${table}${index.build.tail}`
        : `ALTER TABLE ${only}${table} ADD CONSTRAINT ${ident(name)} ${index.build.definition}`;
    for (const leaf of plan.leaves)
      await session.query(on("", qualified(schema, leaf.name), leafIndexName(leaf, index)));
    await session.query(on("ONLY ", qualified(schema, shadow), index.shadowName));
    for (const leaf of plan.leaves)
      await session.query(
        `ALTER INDEX ${qualified(schema, index.shadowName)} ATTACH PARTITION ${qualified(schema, leafIndexName(leaf, index))}`,
      );
  }
}

const text = z.object({ line: z.string() });
async function lines(sql: string, params: string[] = []): Promise<string[]> {
  return (await session.rows(text, sql, params)).map((row) => row.line);
}

/** What a column is, without its number: order is compared by the order of the lines. */
function columnsOf(table: string): Promise<string[]> {
  return lines(
    `SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation, a.attnotnull, a.attidentity,
            a.attgenerated, a.attstorage, a.attcompression, pg_get_expr(d.adbin, d.adrelid),
            col_description(a.attrelid, a.attnum), nullif(a.attstattarget, -1)) AS line
       FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [table],
  );
}

function checksOf(table: string): Promise<string[]> {
  return lines(
    `SELECT concat_ws(' ', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')) AS line
       FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c' ORDER BY 1`,
    [table],
  );
}

/** Who may do what, columns included; the owner's implicit rights are written out. */
function rightsOf(table: string): Promise<string[]> {
  return lines(
    `SELECT concat_ws(' ', acl.grantee::regrole, acl.privilege_type, acl.is_grantable) AS line
       FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) acl WHERE c.oid = $1::regclass
     UNION ALL
     SELECT concat_ws(' ', a.attname, acl.grantee::regrole, acl.privilege_type, acl.is_grantable)
       FROM pg_attribute a, aclexplode(a.attacl) acl WHERE a.attrelid = $1::regclass
     UNION ALL SELECT 'owner ' || relowner::regrole FROM pg_class WHERE oid = $1::regclass
      ORDER BY 1`,
    [table],
  );
}

const ODD = `Odd"Näme ${"ö".repeat(20)} 'x' \\`;

describe("the shadow is the source, partitioned", () => {
  test("columns, defaults, checks, comments, identity and storage, under an odd name as long as names get", async () => {
    await session.query(`CREATE SCHEMA "Sch""ema"`);
    await session.query(`CREATE DOMAIN "Sch""ema".instant AS timestamptz`);
    const source = qualified('Sch"ema', ODD);
    await session.query(`CREATE TABLE ${source} (
      gone int,
      "Id" int GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 7 MINVALUE 5 MAXVALUE 900000 CACHE 3 CYCLE),
      "createdAt" "Sch""ema".instant NOT NULL DEFAULT now(),
      name text COLLATE "C" DEFAULT E'a''b\\\\c',
      amount numeric(10,2) CONSTRAINT positive CHECK (amount > 0),
      doubled numeric GENERATED ALWAYS AS (amount * 2) STORED,
      big text COMPRESSION pglz,
      tags text[] NOT NULL DEFAULT '{}',
      PRIMARY KEY ("Id") INCLUDE (name) WITH (fillfactor = 80)
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_enabled = false)`);
    await session.query(`ALTER TABLE ${source} DROP COLUMN gone`);
    await session.query(`ALTER TABLE ${source} ALTER big SET STORAGE EXTERNAL, ALTER name SET STATISTICS 55,
      ALTER name SET (n_distinct = -0.5)`);
    await session.query(`COMMENT ON TABLE ${source} IS ${literal("it's \\ a table")}`);
    await session.query(`COMMENT ON COLUMN ${source}.name IS 'the name'`);
    await session.query(`COMMENT ON CONSTRAINT positive ON ${source} IS 'no debts'`);
    await session.query(
      `CREATE UNIQUE INDEX ON ${source} (name, "createdAt") INCLUDE (amount) WITH (fillfactor = 50)`,
    );
    await session.query(`CREATE INDEX "By""name" ON ${source} (lower(name) DESC) WHERE amount > 1`);

    const plan = await planOf(source, { by: "createdAt", every: "week", ahead: "2" });
    expect(plan.refusals).toEqual([]);
    await build(plan);
    const shadow = qualified(plan.names.schema, plan.names.shadow);
    expect(await columnsOf(shadow)).toEqual(await columnsOf(source));
    expect(await checksOf(shadow)).toEqual(await checksOf(source));
    expect(await rightsOf(shadow)).toEqual(await rightsOf(source));
    expect(await lines(`SELECT obj_description($1::regclass, 'pg_class') AS line`, [shadow])).toEqual([
      "it's \\ a table",
    ]);
    expect(await lines(`SELECT pg_get_partkeydef($1::regclass) AS line`, [shadow])).toEqual([
      `RANGE ("createdAt")`,
    ]);
    expect(
      await lines(
        `SELECT unnest(attoptions) AS line FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'name'`,
        [shadow],
      ),
    ).toEqual(["n_distinct=-0.5", "n_distinct_inherited=-0.5"]);

    const identity = `SELECT concat_ws(' ', s.seqrelid::regclass, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
      AS line FROM pg_sequence s WHERE s.seqrelid = pg_get_serial_sequence($1, 'Id')::regclass`;
    const name = plan.sequences[0]?.shadowName ?? "";
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(await lines(identity, [shadow])).toEqual([`${qualified('Sch"ema', name)} 100 7 5 900000 3 t`]);

    const leaves = await lines(
      `SELECT concat_ws(' ', c.relname, pg_get_expr(c.relpartbound, c.oid), c.reloptions, t.reloptions) AS line
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class t ON t.oid = c.reltoastrelid
        WHERE i.inhparent = $1::regclass ORDER BY c.oid`,
      [shadow],
    );
    expect(leaves).toHaveLength(4);
    for (const [i, line] of leaves.entries()) {
      const { name: leaf, bounds } = plan.leaves[i] ?? { name: "", bounds: { kind: "list", value: "" } };
      if (bounds.kind !== "range") throw new Error("a weekly leaf is a range");
      expect(line).toBe(
        `${leaf} FOR VALUES FROM ('${bounds.from}') TO ('${bounds.to}') {fillfactor=70,autovacuum_vacuum_scale_factor=0.01} {autovacuum_enabled=false}`,
      );
    }
    const target = `SELECT attstattarget::text AS line FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'name'`;
    expect(await lines(target, [qualified(plan.names.schema, plan.leaves[0]?.name ?? "")])).toEqual(["55"]);

    await buildIndexes(plan);
    const built = await lines(
      `SELECT concat_ws(' ', i.indisvalid, i.indisprimary, i.indisunique, substr(pg_get_indexdef(i.indexrelid), strpos(pg_get_indexdef(i.indexrelid), ' USING '))) AS line
         FROM pg_index i WHERE i.indrelid = $1::regclass ORDER BY 1`,
      [shadow],
    );
    expect(built).toEqual([
      `t f f  USING btree (lower(name) DESC) WHERE (amount > (1)::numeric)`,
      `t f t  USING btree (name, "createdAt") INCLUDE (amount) WITH (fillfactor='50')`,
      `t t t  USING btree ("Id", "createdAt") INCLUDE (name) WITH (fillfactor='80')`,
    ]);
    await session.query(`INSERT INTO ${shadow} (name, amount) VALUES ('a', 1)`);
    expect(await lines(`SELECT concat_ws(' ', "Id", doubled) AS line FROM ${shadow}`)).toEqual(["100 2.00"]);
  });

  test("nothing of it remains when its transaction rolls back, and a second attempt beside a first one works", async () => {
    await session.query("CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL)");
    const options = { by: "at", every: "month", ahead: "1" };
    const before = await lines(
      "SELECT oid::regclass::text AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    );
    const plan = await planOf("t", options);
    await session.begin();
    for (const statement of plan.shadowDdl) await session.query(statement.sql);
    await session.rollback();
    expect(
      await lines(
        "SELECT oid::regclass::text AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
      ),
    ).toEqual(before);
    await build(plan);
    await buildIndexes(plan);
    const again = await planOf("t", options);
    await build(again);
    await buildIndexes(again);
    expect(again.leaves[0]?.name).toBe(`${plan.leaves[0]?.name}_2`);
  });

  test("columns computed when read stay so (PostgreSQL 18), and are not written by the copy", async ({
    skip,
  }) => {
    if (!(await lines("SELECT current_setting('server_version_num') AS line"))[0]?.startsWith("18"))
      skip("virtual columns came with 18");
    await session.query(`CREATE TABLE public.t (id int PRIMARY KEY, at timestamptz NOT NULL, n int,
      twice int GENERATED ALWAYS AS (n * 2) VIRTUAL, CONSTRAINT named NOT NULL n)`);
    const plan = await planOf("t", { by: "at", every: "month", ahead: "1" });
    await build(plan);
    expect(await columnsOf("public.t_partitioned")).toEqual(await columnsOf("public.t"));
    expect(plan.writable).toEqual(["id", "at", "n"]);
    await session.query("INSERT INTO public.t_partitioned VALUES (1, now(), 4)");
    expect(await lines("SELECT twice::text AS line FROM public.t_partitioned")).toEqual(["8"]);
  });

  test("a serial's default is shared and its sequence stays with the source", async () => {
    await session.query("CREATE TABLE public.t (id bigserial PRIMARY KEY, at date)");
    const plan = await planOf("t", { by: "at", every: "day", ahead: "1" });
    await build(plan);
    expect(await columnsOf("public.t_partitioned")).toEqual(
      (await columnsOf("public.t")).map((line) => line.replace("at date 0 f", "at date 0 t")),
    );
    expect(await lines("SELECT pg_get_serial_sequence('public.t', 'id') AS line")).toEqual([
      "public.t_id_seq",
    ]);
    await session.query("INSERT INTO public.t_partitioned (at) VALUES (current_date)");
    expect(await lines("SELECT last_value::text AS line FROM public.t_id_seq")).toEqual(["1"]);
  });
});

describe("each scheme's leaves take the rows they are for", () => {
  test("numbers, negative and at the end of the type", async () => {
    await session.query("CREATE TABLE public.t (id int PRIMARY KEY)");
    await session.query("INSERT INTO public.t VALUES (-2147483648), (-2147000001)");
    await build(await planOf("t", { by: "id", step: "1000000", ahead: "1" }));
    await session.query("INSERT INTO public.t_partitioned SELECT * FROM public.t");
    expect(
      await lines("SELECT tableoid::regclass || ' ' || id AS line FROM public.t_partitioned ORDER BY id"),
    ).toEqual(["public.t_m2148000000 -2147483648", "public.t_m2148000000 -2147000001"]);
  });

  test("hash: together the leaves take every row", async () => {
    await session.query("CREATE TABLE public.t (id uuid PRIMARY KEY)");
    await build(await planOf("t", { by: "id", hash: "4" }));
    await session.query(
      "INSERT INTO public.t_partitioned SELECT gen_random_uuid() FROM generate_series(1, 200)",
    );
    expect(await lines("SELECT count(DISTINCT tableoid)::text AS line FROM public.t_partitioned")).toEqual([
      "4",
    ]);
  });

  test("list: quotes, commas, booleans and enums", async () => {
    await session.query(`CREATE TYPE public.state AS ENUM ('new', 'it''s "done"')`);
    await session.query(
      "CREATE TABLE public.t (id int PRIMARY KEY, state public.state NOT NULL, flag bool NOT NULL)",
    );
    await session.query(`INSERT INTO public.t VALUES (1, 'new', true), (2, 'it''s "done"', false)`);
    const states = await planOf("t", { by: "state", list: `new,"it's ""done"""` });
    const flags = await planOf("t", { by: "flag", list: "t,false" });
    expect([...states.refusals, ...flags.refusals]).toEqual([]);
    await build(states);
    await session.query("INSERT INTO public.t_partitioned SELECT * FROM public.t");
    await session.query("DROP TABLE public.t_partitioned");
    await build(flags);
    await session.query("INSERT INTO public.t_partitioned SELECT * FROM public.t");
  });

  test("years before Christ and after 9999 are bounds that the server reads as they were meant", async () => {
    await session.query(
      "CREATE TABLE public.t (id int PRIMARY KEY, at timestamptz NOT NULL, d date NOT NULL, w timestamp NOT NULL)",
    );
    await session.query(`INSERT INTO public.t VALUES (1, '0002-06-01 00:00:00+00 BC', '0002-06-01 BC', '0002-06-01 BC'),
      (2, '0003-01-01 00:00:00+00', '0003-01-01', '0003-01-01')`);
    for (const by of ["at", "d", "w"]) {
      const plan = await planOf("t", { by, every: "year", ahead: "0" });
      expect(plan.refusals).toEqual([]);
      expect(plan.leaves[0]?.bounds).toMatchObject({ from: expect.stringMatching(/^0002-01-01.* BC$/) });
      await build({ ...plan, shadowDdl: shadowDdl({ ...plan, leaves: plan.leaves.slice(0, 6) }) });
      await session.query("INSERT INTO public.t_partitioned SELECT * FROM public.t");
      await session.query("DROP TABLE public.t_partitioned");
    }
    await session.query("TRUNCATE public.t");
    await session.query(
      "INSERT INTO public.t VALUES (1, '10000-06-01 00:00:00+00', '10000-06-01', '10000-06-01')",
    );
    for (const by of ["at", "d", "w"]) {
      const late = await planOf("t", { by, every: "year", ahead: "0" });
      expect(late.refusals.map((r) => r.code)).toEqual(["too-many-leaves"]);
      const leaf = leafFor({ ...late, leaves: [] }, "10000-06-01");
      await build({ ...late, leaves: [] });
      for (const statement of leafDdl(late, leaf)) await session.query(statement.sql);
      await session.query("INSERT INTO public.t_partitioned SELECT * FROM public.t");
      await session.query("DROP TABLE public.t_partitioned");
    }
  });

  test("a row that arrives late gets its leaf beside those there are", async () => {
    await session.query("CREATE TABLE public.t (id int PRIMARY KEY, at timestamptz NOT NULL)");
    await session.query("INSERT INTO public.t VALUES (1, now())");
    const plan = await planOf("t", { by: "at", every: "week", ahead: "1" });
    await build(plan);
    for (const statement of leafDdl(plan, leafFor(plan, "1999-12-31 23:59:59.999999+00")))
      await session.query(statement.sql);
    await session.query("INSERT INTO public.t_partitioned VALUES (2, '1999-12-31 23:59:59.999999+00')");
    expect(await lines("SELECT tableoid::regclass::text AS line FROM public.t_partitioned")).toEqual([
      "public.t_1999w52",
    ]);
  });
});

describe("rights", () => {
  test("grants, column grants and grant options are the source's; default privileges open no door, on leaves either", async () => {
    const [reader, writer, nosy] = ["reader", "writer", "nosy"].map((name) => `${name}_${db.name}`);
    if (reader === undefined || writer === undefined || nosy === undefined) throw new Error("three roles");
    const roles = [reader, writer, nosy].map(ident);
    await asAdmin(db.superuserUrl, async (admin) => {
      for (const role of roles) await admin.query(`CREATE ROLE ${role}`);
    });
    try {
      await session.query(
        "CREATE TABLE public.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, secret text)",
      );
      await session.query(`GRANT SELECT (id, at) ON public.t TO ${ident(reader)}`);
      await session.query(`GRANT SELECT, INSERT ON public.t TO ${ident(writer)} WITH GRANT OPTION`);
      await session.query(`GRANT USAGE ON SEQUENCE public.t_id_seq TO ${ident(writer)}`);
      await session.query("GRANT SELECT ON public.t TO PUBLIC");
      await session.query(`ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO ${ident(nosy)}`);
      const plan = await planOf("t", { by: "at", every: "month", ahead: "1" });
      expect(plan.refusals).toEqual([]);
      await build(plan);
      expect(await rightsOf("public.t_partitioned")).toEqual(await rightsOf("public.t"));
      const sequence = qualified("public", plan.sequences[0]?.shadowName ?? "");
      expect((await rightsOf(sequence)).filter((line) => line.startsWith(writer))).toEqual([
        `${writer} USAGE f`,
      ]);
      for (const leaf of plan.leaves) {
        const able = await rightsOf(qualified("public", leaf.name));
        expect(able.filter((line) => !line.includes(db.role))).toEqual([]);
      }
      await session.query("DROP TABLE public.t, public.t_partitioned");
    } finally {
      await asAdmin(db.superuserUrl, async (admin) => {
        await admin.query(`DROP OWNED BY ${roles.join(", ")}`);
        for (const role of roles) await admin.query(`DROP ROLE ${role}`);
      });
    }
  });

  test("a table of another owner, migrated by a member: everything belongs to the owner", async () => {
    const boss = `boss_${db.name}`;
    await asAdmin(db.superuserUrl, async (admin) => {
      await admin.query(`CREATE ROLE ${ident(boss)}`);
      await admin.query(`GRANT ${ident(boss)} TO ${ident(db.role)}`);
      await admin.query(`GRANT USAGE, CREATE ON SCHEMA public TO ${ident(boss)}`);
      await admin.query(
        "CREATE TABLE public.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL)",
      );
      await admin.query(`ALTER TABLE public.t OWNER TO ${ident(boss)}`);
      await admin.query(`GRANT SELECT ON public.t TO ${ident(db.role)}`);
    });
    try {
      const plan = await planOf("t", { by: "at", every: "month", ahead: "1" });
      expect(plan.refusals).toEqual([]);
      await build(plan);
      expect(await rightsOf("public.t_partitioned")).toEqual(await rightsOf("public.t"));
      const owners = await lines(
        "SELECT DISTINCT relowner::regrole::text AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace",
      );
      expect(owners).toEqual([boss]);
    } finally {
      await asAdmin(db.superuserUrl, async (admin) => {
        await admin.query(`DROP OWNED BY ${ident(boss)}`);
        await admin.query(`DROP ROLE ${ident(boss)}`);
      });
    }
  });
});
