/** A table under a live writer with an exact ledger, a folder to type `partway` in, and SIGKILL at exact moments. */
import { expect } from "vitest";
import { z } from "zod";
import { compareWithLedger, createOrders, startWriter, type Writer } from "../../src/demo/writer.js";
import type { Session } from "../../src/pg/session.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type KillPoint, type KillProxy, startKillProxy } from "./killpoint.js";
import { type Ended, type Folder, freshFolder } from "./support.js";

export const TABLE = { schema: "public", name: "orders" };
/** Small batches, few leaves: many commits to be killed at, little to wait for. */
export const RUN = [
  ...["run", "orders", "--by", "created_at", "--every", "month", "--ahead", "1"],
  ...["--yes", "--no-hold", "--workers", "2", "--batch-blocks", "32", "--json"],
];

export interface Scene {
  db: TestDatabase;
  session: Session;
  folder: Folder;
  writer: Writer;
  /** What `folder`'s processes talk to the server through. */
  proxy: KillProxy;
  /** Another folder; what is typed there goes to the server directly. */
  otherFolder(): Folder;
  /** Runs `partway <args>` through the proxy to its end. */
  partway(args: readonly string[]): Promise<Ended>;
  /** Runs it until the kill point and expects that it died there. */
  kill(args: readonly string[], point: KillPoint): Promise<void>;
  /** The writer has sent `statements` more. */
  written(statements: number): Promise<void>;
  /** Pauses the writer, compares every row and value with its ledger, and lets it go on. */
  proveNothingLost(): Promise<void>;
  close(): Promise<void>;
}

export async function openScene(rows: number): Promise<Scene> {
  const built = bundleCli();
  const db = await freshDatabase();
  const session = await db.session();
  await createOrders(session, { ...TABLE, rows, months: 2 });
  const proxy: KillProxy = await startKillProxy(db.ownerUrl);
  const folder = freshFolder(built.file, proxy.url(db.ownerUrl));
  const others: Folder[] = [];
  const writer = await startWriter({
    ...{ url: db.ownerUrl, table: TABLE, clients: 3 },
    ...{ statementsPerSecond: 200, seed: 11 },
  });
  return {
    db,
    session,
    folder,
    writer,
    proxy,
    otherFolder: () => {
      const other = freshFolder(built.file, db.ownerUrl);
      others.push(other);
      return other;
    },
    partway: (args) => folder.run(args),
    kill: async (args, point) => {
      const process = folder.start(args);
      const armed = proxy.arm(point, () => process.child.kill("SIGKILL"));
      const { code, stdout, stderr } = await process.ended;
      proxy.disarm();
      expect(armed.happened(), `never came to ${point.text}: exit ${code}\n${stdout}${stderr}`).toBe(true);
      expect(process.child.signalCode).toBe("SIGKILL");
    },
    written: async (statements) => {
      const before = writer.stats().statements;
      await expect
        .poll(() => writer.stats().statements, { timeout: 60_000, interval: 10 })
        .toBeGreaterThan(before + statements);
    },
    proveNothingLost: async () => {
      const report = await writer.pause();
      expect(report.errors).toEqual([]);
      expect(await compareWithLedger(session, TABLE, report)).toEqual({
        ...{ equal: true, lost: 0, extra: 0, changed: 0 },
        examples: [],
      });
      writer.resume();
    },
    close: async () => {
      await writer.stop();
      await Promise.all([folder, ...others].map((one) => one.remove()));
      await proxy.stop();
      await db.drop();
      built.remove();
    },
  };
}

/** Every object Partway might leave: schema, triggers, functions, and all relations of the table's schema. */
const LEFT_SQL = `
SELECT 'schema ' || nspname AS line FROM pg_namespace WHERE nspname ~ 'partway'
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname !~ '^pg_|^information_schema$'
UNION ALL SELECT c.relkind::text || ' ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_|^information_schema$' AND c.relkind NOT IN ('i', 'I')
ORDER BY 1`;

/** Relations (without indexes), triggers, functions and schemas in the database that are not the system's. */
export async function objectsOf(session: Session): Promise<string[]> {
  const rows = await session.rows(z.object({ line: z.string() }), LEFT_SQL);
  return rows.map((row) => row.line);
}

/** The table's leaves by the catalog, as `objectsOf` names them. */
export async function leafObjects(session: Session): Promise<string[]> {
  const rows = await session.rows(
    z.object({ line: z.string() }),
    "SELECT 'r ' || inhrelid::regclass::name AS line FROM pg_inherits WHERE inhparent = 'public.orders'::regclass",
  );
  return rows.map((row) => row.line.replace("public.", ""));
}
