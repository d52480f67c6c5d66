/** `partway smoke`: the configured checks again, at any time. Part of the programmatic interface. */
import type { RunEventBody } from "../state/events.js";
import { type ConnectOptions, type StateOptions, targetOf, withSession } from "./api.js";
import { runSmoke, type SmokeDone, type SmokeResult } from "./checks/smoke.js";
import { configFor, loadConfig } from "./config/load.js";
import { parseSettings } from "./config/request.js";
import { explainUntouched } from "./engine/faults.js";
import { openState, pickMigration } from "./engine/state-dir.js";
import { readPlan, readSettings } from "./engine/stored-plan.js";
import { badInput } from "./errors.js";

export interface SmokeOptions extends ConnectOptions, StateOptions {
  /** Default: the only open migration, else the newest. */
  id?: string | undefined;
  /** Configuration file whose checks are run; left out: those the migration was started with. */
  config?: string | undefined;
  onResult?: ((result: SmokeResult) => void) | undefined;
}

/**
 * Runs the checks on whichever table has the application's name, and keeps the results in the journal. Reads only.
 * Errors: bad-input when there is no check; a failed check is a result.
 */
export async function smoke(options: SmokeOptions): Promise<SmokeDone & { id: string }> {
  const { journal } = openState(options.state, "existing");
  try {
    const record = pickMigration(journal, options.id, true);
    const plan = readPlan(record);
    const checks = await checksOf(options, plan.request.table, () => readSettings(record, {}).smoke);
    if (checks.length === 0)
      throw badInput(
        `no smoke checks are configured for ${record.table}`,
        `Write them into the configuration file (key smoke, README.md), then: partway smoke ${plan.id} --config <file>`,
      );
    const emit = (body: RunEventBody) => {
      journal.event({ at: new Date().toISOString(), migration: plan.id, ...body });
      if (body.event === "smoke") options.onResult?.(body);
    };
    const done = await withSession(await targetOf(options), (session) =>
      runSmoke(session, plan, checks, { emit, gate: () => Promise.resolve() }),
    ).catch((error: unknown) => Promise.reject(explainUntouched(error)));
    return { ...done, id: plan.id };
  } finally {
    journal.close();
  }
}

async function checksOf(
  { config: file }: SmokeOptions,
  table: string,
  stored: () => ReturnType<typeof parseSettings>["smoke"],
) {
  if (file === undefined) return stored();
  const { config } = await loadConfig({ cwd: process.cwd(), file });
  return parseSettings({ smoke: configFor(config, table).smoke }).smoke;
}
