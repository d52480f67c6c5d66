import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { readTable } from "../../src/catalog/read.js";
import type { Session } from "../../src/pg/session.js";
import { rowHash } from "../../src/sync/rowhash.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
beforeEach(async () => {
  db = await freshDatabase();
});
afterEach(() => db.drop());

const TYPES = [
  "CREATE TYPE public.mood AS ENUM ('sad', 'ok')",
  "CREATE DOMAIN public.feeling AS public.mood",
  "CREATE DOMAIN public.list AS int[]",
  "CREATE DOMAIN public.span AS numrange",
  "CREATE TYPE public.pair AS (n numeric, m public.mood)",
  "CREATE DOMAIN public.checked_pair AS public.pair",
  "CREATE COLLATION public.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
];

/** Hashes of the two values as the only column of a table, in the type's own table. */
async function hashes(session: Session, type: string, values: readonly (string | null)[]): Promise<string[]> {
  await session.query(`CREATE TABLE public.probe ("the value" ${type}, i serial)`);
  for (const value of values)
    await session.query(
      `INSERT INTO public.probe ("the value") VALUES ($1::text::${type.replace(/ COLLATE.*/, "")})`,
      [value],
    );
  const { columns } = await readTable(session, "public.probe");
  const only = columns.filter((column) => column.name === "the value");
  const rows = await session.rows(
    z.object({ h: z.string() }),
    `SELECT ${rowHash(only, "s")}::text AS h FROM public.probe AS s ORDER BY s.i`,
  );
  await session.query("DROP TABLE public.probe");
  return rows.map((row) => row.h);
}

/** Type, and two values of it that are not identical; most are equal all the same. */
const PAIRS: readonly [string, string | null, string | null][] = [
  ["numeric", "1.0", "1.00"],
  ["numeric(10,2)", "1.00", "1.01"],
  ["float8", "0", "-0"],
  ["float4", "0", "-0"],
  ["interval", "1 day", "24 hours"],
  ["jsonb", '{"a": 1.0}', '{"a": 1.00}'],
  ["json", '{"a":1}', '{"a": 1}'],
  ["json[]", '{"{\\"a\\":1}"}', '{"{\\"a\\": 1}"}'],
  ["path", "((1,2),(3,4))", "[(1,2),(3,4)]"],
  ["point", "(0,0)", "(0,-0)"],
  ["box", "(1,1),(0,0)", "(2,2),(0,0)"],
  ["xml", "<a/>", "<a></a>"],
  ["tsvector", "a:1", "a:2"],
  ["bit(3)", "101", "100"],
  ["bit(3)[]", "{101}", "{100}"],
  ["varbit", "101", "1010"],
  ["bpchar", "a", "a "],
  ["text COLLATE public.nocase", "a", "A"],
  ["text", "a", "A"],
  ["text", "", null],
  ["numeric[]", "{1.0}", "{1.00}"],
  ["int[]", "{1}", "[2:2]={1}"],
  ["numrange", "[1.0,2]", "[1.00,2]"],
  ["nummultirange", "{[1.0,2]}", "{[1.00,2]}"],
  ["public.mood", "sad", "ok"],
  ["public.feeling", "sad", "ok"],
  ["public.mood[]", "{sad}", "{ok}"],
  ["public.list", "{1}", "[2:2]={1}"],
  ["public.span", "[1.0,2]", "[1.00,2]"],
  ["public.pair", "(1.0,sad)", "(1.00,sad)"],
  ["public.checked_pair", "(1.0,sad)", "(1.00,sad)"],
  ["public.pair[]", '{"(1.0,sad)"}', '{"(1.00,sad)"}'],
  ["regclass", "pg_catalog.pg_class", "pg_catalog.pg_type"],
  ["regtype[]", "{integer}", "{bigint}"],
  ["aclitem[]", "{=r/postgres}", "{=w/postgres}"],
  ["timestamptz", "2026-01-01 00:00:00.000001+00", "2026-01-01 00:00:00+00"],
  ["timetz", "12:00+01", "11:00+00"],
  ["inet", "10.0.0.1/8", "10.0.0.1"],
  ["uuid", "00000000-0000-0000-0000-000000000001", null],
  ["money", "1.00", "1.01"],
  ["oid", "1", "2"],
  ["xid", "1", "2"],
  ["pg_lsn", "0/1", "0/2"],
  ["int8", "1", "2"],
  ["bytea", "\\x00", "\\x"],
  ['"char"', "a", "b"],
  ["name", "a", "b"],
  ["bool", "t", "f"],
  ["jsonpath", "$.a", "$.b"],
];

test("a value that is equal but not identical would pass validation, or a type could not be validated", async () => {
  const session = await db.session();
  for (const statement of TYPES) await session.query(statement);
  const failed: string[] = [];
  for (const [type, one, other] of PAIRS) {
    const [a, again, b] = await hashes(session, type, [one, one, other]);
    if (a === undefined || a !== again || a === b) failed.push(`${type}: ${a} ${again} ${b}`);
  }
  expect(failed).toEqual([]);
});

test("a backup restored into another database would hash differently there", async () => {
  const other = await freshDatabase();
  try {
    const here = await db.session();
    const there = await other.session();
    await there.query("CREATE TYPE public.shifts_the_oids AS ENUM ('x')");
    for (const session of [here, there]) for (const statement of TYPES) await session.query(statement);
    const different: string[] = [];
    for (const [type, one, two] of PAIRS) {
      const a = await hashes(here, type, [one, two]);
      const b = await hashes(there, type, [one, two]);
      if (a.join() !== b.join()) different.push(type);
    }
    expect(different).toEqual([]);
  } finally {
    await other.drop();
  }
});

test("two values in each other's columns would hash alike", async () => {
  const session = await db.session();
  await session.query('CREATE TABLE public.two ("a""b" int, c int)');
  await session.query("INSERT INTO public.two VALUES (1, 2), (2, 1), (NULL, 1), (1, NULL)");
  const { columns } = await readTable(session, "public.two");
  const { n } = await session.one(
    z.object({ n: z.string() }),
    `SELECT count(DISTINCT ${rowHash(columns, "s")})::text AS n FROM public.two AS s`,
  );
  expect(n).toBe("4");
});
