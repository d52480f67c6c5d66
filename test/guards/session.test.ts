/** What every connection pins, and what COMMIT may answer (see test/campaign/mutants). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ident, literal } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { value } from "../support/migration.js";

let db: TestDatabase;
let session: Session;

beforeEach(async () => {
  db = await freshDatabase();
  session = await db.session();
});
afterEach(() => db.drop());

/** What somebody may have set on the role, and what Partway's sessions must have all the same. */
const SETTINGS: Record<string, [hostile: string, pinned: string]> = {
  search_path: ["public", ""],
  TimeZone: ["Asia/Kathmandu", "UTC"],
  DateStyle: ["SQL, DMY", "ISO, YMD"],
  IntervalStyle: ["sql_standard", "postgres"],
  extra_float_digits: ["0", "1"],
  bytea_output: ["escape", "hex"],
  row_security: ["on", "off"],
  statement_timeout: ["7s", "0"],
  lock_timeout: ["7s", "0"],
  idle_in_transaction_session_timeout: ["7s", "0"],
  idle_session_timeout: ["7s", "0"],
  default_transaction_isolation: ["serializable", "read committed"],
  default_transaction_read_only: ["on", "off"],
  synchronous_commit: ["off", "on"],
  standard_conforming_strings: ["off", "on"],
  backend_flush_after: ["0", "1MB"],
};

test("a role's or database's default would reach Partway's statements", async () => {
  for (const [name, [hostile]] of Object.entries(SETTINGS))
    await session.query(`ALTER ROLE ${ident(db.role)} SET ${name} = ${literal(hostile)}`);
  const later = await db.session();
  const found: Record<string, string | null> = {};
  for (const name of Object.keys(SETTINGS)) found[name] = await value(later, `SHOW ${name}`);
  expect(found).toEqual(
    Object.fromEntries(Object.entries(SETTINGS).map(([name, [, pinned]]) => [name, pinned])),
  );
});

test("a value would change on its way through JavaScript", async () => {
  const { rows } = await session.query(
    `SELECT 9007199254740993::bigint AS a, 1.10::numeric AS b, 'NaN'::float8 AS c, true AS d, NULL::int AS e,
            timestamptz '2025-03-03 01:02:03.123456+00' AS f, 7::int AS g, '{"a": 1.0}'::jsonb AS h, '{1,2}'::int[] AS i`,
  );
  expect(rows).toEqual([
    {
      a: "9007199254740993",
      b: "1.10",
      c: "NaN",
      d: "t",
      e: null,
      f: "2025-03-03 01:02:03.123456+00",
      g: "7",
      h: '{"a": 1.0}',
      i: "{1,2}",
    },
  ]);
});

test("a COMMIT that the server answered with ROLLBACK would be taken for done", async () => {
  await session.query("CREATE TABLE public.t (x int)");
  await session.begin();
  await session.query("INSERT INTO public.t VALUES (1)");
  await expect(session.query("SELECT 1 / 0")).rejects.toThrow("division by zero");
  await expect(session.commit()).rejects.toThrow(/COMMIT was answered with ROLLBACK/);
  expect(await value(session, "SELECT count(*) FROM public.t")).toBe("0");
});
