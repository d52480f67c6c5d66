import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTable } from "../../src/catalog/read.js";
import { PartwayError } from "../../src/errors.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
let session: Session;

beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  await session.query(`
    CREATE SCHEMA app; CREATE SCHEMA other; CREATE SCHEMA "Sch""ema"; CREATE SCHEMA ${ident(db.role)};
    CREATE TABLE public.orders (id int);
    CREATE TABLE public."Conversation Message" (id int);
    CREATE TABLE public."conversationMessage" (id int);
    CREATE TABLE "Sch""ema"."Odd""Name" (id int);
    CREATE TABLE app.invoices (id int);
    CREATE TABLE other.invoices (id int);
    CREATE TABLE ${ident(db.role)}.mine (id int);
    CREATE TABLE app.twice (id int); CREATE TABLE public.twice (id int);
    CREATE VIEW public.orders_view AS SELECT * FROM public.orders;
    CREATE MATERIALIZED VIEW public.orders_mat AS SELECT * FROM public.orders;
    CREATE TABLE public.parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (1) TO (10);
    CREATE SEQUENCE public.seq; CREATE INDEX orders_idx ON public.orders (id);
    CREATE TYPE public.comp AS (a int);
  `);
  await asAdmin(db.superuserUrl, (admin) =>
    admin.query(`CREATE FOREIGN DATA WRAPPER fdw; CREATE SERVER srv FOREIGN DATA WRAPPER fdw;
      CREATE FOREIGN TABLE public.far (id int) SERVER srv;`),
  );
});
afterAll(() => db.drop());

/** schema.name of what the typed name leads to. */
async function found(typed: string, as: Session = session): Promise<string> {
  const table = await readTable(as, typed);
  return `${table.schema}.${table.name}`;
}

async function refused(typed: string, as: Session = session): Promise<PartwayError> {
  const error: unknown = await readTable(as, typed).catch((e: unknown) => e);
  if (!(error instanceof PartwayError)) throw new Error(`not refused as bad input: ${String(error)}`);
  expect(error.kind).toBe("bad-input");
  return error;
}

test.each([
  ["orders", "public.orders"],
  ["ORDERS", "public.orders"],
  [" public . orders ", "public.orders"],
  ['"Conversation Message"', "public.Conversation Message"],
  ['public."conversationMessage"', "public.conversationMessage"],
  ['"Sch""ema"."Odd""Name"', 'Sch"ema.Odd"Name'],
  ["app.invoices", "app.invoices"],
  ["mine", "own.mine"],
])("the wrong table would be migrated for the name %s", async (typed, expected) => {
  expect(await found(typed)).toBe(expected.replace("own.", `${db.role}.`));
});

test("a name with the database in front would be unknown", async () => {
  expect(await found(`${db.name}.public.orders`)).toBe("public.orders");
  expect((await refused("elsewhere.public.orders")).message).toContain(db.name);
  expect((await refused("a.b.c.d")).message).toContain("a.b.c.d");
});

test("the role's own search_path would be ignored because Partway pins its sessions", async () => {
  await session.query(`ALTER ROLE ${ident(db.role)} SET search_path = app, "$user"`);
  const later = await db.session();
  expect(await found("invoices", later)).toBe("app.invoices");
  expect(await found("orders", later)).toBe("public.orders");
  expect((await later.query("SELECT current_setting('search_path') AS path")).rows).toEqual([{ path: "" }]);
  const ambiguous = await refused("twice", later);
  expect(ambiguous.message).toBe('"twice" is in more than one schema: app.twice, public.twice');
  expect(ambiguous.next).toContain("app.twice");
  await session.query(`ALTER ROLE ${ident(db.role)} RESET search_path`);
});

test("a transaction of the caller would lose its pinned search_path", async () => {
  const own = await db.session();
  await own.tx(async () => {
    expect(await found("orders", own)).toBe("public.orders");
    expect((await own.query("SELECT current_setting('search_path') AS path")).rows).toEqual([{ path: "" }]);
  });
});

describe("an operator who mistypes would have to search the catalog", () => {
  test.each([
    ["ordes", "public.orders"],
    ["invoices", "app.invoices"],
    ["invoices", "other.invoices"],
    ["public.invoices", "app.invoices"],
    ["conversationMessage", `'public."conversationMessage"'`],
    ["appp.invoices", "app.invoices"],
    ["othr.nothing_like_it", 'schema "other"'],
  ])("%s -> %s", async (typed, expected) => {
    expect((await refused(typed)).next).toContain(expected);
  });

  test("a name whose quotes the shell took away", async () => {
    expect((await refused("Conversation Message")).next).toContain(`'"Conversation Message"'`);
  });

  test("nothing near at all", async () => {
    const error = await refused("zzzzzzzzzzzz");
    expect(error.message).toBe(`table zzzzzzzzzzzz does not exist in ${db.role}, public`);
    expect(error.next).toContain("--url");
  });

  test.each(["", "  ", '"unclosed', "a.", "a b", "1abc;", "x\0y", '""'])("%j is no name", async (typed) => {
    await refused(typed);
  });
});

test.each([
  ["orders", "r"],
  ["orders_view", "v"],
  ["orders_mat", "m"],
  ["parted", "p"],
  ["parted_1", "r"],
  ["far", "f"],
  ["seq", "S"],
  ["orders_idx", "i"],
  ["comp", "c"],
])("reading %s, which is no plain table, would crash before plan can refuse it", async (typed, kind) => {
  const table = await readTable(session, typed);
  expect(table.kind).toBe(kind);
  expect(JSON.parse(JSON.stringify(table))).toEqual(table);
});
