/** A partitioned table in care, and maintenance of it on a clock of the test's own. */
import { z } from "zod";
import { type Mode, maintainTable } from "../../src/care/maintain.js";
import { makeCareStore, readPolicies, writePolicy } from "../../src/care/store.js";
import type { PartitionPolicy } from "../../src/config/schema.js";
import type { Session } from "../../src/pg/session.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

export interface Scene {
  db: TestDatabase;
  session: Session;
  oid: string;
  /** By the row of partition_config, as the command does. */
  maintain(mode: Mode, now: string, tries?: number, holdBudgetMs?: number): ReturnType<typeof maintainTable>;
  leaves(): Promise<string[]>;
}

/** `public.orders (id, at, note)` by month, one leaf of January 2026 with options, rights and a row. */
export const TABLE_SQL = `
CREATE TABLE public.orders (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, note text,
  long text GENERATED ALWAYS AS (note || '!') STORED, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX orders_note_idx ON public.orders (note);
CREATE TABLE public.orders_2026_01 PARTITION OF public.orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')
  WITH (fillfactor = 70);
INSERT INTO public.orders (at, note) VALUES ('2026-01-10', 'first')`;

export async function openScene(policy: PartitionPolicy, ...more: string[]): Promise<Scene> {
  const db = await freshDatabase();
  const session = await db.session();
  const observer = await db.session();
  for (const sql of [TABLE_SQL, ...more]) await session.query(sql);
  const Oid = z.object({ oid: z.string() });
  const { oid } = await session.one(Oid, "SELECT 'public.orders'::regclass::oid::text AS oid");
  await makeCareStore(session);
  await writePolicy(session, oid, policy);
  const signal = new AbortController().signal;
  return {
    db,
    session,
    oid,
    maintain: async (mode, now, tries = 30, holdBudgetMs = 5000) => {
      const settings = { lockTimeoutMs: 100, lockTimeoutMaxMs: 300, lockTries: tries, holdBudgetMs };
      const stored = (await readPolicies(session)).find((row) => row.oid === oid);
      if (stored === undefined || stored.policy === null) throw new Error("the table is not in care");
      const work = { session, observer, settings, signal, deadlockMs: 1000, onTry: () => undefined };
      return maintainTable(work, { oid, policy: stored.policy, mode, now });
    },
    leaves: async () => {
      const Leaf = z.object({ name: z.string() });
      const rows = await session.rows(
        Leaf,
        `SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = $1::oid ORDER BY 1`,
        [oid],
      );
      return rows.map(({ name }) => name);
    },
  };
}
