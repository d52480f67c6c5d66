/**
 * The programmatic interface; the command line is a thin layer over it and has no logic of its own.
 *
 * ```ts
 * import { plan, run } from "partway";
 * const p = await plan({ table: "orders", by: "created_at", every: "month" });
 * const engine = await run({ table: "orders", by: "created_at", every: "month", onEvent: console.log });
 * const { outcome, exitCode } = await engine.finished;
 * ```
 */
import { randomBytes } from "node:crypto";
import type { PhaseName, RunEvent } from "../state/events.js";
import type { Working } from "../state/machine.js";
import { fingerprint } from "./catalog/fingerprint.js";
import { readMeans } from "./catalog/means.js";
import { readTable } from "./catalog/read.js";
import { survey } from "./catalog/survey.js";
import { readWalFacts } from "./catalog/wal.js";
import { previewChecks } from "./checks/preview.js";
import { sampleTable } from "./checks/sample.js";
import { type ForecastSettings, parseForecast } from "./config/forecast.js";
import { configFor, loadConfig } from "./config/load.js";
import {
  mergePolicy,
  parseRequest,
  parseSettings,
  type RawOptions,
  type RawSettings,
} from "./config/request.js";
import { endedHere } from "./engine/ended.js";
import { Engine } from "./engine/engine.js";
import { explainFault, explainUntouched } from "./engine/faults.js";
import type { Intent } from "./engine/intent.js";
import { forwardCommand } from "./engine/other-process.js";
import { reconcile } from "./engine/reconcile.js";
import { acceptAll, heldUp } from "./engine/rehearsed.js";
import { alreadyEnded, endedMeanwhile, type Running, restedMeanwhile } from "./engine/running.js";
import { openState, pickMigration, type StateDir } from "./engine/state-dir.js";
import {
  type Controls,
  controlsOf,
  positionOf,
  readPlan,
  readSettings,
  UNCONTROLLED,
  untilOf,
} from "./engine/stored-plan.js";
import { PartwayError } from "./errors.js";
import { poolerRefusal } from "./pg/pooler.js";
import { resolveTarget } from "./pg/resolve.js";
import { Session } from "./pg/session.js";
import { standbyRefusal } from "./pg/standby.js";
import { describeTarget, type Target } from "./pg/target.js";
import type { Settings } from "./phases/phase.js";
import { findColumn } from "./plan/columns.js";
import { hasFallback } from "./plan/fallback.js";
import { freeSpace } from "./plan/free-space.js";
import { makePlan } from "./plan/index.js";
import { chooseMeans } from "./plan/means.js";
import { newMigrationId } from "./plan/names.js";
import type { Plan } from "./plan/types.js";
import { makeStored, otherMigration, readStored } from "./sync/store.js";
import { settingsFor } from "./throttle/ask.js";
import { previewThrottle } from "./throttle/preview.js";

export interface ConnectOptions {
  /** As psql takes it; else DATABASE_URL, else PG* and ~/.pgpass. */
  url?: string | undefined;
}

export interface StateOptions {
  /** State directory; default `.partway`. */
  state?: string | undefined;
}

export interface PlanOptions extends ConnectOptions, RawOptions {
  /** `orders`, `public.orders`, `"Conversation Message"`. */
  table: string;
  /** Configuration file; default `partway.config.*` in the current folder. */
  config?: string | undefined;
}

export interface RunOptions extends PlanOptions, RawSettings, StateOptions {
  /** Stop after this phase. */
  until?: PhaseName | undefined;
  /** Stay after cutover, keep the retired table current, drop it at the deadline. */
  hold?: boolean | undefined;
  /** Rest at ready, current, until the cutover is allowed. */
  postpone?: boolean | undefined;
  /** Sees the plan before anything is written; false ends the run with nothing touched. */
  confirm?: ((plan: Plan) => Promise<boolean>) | undefined;
  onEvent?: ((event: RunEvent) => void) | undefined;
}

/** Runs `work` with a session that is closed afterwards. */
export async function withSession<T>(target: Target, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await Session.open(target);
  try {
    return await work(session);
  } finally {
    await session.end();
  }
}

/** Where to connect, as psql would understand it. */
export function targetOf(options: ConnectOptions): Promise<Target> {
  return resolveTarget(options.url === undefined ? {} : { url: options.url }, process.env);
}

async function settle(options: PlanOptions & RawSettings) {
  const file = options.config;
  const { config } = await loadConfig({ cwd: process.cwd(), ...(file === undefined ? {} : { file }) });
  const merged = mergePolicy<PlanOptions & RawSettings>(
    { ...configFor(config, options.table), table: options.table },
    options,
  );
  return { merged, request: parseRequest(options.table, merged), target: await targetOf(options) };
}

/** What a migration would do. Touches nothing. Errors: bad-input; refusals are part of the plan. */
export async function plan(options: PlanOptions & Pick<RawSettings, "workers">): Promise<Plan> {
  const { request, target, merged } = await settle(options);
  return planned(target, request, parseSettings(merged), asksOf(merged));
}

interface Asked extends ForecastSettings {
  areWorkersGiven: boolean;
}

function asksOf(merged: Parameters<typeof parseForecast>[0] & RawSettings): Asked {
  return { ...parseForecast(merged), areWorkersGiven: merged.workers !== undefined };
}

async function planned(
  target: Target,
  request: ReturnType<typeof parseRequest>,
  settings: Pick<Settings, "smoke" | "queries" | "throttle" | "workers">,
  asked: Asked,
): Promise<Plan> {
  try {
    return await withSession(target, async (session) => {
      const means = chooseMeans(
        await readMeans(session),
        asked.areWorkersGiven ? settings.workers : undefined,
      );
      const made = await planOn(session, target, request, {
        ...asked,
        workers: means.workers,
        buildBytes: means.build.memoryKb * 1024,
      });
      const checks = await previewChecks(session, made.names, settings);
      const throttle = await previewThrottle(session, made, settingsFor(made, settings.throttle));
      const space = freeSpace(made, asked.freeDiskBytes);
      const warnings = [...(made.warnings ?? []), ...space.warnings, ...checks, ...throttle.warnings];
      const refusals = [...made.refusals, ...space.refusals, ...throttle.refusals];
      return { ...made, means, refusals, ...(warnings.length === 0 ? {} : { warnings }) };
    });
  } catch (error) {
    throw explainUntouched(error);
  }
}

async function planOn(
  session: Session,
  target: Target,
  request: ReturnType<typeof parseRequest>,
  how: ForecastSettings & { workers: number; buildBytes: number },
): Promise<Plan> {
  const table = await readTable(session, request.table);
  // Folded as psql folds it; a column that is not there is named by the survey, with the columns that are.
  const column = findColumn(table, request.scheme.column)?.name ?? request.scheme.column;
  const surveyed = await survey(session, table, { ...request.scheme, column }, hasFallback(request));
  const made = makePlan({
    table,
    survey: request.capture === "wal" ? { ...surveyed, wal: await readWalFacts(session) } : surveyed,
    request,
    fingerprint: await fingerprint(session, table.oid),
    id: newMigrationId(table.name, randomBytes(3).toString("hex")),
    nonce: randomBytes(12).toString("hex"),
    sample: how.sample ? await sampleTable(session, table) : { why: "--no-sample" },
    workers: how.workers,
    buildBytes: how.buildBytes,
  });
  const pooler = await poolerRefusal(session, () => Session.open(target));
  const standby = await standbyRefusal(session);
  const other = await otherMigration(session, table.oid);
  return { ...made, refusals: [...made.refusals, ...pooler, ...standby, ...other] };
}

function refused(made: Plan): PartwayError {
  const lines = made.refusals.map(
    (r) => `  ${r.code}: ${r.what}\n    why: ${r.why}\n    remedy: ${r.remedy}`,
  );
  return new PartwayError("refused", {
    what: `${made.names.schema}.${made.names.source} cannot be migrated as it is:\n${lines.join("\n")}`,
    state: "Nothing was touched.",
    next: "Apply the remedy and run the same command again.",
  });
}

/** Plans, asks, and starts a migration. Resolves with the running engine; `engine.finished` tells how it ended. */
export async function run(options: RunOptions): Promise<Running> {
  const { merged, request, target } = await settle(options);
  const settings = { ...parseSettings(merged) };
  const made = await planned(target, request, settings, asksOf(merged));
  if (made.refusals.length > 0) throw refused(made);
  if (options.confirm !== undefined && !(await options.confirm(made))) {
    throw new PartwayError("stopped", {
      what: "not confirmed",
      state: "Nothing was touched.",
      next: "The same command with --yes runs without asking.",
    });
  }
  const state = openState(options.state, "make");
  const controls = { ...UNCONTROLLED, postponed: options.postpone === true };
  if (merged.backup === undefined) settings.backupDir = state.backups;
  if (merged.workers === undefined && made.means !== undefined) {
    settings.workers = made.means.workers;
    settings.workersWhy = made.means.workersWhy;
  }
  state.journal.create({
    id: made.id,
    server: describeTarget(target),
    table: `${made.names.schema}.${made.names.source}`,
    plan: made,
    settings,
    // Killed before its first step, a resume must still know where to stop.
    snapshot: { value: "backup", context: { from: "backup", until: options.until ?? null, ...controls } },
    state: "backup",
    at: new Date().toISOString(),
  });
  // The journal has it: from here on "nothing was touched" would not be true, also of a server that is gone again.
  await withSession(target, (session) => makeStored(session, made)).catch((error: unknown) => {
    throw explainFault(error, made.id);
  });
  return launch(state, target, made, settings, {
    hold: options.hold ?? false,
    until: options.until ?? null,
    controls,
    takeover: false,
    from: "backup",
    intent: "resume",
    onEvent: options.onEvent,
  });
}

interface Launch {
  hold: boolean;
  until: PhaseName | null;
  controls: Controls;
  takeover: boolean;
  from: Working;
  intent: Intent;
  onEvent: ((event: RunEvent) => void) | undefined;
}

async function launch(
  state: StateDir,
  target: Target,
  made: Plan,
  settings: Settings,
  how: Launch,
): Promise<Engine> {
  const { onEvent, ...rest } = how;
  const engine = new Engine({
    plan: made,
    target,
    journal: state.journal,
    log: state.log,
    settings,
    ...rest,
  });
  if (onEvent !== undefined) engine.onEvent(onEvent);
  await engine.start();
  return engine;
}

export interface ResumeOptions extends ConnectOptions, StateOptions, RawSettings {
  /** Default: the only migration that has not ended. */
  id?: string | undefined;
  hold?: boolean | undefined;
  /** Left out: as the migration was told before. null: go through. */
  until?: PhaseName | null | undefined;
  /** Rest at ready, current, until the cutover is allowed; a postponement from before is kept. */
  postpone?: boolean | undefined;
  takeover?: boolean | undefined;
  onEvent?: ((event: RunEvent) => void) | undefined;
  /** cutover: accept everything that was found by a rehearsal. */
  accept?: boolean | undefined;
  /** finalize before the deadline: the table's name, typed. */
  force?: string | undefined;
}

/** Goes on with a migration for one of: resume, cutover, rollback, finalize, abort. */
export async function proceed(intent: Intent, options: ResumeOptions): Promise<Running> {
  const state = openState(options.state, "existing");
  const record = pickMigration(state.journal, options.id);
  const made = readPlan(record);
  const ended = alreadyEnded(record, made, intent);
  if (ended !== null) return ended;
  if (intent === "cutover" && options.accept === true) acceptAll(state.journal, made.id);
  // A live process drives it: the wish is passed on through the journal.
  const elsewhere = options.takeover === true ? null : await forwardCommand(state, record, intent);
  if (elsewhere !== null) return elsewhere;
  const target = await targetOf(options);
  const settings = readSettings(record, options);
  settings.forceDrop = forceOf(options.force, made);
  const stored = await withSession(target, async (session) => {
    const found = await readStored(session, made.id);
    if (found !== null || record.state !== "backup") return found;
    // The process died between its journal and its row in the database; another database gets no row.
    if (!(await endedHere(session, made, "backup"))) return null;
    await makeStored(session, made);
    return readStored(session, made.id);
  }).catch((error: unknown) => {
    throw error instanceof PartwayError ? error : explainFault(error, made.id);
  });
  // Once the names are swapped there is nothing left to hold up.
  const held = intent === "cutover" && stored?.phase === "cutover" ? heldUp(state.journal, made) : null;
  if (held !== null) throw held;
  const kept = controlsOf(record);
  const controls = {
    ...kept,
    postponed: intent !== "cutover" && (options.postpone === true || kept.postponed),
  };
  const from = reconcile(positionOf(record), stored?.phase ?? null, intent, controls.postponed);
  if (from === "unknown") throw unknownMigration(made, target);
  if (from === "ended" && !(await withSession(target, (s) => endedHere(s, made, positionOf(record)))))
    throw unknownMigration(made, target);
  if (from === "ended") return endedMeanwhile(state, made, positionOf(record), intent);
  const told = intent === "cutover" ? null : untilOf(record);
  const until = options.until === undefined ? told : options.until;
  const behind = options.until === undefined && until !== null && liesBehind(until, from);
  if (behind && intent === "resume" && record.outcome === null)
    return restedMeanwhile(state, made, { until, from, controls });
  return launch(state, target, made, settings, {
    hold: options.hold ?? false,
    until: behind ? null : until,
    controls,
    takeover: options.takeover ?? false,
    from,
    intent,
    onEvent: options.onEvent,
  });
}

/** --until named a phase that is done. From `validate` on the machine rests in states of their own. */
function liesBehind(until: PhaseName, from: Working): boolean {
  const order: readonly Working[] = ["backup", "shadow", "copy", "index", "validate"];
  const at = order.indexOf(until);
  return at >= 0 && until !== "validate" && order.indexOf(from) > at;
}

/** finalize --force takes the table's name, so that nobody drops a retired table by habit. */
function forceOf(typed: string | undefined, made: Plan): boolean {
  if (typed === undefined) return false;
  const { schema, source } = made.names;
  if (typed === source || typed === `${schema}.${source}`) return true;
  throw new PartwayError("bad-input", {
    what: `--force ${typed} is not the table's name (${schema}.${source})`,
    state: "Nothing was dropped.",
    next: `partway finalize ${made.id} --force ${source}`,
  });
}

function unknownMigration(made: Plan, target: Target): PartwayError {
  return new PartwayError("bad-input", {
    what: `${describeTarget(target)} has no record of migration ${made.id}`,
    state:
      "Nothing was touched. Either it ended there, or this is another database than the one it was started on.",
    next: "Check --url against partway list, which shows where each migration ran.",
  });
}
