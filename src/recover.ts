/** Rebuilding a lost journal from what the target database knows (DESIGN 4). Part of the programmatic interface. */
import { z } from "zod";
import { type ConnectOptions, type StateOptions, targetOf, withSession } from "./api.js";
import { parseSettings } from "./config/request.js";
import { openState } from "./engine/state-dir.js";
import { parseStoredPlan } from "./engine/stored-plan.js";
import { badInput } from "./errors.js";
import { describeTarget } from "./pg/target.js";
import { mustReadStored, STORE_SQL, storeExists } from "./sync/store.js";

export interface Recovered {
  id: string;
  table: string;
  /** The next phase to do, by the database. */
  phase: string;
}

/**
 * Enters every migration that the database knows and the journal does not, or only `id`. Writes to the journal alone.
 * The settings are the defaults (give others to `resume`). Errors: bad-input when the database knows no such migration.
 */
export async function recover(
  options: ConnectOptions & StateOptions & { id?: string | undefined },
): Promise<Recovered[]> {
  const target = await targetOf(options);
  const found = await withSession(target, async (session) => {
    if (!(await storeExists(session))) return [];
    const known = await session.rows(z.object({ id: z.string() }), STORE_SQL.ids);
    const wanted = known.filter((row) => options.id === undefined || row.id === options.id);
    return Promise.all(wanted.map((row) => mustReadStored(session, row.id)));
  });
  if (found.length === 0)
    throw badInput(
      `${describeTarget(target)} knows no migration${options.id === undefined ? "" : ` ${options.id}`}`,
      "Check --url: a migration is recovered from the database it ran in.",
    );
  const state = openState(options.state, "make");
  const settings = { ...parseSettings({}), backupDir: state.backups };
  const recovered: Recovered[] = [];
  for (const stored of found) {
    if (state.journal.migration(stored.id) !== null) continue;
    const plan = parseStoredPlan(stored.id, stored.planJson);
    const table = `${plan.names.schema}.${plan.names.source}`;
    state.journal.create({
      id: stored.id,
      server: describeTarget(target),
      table,
      plan,
      settings,
      snapshot: null,
      // The first state there is: resume goes by the database's word, which is later or the same.
      state: "backup",
      at: new Date().toISOString(),
    });
    recovered.push({ id: stored.id, table, phase: stored.phase });
  }
  state.journal.close();
  return recovered;
}
