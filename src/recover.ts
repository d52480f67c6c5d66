/** Rebuilding a lost journal from what the target database knows (DESIGN 4). Part of the programmatic interface. */
import { z } from "zod";
import { PHASES, type RunEventBody } from "../state/events.js";
import type { Working } from "../state/machine.js";
import { type ConnectOptions, type StateOptions, targetOf, withSession } from "./api.js";
import { parseSettings } from "./config/request.js";
import { AFTER_CUTOVER, reconcile } from "./engine/reconcile.js";
import { openState, type StateDir } from "./engine/state-dir.js";
import { parseStoredPlan } from "./engine/stored-plan.js";
import { badInput } from "./errors.js";
import { describeTarget } from "./pg/target.js";
import type { Plan } from "./plan/types.js";
import { mustReadStored, STORE_SQL, type StorePhase, storeExists } from "./sync/store.js";

export interface Recovered {
  id: string;
  table: string;
  /** The next phase to do, by the database. */
  phase: StorePhase;
  /** The command to type next. */
  next: string;
  /** What the lost journal knew and the database does not. */
  unknown: string[];
}

export interface RecoverOptions extends ConnectOptions, StateOptions {
  /** Only this migration. */
  id?: string | undefined;
  /** Where a backup goes that is still to be made; false: nowhere. Default: `<state>/backups`. */
  backup?: string | false | undefined;
}

/**
 * Enters every migration that the database knows and the journal does not, or only `id`. Writes to the journal alone,
 * so it may be done while another process runs the migration. The settings are the defaults (give others to `resume`).
 * Errors: bad-input when the database knows no such migration, or this version cannot read one; then nothing is entered.
 */
export async function recover(options: RecoverOptions): Promise<Recovered[]> {
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
  const plans = found.map(({ id, phase, planJson }) => ({ phase, plan: parseStoredPlan(id, planJson) }));
  const state = openState(options.state, "make");
  try {
    return plans
      .filter(({ plan }) => state.journal.migration(plan.id) === null)
      .map(({ plan, phase }) => enter(state, plan, phase, describeTarget(target), options.backup));
  } finally {
    state.journal.close();
  }
}

function enter(
  state: StateDir,
  plan: Plan,
  phase: StorePhase,
  server: string,
  backup: string | false | undefined,
): Recovered {
  const { journal } = state;
  const table = `${plan.names.schema}.${plan.names.source}`;
  const backupDir = backup === false ? null : (backup ?? state.backups);
  const at = new Date().toISOString();
  journal.create({
    id: plan.id,
    server,
    table,
    plan,
    settings: { ...parseSettings({}), backupDir },
    // Whether it was to stop before cutover is not known, and an unknown wish is not taken for a yes.
    snapshot: { value: "halted", context: { from: positionAt(phase), until: "validate" } },
    state: "halted",
    at,
  });
  for (const event of passed(phase)) journal.event({ at, migration: plan.id, ...event });
  return { id: plan.id, table, phase, next: nextOf(plan.id, phase), unknown: unknownOf(phase, backupDir) };
}

/** Where a run goes on whose journal knows nothing. */
function positionAt(phase: StorePhase): Working {
  const at = reconcile("backup", phase);
  if (at === "ended" || at === "unknown") throw new Error(`the database is at ${phase}, which is no end`);
  return at;
}

/** The events that a status or a screen needs to say where the application is. */
function passed(phase: StorePhase): RunEventBody[] {
  const message = `the journal was rebuilt from the database, which is at ${phase}; what was recorded before is not known`;
  const told: RunEventBody = { event: "log", level: "warn", message };
  if (phase === "abort") return [{ event: "phase", phase, status: "started", ms: null }, told];
  const last = phase === "rolled-back" ? "retain" : phase;
  const done = PHASES.slice(0, PHASES.indexOf(last)).map(
    (name): RunEventBody => ({ event: "phase", phase: name, status: "done", ms: null }),
  );
  if (phase !== "rolled-back") return [...done, told];
  return [...done, { event: "phase", phase: "rollback", status: "started", ms: null }, told];
}

function nextOf(id: string, phase: StorePhase): string {
  switch (phase) {
    case "retain":
      return `partway resume ${id}, or partway rollback ${id}`;
    case "rolled-back":
      return `partway rollback ${id}`;
    case "drop":
      return `partway finalize ${id}`;
    case "abort":
      return `partway abort ${id}`;
    default:
      return `partway resume ${id}, or partway abort ${id}`;
  }
}

function unknownOf(phase: StorePhase, backupDir: string | null): string[] {
  const settings =
    "settings and hooks of the run: the defaults hold, and no hook; give them to the next command (--workers, --on, ...)";
  if (AFTER_CUTOVER.includes(phase)) return [...(phase === "retain" ? [ASKED_BACK] : []), settings];
  if (phase === "abort") return [];
  const backup =
    backupDir === null
      ? "none is made, as asked"
      : `it is made (again) in ${backupDir}; recover --no-backup or --backup <dir> says otherwise`;
  return [
    phase === "shadow"
      ? `a backup: ${backup}`
      : "where the backup lies: keep it, nothing refers to it any more",
    "--until: resume stops before cutover, ready for partway cutover",
    settings,
  ];
}

const ASKED_BACK =
  "a rollback that was asked for and had not swapped the names: type it again if it is wanted";
