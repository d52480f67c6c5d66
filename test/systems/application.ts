/** A system in a database of its own, and what its operator and its application see of one of its tables. */
import { expect } from "vitest";
import { ident, literal } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { type Clients, startClients } from "../migrations/clients.js";
import { lines } from "../migrations/shape.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import type { System, SystemTable } from "./system.js";

/** Seven tables' clients and a migration share what cores there are. */
const THINK_MS = 20;

export interface Application {
  db: TestDatabase;
  /** As the migrating role, the owner of everything. */
  session: Session;
  /** As the application, which has rights and owns nothing. */
  user: Session;
  clients(table: SystemTable, count: number): Promise<Clients>;
  close(): Promise<void>;
}

/** Makes the system: schema, rows, statistics. */
export async function openApplication(system: System): Promise<Application> {
  const db = await freshDatabase();
  const app = `app_${db.name}`;
  await asAdmin(db.superuserUrl, (admin) =>
    admin.query(`CREATE ROLE ${ident(app)} LOGIN PASSWORD ${literal(app)}`),
  );
  const close = async () => {
    await db.drop();
    await asAdmin(serverUrl(db), (admin) => admin.query(`DROP ROLE ${ident(app)}`));
  };
  try {
    const maker = await db.session();
    await maker.query("SET search_path = public");
    for (const sql of system.schema) await maker.query(sql.replaceAll("{app}", ident(app)));
    await maker.query("SELECT setseed(0.42)");
    for (const sql of system.rows) await maker.query(sql);
    await maker.query("ANALYZE");
    const url = new URL(db.ownerUrl);
    url.username = app;
    url.password = app;
    const user = await db.session(url.href);
    await user.query(`SET search_path = ${system.path}`);
    return {
      db,
      session: await db.session(),
      user,
      clients: ({ table, insert, updates, mine }, count) =>
        startClients({ url: url.href, table, insert, updates, mine, thinkMs: THINK_MS }, count),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The application's role outlives its database, so it is dropped from another one. */
function serverUrl({ superuserUrl }: TestDatabase): string {
  const url = new URL(superuserUrl);
  url.pathname = "/postgres";
  return url.href;
}

/** What each query of the system answers; a query that changes rows is undone. Rows in no order but ORDER BY's. */
export async function answers(user: Session, queries: readonly string[]): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const sql of queries) {
    const { rows } = await undone(user, () => user.query(sql));
    const found = rows.map((row) => JSON.stringify(row));
    all[sql] = sql.includes("ORDER BY") ? found : found.toSorted();
  }
  return all;
}

/** Every foreign key of the table still refuses. */
export async function assertKeysRefuse(user: Session, statements: readonly string[] = []): Promise<void> {
  for (const sql of statements) {
    await expect(
      undone(user, () => user.query(sql)),
      sql,
    ).rejects.toThrow(/violates foreign key constraint/);
  }
}

/** Each query can be answered from the index it is there for. */
export async function assertIndexed(user: Session, indexed: Record<string, string> = {}): Promise<void> {
  for (const [sql, index] of Object.entries(indexed)) {
    const { rows } = await undone(user, async () => {
      await user.query("SET LOCAL enable_seqscan = off");
      return user.query(`EXPLAIN ${sql}`);
    });
    expect(rows.map((row) => row["QUERY PLAN"]).join("\n")).toContain(index);
  }
}

async function undone<T>(user: Session, work: () => Promise<T>): Promise<T> {
  await user.begin();
  try {
    return await work();
  } finally {
    await user.rollback();
  }
}

export interface Bonds {
  foreignKeys: string[];
  referencedBy: string[];
  triggers: string[];
  views: string[];
}

/** What ties the table to the rest of its system: none of it may be lost, nor stay with the old table. */
export async function bondsOf(session: Session, table: string): Promise<Bonds> {
  const read = (sql: string) => lines(session, sql, [table]);
  return {
    foreignKeys: await read(
      `SELECT concat_ws(' ', conname, pg_get_constraintdef(oid), convalidated) AS line FROM pg_constraint
        WHERE conrelid = $1::regclass AND contype = 'f' ORDER BY 1`,
    ),
    referencedBy: await read(
      `SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) AS line
         FROM pg_constraint WHERE confrelid = $1::regclass AND contype = 'f' AND conparentid = 0 ORDER BY 1`,
    ),
    triggers: await read(
      `SELECT concat_ws(' ', pg_get_triggerdef(oid), tgenabled) AS line FROM pg_trigger
        WHERE tgrelid = $1::regclass AND NOT tgisinternal AND NOT starts_with(tgname, 'partway_') ORDER BY 1`,
    ),
    views: await read(
      `SELECT DISTINCT concat_ws(' ', r.ev_class::regclass, pg_get_viewdef(r.ev_class), obj_description(r.ev_class, 'pg_class')) AS line
         FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
        WHERE d.refobjid = $1::regclass AND d.refclassid = 'pg_class'::regclass ORDER BY 1`,
    ),
  };
}

/** Every relation that is not the server's own, with its oid: what a way there and back must leave as it was. */
export function relations(session: Session): Promise<string[]> {
  return lines(
    session,
    `SELECT concat_ws(' ', relkind, oid::regclass, oid) AS line FROM pg_class
      WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY 1`,
  );
}
