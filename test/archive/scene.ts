/** A partitioned table with whatever is hard to take out and bring back, and a folder for its archives. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { z } from "zod";
import { ARCHIVE_SQL } from "../../src/archive/store.js";
import { sumSql } from "../../src/backup/sql.js";
import { adopt } from "../../src/care.js";
import { readColumns } from "../../src/catalog/columns.js";
import type { ArchiveSettings } from "../../src/config/schema.js";
import { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

/** Quoted names, a dropped column, identity and generated columns; a leaf of January 2024 with every hard value. */
const HARD_SQL = [
  `CREATE TYPE public.mood AS ENUM ('fine', 'so, so "so"')`,
  "CREATE TYPE public.spot AS (x float8, label text)",
  "CREATE DOMAIN public.short AS text CHECK (length(VALUE) < 100)",
  `CREATE TABLE public."Odd Orders" (gone int, id bigint GENERATED ALWAYS AS IDENTITY, "createdAt" timestamptz NOT NULL,
     note text, raw bytea, tags text[], score float8, small real, until timestamptz, day date, amount numeric,
     doc jsonb, plain json, span interval, r int4range, mood public.mood, spot public.spot, short public.short,
     doubled numeric GENERATED ALWAYS AS (amount * 2) STORED, PRIMARY KEY (id, "createdAt")) PARTITION BY RANGE ("createdAt")`,
  `ALTER TABLE public."Odd Orders" DROP COLUMN gone`,
  `CREATE INDEX "Odd by note" ON public."Odd Orders" (note)`,
  `CREATE TABLE public."Odd 2024_01" PARTITION OF public."Odd Orders" FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')`,
  `CREATE TABLE public."Odd 2024_02" PARTITION OF public."Odd Orders" FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')`,
  `INSERT INTO public."Odd Orders" ("createdAt", note, raw, tags, score, small, until, day, amount, doc, plain, span, r, mood, spot, short) VALUES
     ('2024-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
     ('2024-01-02', '', '', '{}', 'NaN', 'Infinity', 'infinity', '-infinity', 'NaN', 'null', 'null', '0', 'empty', 'fine', '(,)', ''),
     ('2024-01-03 04:05:06.789012+01', 'a "quoted", b' || chr(10) || '\\.' || chr(13) || chr(10) || chr(9) || 'ü 🐘 \\N', '\\x00ff0a22',
      ARRAY['a,b', 'NULL', NULL, '"', chr(10), ''], 1.7976931348623157e308, 1.17549435e-38, '4714-11-24 00:00:00+00 BC', '5874897-12-31',
      12345678901234567890.1234567890, '{"a": 1.0, "b": "\\u00fc"}', '{ "b" : 1,  "b" : 2 }', '1 year -2 days 03:04:05.678',
      '[1,5)', 'so, so "so"', '(5e-324,"a""b")', '\\N'),
     ('2024-01-31 23:59:59.999999+00', '\\.', '\\x', '{{1,2},{3,4}}', '-0', -0.1, '-infinity', '2024-01-31', '1.10', '[]', '[]', '-1 mons', '(,)',
      'fine', '(NaN,"")', 'NULL')`,
  `INSERT INTO public."Odd Orders" ("createdAt", note, amount) SELECT '2024-01-15'::timestamptz + n * interval '1 second',
     repeat(md5(n::text), 20), n FROM generate_series(1, 400) AS n`,
];

/** The policy keeps leaves for a week: January has expired, February has not. */
export const NOW = "2024-02-10 00:00:00";
/** With January's leaf, and without. */
export const ATTACHED = ["Odd 2024_01 *", "Odd 2024_02 *", "Odd Orders"];
export const GONE = ["Odd 2024_02 *", "Odd Orders"];

export const TABLE = '"Odd Orders"';
export const LEAF = "Odd 2024_01";

export interface ArchiveScene {
  db: TestDatabase;
  session: Session;
  /** An empty folder of the test's own. */
  dir: string;
  /** Count and content hash of a table of public. */
  sum(name?: string): Promise<{ rows: string; hash: string }>;
  /** Tables of public, leaves as `name *`. */
  tables(): Promise<string[]>;
  adopt(archive: ArchiveSettings): Promise<void>;
  files(): string[];
  /** Rows of one text column called `text`. */
  texts(sql: string): Promise<string[]>;
  drop(): Promise<void>;
}

export async function openArchiveScene(): Promise<ArchiveScene> {
  const db = await freshDatabase();
  const session = await db.session();
  for (const sql of HARD_SQL) await session.query(sql);
  const dir = mkdtempSync(join(tmpdir(), "partway-archive-"));
  const Text = z.object({ text: z.string() });
  const texts = async (sql: string) => (await session.rows(Text, sql)).map(({ text }) => text);
  return {
    ...{ db, session, dir, texts },
    sum: async (name = LEAF) => {
      const Oid = z.object({ oid: z.string() });
      const at = await session.one(
        Oid,
        "SELECT oid::text AS oid FROM pg_class WHERE relname = $1 AND relnamespace = 'public'::regnamespace",
        [name],
      );
      const columns = (await readColumns(session, at.oid)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
      return session.one(
        z.object({ rows: z.string(), hash: z.string() }),
        sumSql({ schema: "public", name, columns }),
      );
    },
    tables: () =>
      texts(`SELECT relname || CASE WHEN relispartition THEN ' *' ELSE '' END AS text FROM pg_class
              WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`),
    adopt: async (archive) => {
      const policy = { retention: "1w", expired: "archive", archive, ahead: 0 } as const;
      await adopt({ url: db.ownerUrl, tables: [`public.${TABLE}`], policy });
    },
    files: () => {
      const all = readdirSync(dir, { recursive: true, withFileTypes: true });
      return all
        .filter((one) => one.isFile())
        .map((one) => join(one.parentPath, one.name))
        .toSorted();
    },
    drop: async () => {
      rmSync(dir, { recursive: true, force: true });
      await db.drop();
    },
  };
}

/** Has `late` run right after each proof of an archive, before anything else is done. */
export function afterEachProof(late: () => Promise<unknown>): void {
  const original = Session.prototype.query;
  vi.spyOn(Session.prototype, "query").mockImplementation(async function (
    this: Session,
    ...asked: Parameters<Session["query"]>
  ) {
    const result = await original.apply(this, asked);
    if (asked[0] === ARCHIVE_SQL.verified) await late();
    return result;
  });
}
