/** Two databases of one server: a table of months in the one, and a foreign server that reads the other. */
import { vi } from "vitest";
import { z } from "zod";
import { ident, literal } from "../../src/pg/quote.js";
import { Session } from "../../src/pg/session.js";
import { asAdmin, freshDatabase, type TestDatabase, targetOf } from "../support/database.js";

export const [TABLE, OLD, NEW] = ["public.orders", "orders_2024_01", "orders_2024_02"];

export interface ColdScene {
  hot: TestDatabase;
  cold: TestDatabase;
  session: Session;
  far: Session;
  /** As the owner of both: the options of every command. */
  to: { url: string; to: string; table: string };
  /** Rows of one text column called `text`. */
  texts(sql: string, on?: Session): Promise<string[]>;
  /** Everything in January, by values, through `from`. */
  values(from: string, on?: Session): Promise<string[]>;
  /** Tables of public with their kind; leaves as `name *`. */
  tables(on?: Session): Promise<string[]>;
  drop(): Promise<void>;
}

export async function openColdScene(options: { unique: boolean; bare?: boolean }): Promise<ColdScene> {
  const [hot, cold] = [await freshDatabase(), await freshDatabase()];
  const [session, far] = [await hot.session(), await cold.session()];
  const key = options.unique ? ", PRIMARY KEY (id, at)" : "";
  for (const on of [session, far]) await on.query("CREATE TYPE public.mood AS ENUM ('so, so', 'fine')");
  for (const sql of [
    `CREATE TABLE public.orders (gone int, id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, note text,
       mood public.mood, amount numeric CHECK (amount < 1e6), doubled numeric GENERATED ALWAYS AS (amount * 2) STORED${key}) PARTITION BY RANGE (at)`,
    "ALTER TABLE public.orders DROP COLUMN gone",
    "CREATE INDEX ON public.orders (note)",
    `CREATE TABLE public.${OLD} PARTITION OF public.orders FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')`,
    `CREATE TABLE public.${NEW} PARTITION OF public.orders FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')`,
    `INSERT INTO public.orders (at, note, mood, amount) SELECT '2024-01-01'::timestamptz + n * interval '1 minute',
       CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'a\\t"b"\\n\\\\N ü' ELSE md5(n::text) END,
       CASE WHEN n % 2 = 0 THEN 'fine'::public.mood END, n / 7.0 FROM generate_series(1, 2000) AS n`,
    "INSERT INTO public.orders (at, amount) VALUES ('2024-02-03', 1)",
    "ANALYZE public.orders",
  ])
    await session.query(sql);
  const { host, port } = targetOf(cold.superuserUrl);
  if (options.bare !== true)
    await asAdmin(hot.superuserUrl, async (admin) => {
      await admin.query("CREATE EXTENSION postgres_fdw SCHEMA public");
      await admin.query(
        `CREATE SERVER partway_cold FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host ${literal(host)}, port ${literal(String(port))}, dbname ${literal(cold.name)})`,
      );
      await admin.query(`GRANT USAGE ON FOREIGN SERVER partway_cold TO ${ident(hot.role)}`);
      await admin.query(mappingSql(hot.role, cold));
    });
  const Text = z.object({ text: z.string() });
  const texts = async (sql: string, on = session) => (await on.rows(Text, sql)).map(({ text }) => text);
  return {
    ...{ hot, cold, session, far, texts },
    to: { url: hot.ownerUrl, to: cold.ownerUrl, table: TABLE },
    values: (from, on) =>
      texts(
        `SELECT o::text AS text FROM (SELECT id, at, note, mood, amount, doubled FROM ${from} WHERE at < '2024-02-01') AS o ORDER BY id`,
        on,
      ),
    tables: (on) =>
      texts(
        `SELECT relkind::text || ' ' || relname || CASE WHEN relispartition THEN ' *' ELSE '' END AS text FROM pg_class
          WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f', 'v') ORDER BY relname`,
        on,
      ),
    drop: async () => {
      await hot.drop();
      await cold.drop();
    },
  };
}

export function mappingSql(role: string, cold: TestDatabase): string {
  const { user, password } = targetOf(cold.ownerUrl);
  return `CREATE USER MAPPING FOR ${ident(role)} SERVER partway_cold OPTIONS (user ${literal(user)}, password ${literal(password?.reveal() ?? "")})`;
}

/** Has `late` run right after the statement that `is` recognises, before anything else is done. */
export function after(is: (sql: string) => boolean, late: () => Promise<unknown>): void {
  const original = Session.prototype.query;
  let done = false;
  vi.spyOn(Session.prototype, "query").mockImplementation(async function (
    this: Session,
    ...asked: Parameters<Session["query"]>
  ) {
    const result = await original.apply(this, asked);
    if (!done && is(asked[0])) {
      done = true;
      await late();
    }
    return result;
  });
}
