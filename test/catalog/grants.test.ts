import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { readTable } from "../../src/catalog/read.js";
import { survey } from "../../src/catalog/survey.js";
import { PartwayError } from "../../src/errors.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let owner: Session;
let reader: Session;
let readerName: string;
let writerName: string;

beforeAll(async () => {
  db = await freshDatabase();
  readerName = `reader "${db.role}"`;
  writerName = `writer_${db.role}`;
  await asAdmin(db.superuserUrl, (admin) =>
    admin.query(`CREATE ROLE ${ident(readerName)} LOGIN PASSWORD 'r'; CREATE ROLE ${ident(writerName)} LOGIN PASSWORD 'w';
      ALTER DATABASE ${ident(db.name)} RESET ALL; REVOKE CREATE ON DATABASE ${ident(db.name)} FROM PUBLIC`),
  );
  owner = await db.session();
  await owner.query(`
    CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO ${ident(readerName)}, ${ident(writerName)};
    CREATE TABLE app.plain (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    CREATE TABLE app.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, secret text, "At" timestamptz);
    GRANT SELECT, INSERT ON app.t TO ${ident(writerName)} WITH GRANT OPTION;
    GRANT SELECT (id, "At"), UPDATE ("At") ON app.t TO ${ident(readerName)};
    GRANT TRIGGER ON app.t TO PUBLIC;
    GRANT USAGE ON SEQUENCE app.t_id_seq TO ${ident(writerName)};
    ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO ${ident(readerName)}, PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO ${ident(writerName)};
  `);
  const url = new URL(db.ownerUrl);
  url.username = encodeURIComponent(writerName);
  url.password = "w";
  const writer = await db.session(url.href);
  await writer.query(`GRANT SELECT ON app.t TO ${ident(readerName)}`);
  url.username = encodeURIComponent(readerName);
  url.password = "r";
  reader = await db.session(url.href);
});
afterAll(async () => {
  await db.drop();
  await asAdmin(inject("server").superuserUrl, (admin) =>
    admin.query(`DROP ROLE ${ident(readerName)}, ${ident(writerName)}`),
  );
});

test("a role would lose a right, a grant option or its grantor at cutover", async () => {
  const table = await readTable(owner, "app.t");
  const grant = (grantee: string | null, privilege: string, grantable = false, grantor = db.role) => ({
    grantee,
    grantor,
    privilege,
    grantable,
    column: null,
  });
  const others = table.grants?.filter((g) => g.grantee !== db.role);
  expect(others).toEqual([
    grant(writerName, "INSERT", true),
    grant(writerName, "SELECT", true),
    grant(null, "TRIGGER"),
    grant(readerName, "SELECT", false, writerName),
  ]);
  expect(table.grants?.filter((g) => g.grantee === db.role).map((g) => g.privilege)).toContain("TRUNCATE");
  expect(table.columnGrants).toEqual([
    { ...grant(readerName, "SELECT"), column: "id" },
    { ...grant(readerName, "SELECT"), column: "At" },
    { ...grant(readerName, "UPDATE"), column: "At" },
  ]);
  expect(table.sequences[0]?.grants.filter((g) => g.grantee !== db.role)).toEqual([
    grant(writerName, "USAGE"),
  ]);
});

test("default privileges would give rights on the new table that the old one never gave", async () => {
  const { defaultGrantees } = await readTable(owner, "app.t");
  expect(new Set(defaultGrantees)).toEqual(new Set([readerName, writerName, null]));
  expect(defaultGrantees).toHaveLength(3);
  await owner.query("CREATE TABLE public.elsewhere (id int)");
  expect((await readTable(owner, "elsewhere")).defaultGrantees).toEqual([writerName]);
});

test("a table nobody was granted anything on would be given an explicit ACL", async () => {
  await owner.query("CREATE SCHEMA bare; CREATE TABLE bare.t (id int)");
  await owner.query(`ALTER DEFAULT PRIVILEGES REVOKE INSERT ON TABLES FROM ${ident(writerName)}`);
  await owner.query("CREATE TABLE bare.u (id int)");
  expect((await readTable(owner, "bare.u")).grants).toBeNull();
  await owner.query(`ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO ${ident(writerName)}`);
});

test("a missing right would be found out only half way through", async () => {
  expect((await readTable(owner, "app.t")).rights).toEqual({
    role: db.role,
    superuser: false,
    ownsTable: true,
    createInSchema: true,
    createInDatabase: true,
    partwaySchema: "absent",
    selectTable: true,
    bypassRowSecurity: false,
  });
  const mine = {
    role: readerName,
    superuser: false,
    ownsTable: false,
    createInSchema: false,
    createInDatabase: false,
    partwaySchema: "absent",
    bypassRowSecurity: false,
  };
  expect((await readTable(reader, "app.t")).rights).toEqual({ ...mine, selectTable: true });
  await owner.query("CREATE SCHEMA partway");
  const denied = await readTable(reader, "app.plain");
  expect(denied.rights).toEqual({ ...mine, partwaySchema: "foreign", selectTable: false });
  expect(denied.sequences[0]).toMatchObject({ lastValue: null, isCalled: false });
  expect((await readTable(owner, "app.plain")).rights.partwaySchema).toBe("usable");
  const table = await asAdmin(db.superuserUrl, (admin) => readTable(admin, "app.t"));
  expect(table.rights).toMatchObject({ superuser: true, ownsTable: true, selectTable: true });
  expect(table.owner).toBe(db.role);
});

test("a role without USAGE on the schema would be told the table does not exist", async () => {
  await owner.query(
    "CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int); GRANT SELECT ON hidden.t TO PUBLIC",
  );
  expect((await readTable(reader, "hidden.t")).rights.selectTable).toBe(false);
});

test("a survey without the right to read would end in a bare server error, or skip rows silently", async () => {
  const refusal = async (as: Session, name: string) => {
    const table = await readTable(as, name);
    const error: unknown = await survey(as, table, { kind: "range-int", column: "id", step: "10" }).catch(
      (e: unknown) => e,
    );
    if (!(error instanceof PartwayError)) throw new Error(`not refused: ${String(error)}`);
    expect(error.kind).toBe("refused");
    expect(error.next).toContain(db.role);
    return error.message;
  };
  await owner.query(`CREATE TABLE app.closed (id int); REVOKE ALL ON app.closed FROM PUBLIC, ${ident(readerName)};
    CREATE TABLE app.rls (id int); GRANT SELECT ON app.rls TO ${ident(readerName)};
    ALTER TABLE app.rls ENABLE ROW LEVEL SECURITY`);
  // Nothing is read, and the plan names the grant.
  const closed = await readTable(reader, "app.closed");
  expect(await survey(reader, closed, { kind: "range-int", column: "id", step: "10" })).toMatchObject({
    ...{ min: null, max: null, rows: 0 },
  });
  expect(await refusal(reader, "app.rls")).toContain("row-level security");
  await owner.query("ALTER TABLE app.rls FORCE ROW LEVEL SECURITY");
  // The same for the owner under forced row security.
  const forced = await readTable(owner, "app.rls");
  expect(await survey(owner, forced, { kind: "range-int", column: "id", step: "10" })).toMatchObject({
    ...{ min: null, max: null, rows: 0 },
  });
});
