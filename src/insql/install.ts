/** Puts the functions into a database, and takes them away again; tables, rows and leaves are never touched. */

import { z } from "zod";
import { dropEmptyArchives } from "../archive/store.js";
import { CARE_SQL, Present, readPolicies, type StoredPolicy } from "../care/store.js";
import { PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import { STORE_SQL } from "../sync/store.js";
import { installStatements, SCRIPT_SQL } from "./script.js";

export const UNINSTALL_SQL = {
  alone: /*sql*/ `SELECT pg_try_advisory_xact_lock(hashtext('partway maintain'), 0)::text AS present`,
  leaving: /*sql*/ `SELECT leaf_name AS name FROM partway.partition_leaving ORDER BY 1`,
  dropPolicies: /*sql*/ `DROP TABLE partway.partition_metadata, partway.partition_leaving, partway.partition_config`,
  empty: /*sql*/ `
SELECT (NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('partway')
                    UNION ALL SELECT FROM pg_proc WHERE pronamespace = to_regnamespace('partway')))::text AS present`,
  dropSchema: /*sql*/ `DROP SCHEMA partway`,
} as const;

const Signature = z.object({ signature: z.string() });
const Version = z.object({ version: z.string() });

/** The version of the functions that are there; null: none are. */
export async function installedVersion(session: Session): Promise<string | null> {
  return (await session.maybe(Version, SCRIPT_SQL.version))?.version ?? null;
}

/** One transaction: all of the new version, or all of the old. */
export async function install(session: Session, version: string): Promise<void> {
  await session.tx(async () => {
    for (const sql of installStatements(version)) await session.query(sql);
  });
}

export interface Removed {
  /** Signatures. */
  functions: string[];
  /** Null: they were left. */
  policies: StoredPolicy[] | null;
}

/** Errors: `refused` while a migration has not ended, maintenance is at work, or (`policies`) a leaf waits to be dropped. */
export async function uninstall(session: Session, policies: boolean): Promise<Removed> {
  return session.tx(async () => {
    await session.query(STORE_SQL.oneMaker);
    const { present: alone } = await session.one(Present, UNINSTALL_SQL.alone);
    if (alone !== "true")
      throw new PartwayError("refused", {
        what: "a partway maintain, or one of these functions, is at work in this database",
        state: "Nothing was changed; it goes on.",
        next: "Wait for it, then the same command again.",
      });
    await noMigration(session);
    const functions = (await session.rows(Signature, SCRIPT_SQL.ours)).map(({ signature }) => signature);
    // Each as the server prints it: nothing of it is put together here.
    for (const signature of functions) await session.query(`DROP FUNCTION ${signature}`);
    if (!policies) return { functions, policies: null };
    return { functions, policies: await dropPolicies(session) };
  });
}

/** Schema partway has its bookkeeping, too. */
async function noMigration(session: Session): Promise<void> {
  if ((await session.one(Present, STORE_SQL.exists)).present !== "true") return;
  const open = await session.rows(z.object({ id: z.string() }), STORE_SQL.ids);
  if (open.length === 0) return;
  const ids = open.map(({ id }) => id).join(", ");
  throw new PartwayError("refused", {
    what: `schema partway keeps the books of a migration that has not ended: ${ids}`,
    state: "Nothing was changed.",
    next: `partway status ${open[0]?.id ?? ""}; finalize, roll back or abort it, then the same command again.`,
  });
}

async function dropPolicies(session: Session): Promise<StoredPolicy[]> {
  if ((await session.one(Present, CARE_SQL.exists)).present !== "true") return [];
  const leaving = await session.rows(z.object({ name: z.string() }), UNINSTALL_SQL.leaving);
  if (leaving.length > 0)
    throw new PartwayError("refused", {
      what: `leaves are on their way out, and only the policies say what becomes of them: ${leaving.map(({ name }) => name).join(", ")}`,
      state: "Nothing was changed.",
      next: "partway maintain --apply finishes them; then the same command again.",
    });
  const kept = await readPolicies(session);
  await session.query(UNINSTALL_SQL.dropPolicies);
  await dropEmptyArchives(session);
  if ((await session.one(Present, UNINSTALL_SQL.empty)).present === "true")
    await session.query(UNINSTALL_SQL.dropSchema);
  return kept;
}
