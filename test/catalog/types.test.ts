import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { readTable } from "../../src/catalog/read.js";
import type { ColumnInfo } from "../../src/catalog/types.js";
import { ident } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";

/** Column type -> two literals that are equal and not identical, or null where no such pair exists. */
const TYPES: Record<string, [string, string] | null> = {
  boolean: null,
  smallint: null,
  integer: null,
  bigint: null,
  oid: null,
  '"char"': null,
  name: null,
  text: null,
  "character varying(9)": null,
  bytea: null,
  uuid: null,
  date: null,
  "time without time zone": null,
  "time with time zone": null,
  "timestamp without time zone": null,
  "timestamp with time zone": null,
  inet: null,
  cidr: null,
  macaddr: null,
  macaddr8: null,
  "bit(3)": null,
  "bit varying": null,
  money: null,
  "public.mood": null,
  "public.short": null,
  numeric: ["1.0", "1.00"],
  real: ["0", "-0"],
  "double precision": ["0", "-0"],
  interval: ["1 day", "24 hours"],
  jsonb: ["1.0", "1.00"],
  "public.citext": ["a", "A"],
  "public.loose": ["a", "A"],
  bpchar: ["a", "a "],
  "numeric[]": ["{1.0}", "{1.00}"],
  numrange: ["[1.0,2)", "[1.00,2)"],
  nummultirange: ["{[1.0,2)}", "{[1.00,2)}"],
  "public.comp": ["(1.0)", "(1.00)"],
  "public.price": ["1.0", "1.00"],
  "public.prices": ["{1.0}", "{1.00}"],
};

let db: TestDatabase;
let session: Session;
let columns: ColumnInfo[];

beforeAll(async () => {
  db = await freshDatabase();
  session = await db.session();
  await asAdmin(db.superuserUrl, (admin) => admin.query("CREATE EXTENSION citext SCHEMA public"));
  await session.query(`
    CREATE TYPE public.mood AS ENUM ('sad', 'happy');
    CREATE TYPE public.comp AS (n numeric);
    CREATE TYPE public.holds_json AS (a int, j json);
    CREATE DOMAIN public.short AS varchar(3);
    CREATE DOMAIN public.price AS numeric;
    CREATE DOMAIN public.prices AS numeric[];
    CREATE DOMAIN public.moody AS public.mood;
    CREATE DOMAIN public.spans AS numrange;
    CREATE DOMAIN public.comps AS public.comp;
    CREATE DOMAIN public.multi AS nummultirange;
    CREATE COLLATION public.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE DOMAIN public.loose AS text COLLATE public.nocase;
    CREATE TABLE public.known (${Object.keys(TYPES)
      .map((type, i) => `c${i} ${type}`)
      .join(", ")}, strict_text text COLLATE "C");
    CREATE TABLE public.hashes (i int, v varchar, j json, js json[], hj public.holds_json, b bit(3), x xml, p point,
      m money, ts tsvector, jb jsonb, mo public.mood, md public.moody, r numrange, a numeric[], mr int4multirange,
      pa path, cl regclass, prices public.prices, bits bit(3)[], du int4range, bo box,
      sp public.spans, sps public.spans[], dco public.comps, mu public.multi);
  `);
  columns = (await readTable(session, "known")).columns;
});
afterAll(() => db.drop());

const typeNames = Object.keys(TYPES);

test.each(typeNames.map((type, i) => [type, i] as const))(
  "validation would take different values of %s for the same, or pay for a send function it does not need",
  async (type, i) => {
    const pair = TYPES[type] ?? null;
    expect({ type, identical: columns[i]?.equalIsIdentical }).toEqual({ type, identical: pair === null });
    if (pair === null) return;
    // The pair is what the flag warns of: equal, and told apart by the send function.
    const send = columns[i]?.sendFunction;
    await session.query("TRUNCATE public.known");
    for (const value of pair) await session.query(`INSERT INTO public.known (c${i}) VALUES ($1)`, [value]);
    const counted = await session.one(
      z.object({ equal: z.string(), sent: z.string() }),
      `SELECT count(DISTINCT c${i}) AS equal, count(DISTINCT ${send}(c${i})) AS sent FROM public.known`,
    );
    expect({ type, ...counted }).toEqual({ type, equal: "1", sent: "2" });
  },
);

test("a column under a deterministic collation of its own would be compared the slow way", () => {
  expect(columns.find((c) => c.name === "strict_text")).toMatchObject({
    equalIsIdentical: true,
    collation: 'pg_catalog."C"',
  });
});

test("a send function would not be callable as written, with an empty search_path", async () => {
  const hashes = (await readTable(session, "hashes")).columns;
  const calls = [
    ...columns.map((c) => ({ ...c, from: "known" })),
    ...hashes.map((c) => ({ ...c, from: "hashes" })),
  ];
  const callable = calls.filter((c) => c.sendFunction !== null);
  for (const c of callable)
    await session.query(`SELECT ${c.sendFunction}(${ident(c.name)}) FROM public.${c.from} WHERE false`);
  expect(callable.every((c) => c.sendFunction?.includes("."))).toBe(true);
  expect(calls.filter((c) => c.sendFunction === null).map((c) => c.type)).toEqual(["public.moody"]);
});

test("record hashing or ordering would fail at run time on a type said to support it", async () => {
  const hashes = (await readTable(session, "hashes")).columns;
  await session.query("INSERT INTO public.hashes (i) VALUES (1)");
  const works = (sql: string) =>
    session.query(sql).then(
      () => true,
      () => false,
    );
  for (const c of hashes) {
    const col = ident(c.name);
    const value = SAMPLES[c.name] ?? "NULL";
    const from = `FROM (SELECT ${value}::${c.type} AS ${col} UNION ALL SELECT ${value}::${c.type}) AS s`;
    expect({ name: c.name, hash: c.hasHash, btree: c.hasBtree }).toEqual({
      name: c.name,
      hash: await works(`SELECT hash_record_extended(row(${col}), 0) ${from}`),
      btree: await works(`SELECT ${col} ${from} ORDER BY ${col}`),
    });
  }
});

/** A value of each column of `hashes`; NULLs would hide a missing function of an element. */
const SAMPLES: Record<string, string> = {
  i: "1",
  v: "'a'",
  j: "'{}'",
  js: "ARRAY['{}'::json]",
  hj: "row(1, '{}'::json)",
  b: "'101'",
  x: "'<a/>'",
  p: "'(1,1)'",
  m: "'1'",
  ts: "'a'",
  jb: "'{}'",
  mo: "'sad'",
  md: "'sad'",
  r: "'[1,2)'",
  a: "'{1}'",
  mr: "'{[1,2)}'",
  pa: "'((1,1),(2,2))'",
  cl: "'pg_catalog.pg_class'",
  prices: "'{1}'",
  bits: "ARRAY['101'::bit(3)]",
  du: "'[1,2)'",
  bo: "'(1,1),(0,0)'",
  sp: "'[1,2)'",
  sps: "ARRAY['[1,2)'::public.spans]",
  dco: "row(1)",
  mu: "'{[1,2)}'",
};
