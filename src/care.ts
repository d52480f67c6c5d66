/** The care of partitioned tables: adopt, maintain, health, partitions. Part of the programmatic interface. */

import type { z } from "zod";
import { type ConnectOptions, targetOf, withSession } from "./api.js";
import { type AdoptReport, adoptTable } from "./care/adopt.js";
import { oneAtATime, stoppedMaintenance, withdrawn } from "./care/alone.js";
import { entryFor } from "./care/entry.js";
import { readBytes, readHealth } from "./care/facts.js";
import { type HealthReport, healthOf } from "./care/health.js";
import { type MaintainReport, type MaintainStep, type Mode, maintainTable } from "./care/maintain.js";
import { CARE_SQL, readPolicies, type StoredPolicy } from "./care/store.js";
import { type CareTable, readCareTable } from "./care/table.js";
import { type HealthChange, tellChanges } from "./care/tell.js";
import { parseWebhook } from "./care/webhook.js";
import type { CareWork } from "./care/work.js";
import { type ColdRow, coldLeavesOf } from "./cold/store.js";
import { parseMilliseconds } from "./config/duration.js";
import { loadConfig } from "./config/load.js";
import { parseSettings, type RawSettings } from "./config/request.js";
import { type PartitionPolicy, partitionPolicySchema } from "./config/schema.js";
import { explainUntouched } from "./engine/faults.js";
import {
  asPartwayError,
  badInput,
  EXIT,
  type ExitCode,
  messageOf,
  PartwayError,
  UnknownTable,
} from "./errors.js";
import { deadlockTimeoutMs, type LockTry } from "./pg/locks.js";
import { ConnectionLost, type Session } from "./pg/session.js";
import { SQLSTATE, sqlState } from "./pg/sqlstate.js";
import { describeTarget } from "./pg/target.js";

export interface CareOptions extends ConnectOptions {
  /** As typed; left out: all that are in care (`adopt`: all of the configuration file). */
  tables?: readonly string[] | undefined;
  config?: string | undefined;
  /** Instead of the database's clock, `2026-01-31 02:00:00` in UTC: for plays of years. */
  now?: string | undefined;
}

export interface AdoptOptions extends CareOptions {
  policy?: z.input<typeof partitionPolicySchema> | undefined;
  /** Look only. */
  dryRun?: boolean | undefined;
}

export interface MaintainOptions
  extends CareOptions,
    Pick<RawSettings, "lockTimeout" | "lockTimeoutMax" | "lockTries" | "holdBudget"> {
  /** Change nothing. */
  dryRun?: boolean | undefined;
  /** Detach and drop, too. Without it expired leaves are only named. */
  apply?: boolean | undefined;
  /** These steps alone; left out: all of them. */
  steps?: readonly MaintainStep[] | undefined;
  /** Instead of the policy's `ahead`: leaves until the end of the month that lies so many ahead. */
  monthsAhead?: number | undefined;
  /** Instead of the policy's, as it is written there. */
  retention?: string | undefined;
  signal?: AbortSignal | undefined;
  onTry?: ((attempt: LockTry) => void) | undefined;
  onArchive?: CareWork["onArchive"];
  onNote?: CareWork["onNote"];
  /** After each table. */
  onTable?: ((outcome: MaintainOutcome) => void) | undefined;
}

/** `done`: what was done nevertheless. */
export type MaintainOutcome =
  | MaintainReport
  | { table: string; error: PartwayError; done: MaintainReport | null };

export interface MaintainResult {
  tables: MaintainOutcome[];
  /** Of the first table that failed. */
  exitCode: ExitCode;
}

/** Takes tables into care. Errors: bad-input naming table and key; then nothing is written for any of them. */
export async function adopt(options: AdoptOptions): Promise<AdoptReport[]> {
  const parsed = partitionPolicySchema.safeParse(options.policy ?? {});
  if (!parsed.success)
    throw badInput(
      parsed.error.issues.map(({ path, message }) => `--${path.join(".")}: ${message}`).join("; "),
      "partway adopt --help shows the options.",
    );
  const file = await partitionsOf(options.config);
  const names =
    options.tables !== undefined && options.tables.length > 0 ? options.tables : Object.keys(file);
  if (names.length === 0)
    throw badInput(
      "no table is named, and the configuration file has no partitions",
      "Name one: partway adopt orders; or list them under partitions in partway.config.*.",
    );
  return connected(
    options,
    async (session) => {
      const all = async (write: boolean): Promise<AdoptReport[]> => {
        const reports: AdoptReport[] = [];
        for (const name of names) {
          const table = await readCareTable(session, { typed: name });
          const stored = (await readPolicies(session)).find(({ oid }) => oid === table.oid) ?? null;
          const given: PartitionPolicy = { ...entryFor(file, name, table), ...parsed.data };
          reports.push(await adoptTable(session, table, stored, given, write));
        }
        return reports;
      };
      // All are looked at before the first is written: a mistake in the last touches nothing.
      const shown = await all(false);
      return options.dryRun === true ? shown : all(true);
    },
    GRANT,
  );
}

/** Runs maintenance. A table's failure is its own; the others go on. Errors: `refused` while another one runs. */
export async function maintain(options: MaintainOptions): Promise<MaintainResult> {
  const settings = parseSettings(options);
  if (options.dryRun === true && options.apply === true)
    throw badInput("--dry-run and --apply exclude each other", "Give one of them.");
  const mode: Mode = options.dryRun === true ? "dry-run" : options.apply === true ? "apply" : "careful";
  const { signal = new AbortController().signal } = options;
  const work = async (session: Session, observer: Session): Promise<MaintainResult> => {
    if (mode !== "dry-run") await oneAtATime(observer);
    const deadlockMs = await deadlockTimeoutMs(session);
    const care: CareWork = {
      deadlockMs,
      session,
      observer,
      settings,
      signal,
      onTry: options.onTry ?? (() => undefined),
      onArchive: options.onArchive,
      onNote: options.onNote,
    };
    const result: MaintainResult = { tables: [], exitCode: EXIT.done };
    const stored = await readPolicies(session);
    const rows = await wanted(session, stored, options.tables);
    const steps = rows.map(({ oid, shown, policy, wrong }) => ({
      shown,
      run: async (onPart: (report: MaintainReport) => void) => {
        if (wrong !== null) throw wrong;
        const { now, steps: only, monthsAhead, retention } = options;
        return maintainTable(care, { oid, policy, mode, now, only, monthsAhead, retention, onPart });
      },
    }));
    const gone = stored.filter(({ isThere }) => !isThere);
    if (mode !== "dry-run" && gone.length > 0) {
      const forgotten = await session.query(CARE_SQL.forget).then(
        () => null,
        (error: unknown) => failed(gone.map(({ shown }) => shown).join(", "), error),
      );
      if (forgotten !== null)
        steps.push({ shown: forgotten.table, run: () => Promise.reject(forgotten.error) });
    }
    for (const { shown, run } of steps) {
      let done: MaintainReport | null = null;
      const onPart = (report: MaintainReport) => {
        done = report;
      };
      // The lock that keeps others away lives with the observer's connection.
      const isAlone = mode === "dry-run" || !observer.lost;
      const work = signal.aborted
        ? Promise.reject(signal.reason)
        : isAlone
          ? run(onPart)
          : Promise.reject(new ConnectionLost(new Error("the one that holds maintenance's lock is gone")));
      const outcome = await work.catch((error: unknown) => {
        const why = signal.aborted ? stoppedMaintenance(error) : error;
        return { ...failed(shown, why), done };
      });
      result.tables.push(outcome);
      options.onTable?.(outcome);
      if ("error" in outcome && result.exitCode === EXIT.done) result.exitCode = outcome.error.exitCode;
      if (("error" in outcome && signal.aborted) || session.lost || !isAlone) break;
    }
    return result;
  };
  return connected(options, work, LOOK_GRANT, signal);
}

function failed(table: string, error: unknown): { table: string; error: PartwayError } {
  const owner = "Connect as the owner of the table and of its leaves, with CREATE on their schema.";
  const state = "What was done before stays done; each leaf is made or detached whole.";
  const next = "The same command again goes on from there.";
  return { table, error: asPartwayError(lacking(error, owner), state, next) };
}

/** How the tables are, those in care or those named. Reads only. */
export async function health(
  options: CareOptions & { signal?: AbortSignal | undefined },
): Promise<HealthReport[]> {
  const look = async (session: Session) => (await reportsOf(session, options)).map(({ report }) => report);
  return connected(options, look, LOOK_GRANT, options.signal);
}

export interface TellOptions extends CareOptions {
  /** A shell command, run for each table whose status is not the one it had when last told. */
  onChange?: string | undefined;
  /** Where to POST it as JSON; `env:NAME` takes the address from the environment. */
  webhook?: string | undefined;
  /** Longest time of either; default 1m. */
  hookTimeout?: string | undefined;
}

/**
 * `health`, and tells of changed statuses. Errors: bad-input for an address that is none. A telling that failed is in
 * `told` of its change, and is tried again by the next call.
 */
export async function tellHealth(
  options: TellOptions,
): Promise<{ reports: HealthReport[]; changes: HealthChange[] }> {
  const { onChange, webhook } = options;
  const timeoutMs = parseMilliseconds(options.hookTimeout ?? "1m", "--hook-timeout");
  const address = webhook === undefined ? null : parseWebhook(webhook, process.env);
  return connected(
    options,
    async (session) => {
      const server = describeTarget(session.target);
      const reports = await reportsOf(session, options);
      const tell = { command: onChange ?? null, webhook: address, timeoutMs, server };
      return {
        reports: reports.map(({ report }) => report),
        changes: await tellChanges(session, reports, tell),
      };
    },
    TELL_GRANT,
  );
}

async function reportsOf(
  session: Session,
  options: CareOptions,
): Promise<{ oid: string; report: HealthReport }[]> {
  const stored = await readPolicies(session);
  const reports: { oid: string; report: HealthReport }[] = [];
  for (const table of await tablesOf(session, stored, options.tables)) {
    const row = stored.find(({ oid }) => oid === table.oid) ?? null;
    reports.push({ oid: table.oid, report: healthOf(await readHealth(session, table, row, options.now)) });
  }
  return reports;
}

/** One table with its leaves, as the catalog has it. Reads only. */
export async function partitions(options: ConnectOptions & { table: string }): Promise<PartitionsReport> {
  return connected(options, async (session) => {
    const table = await readCareTable(session, { typed: options.table });
    const beside = (await coldLeavesOf(session, table.oid)).filter(({ how }) => how === "beside");
    return { table, bytes: await readBytes(session, table.oid), cold: beside };
  });
}

export interface PartitionsReport {
  table: CareTable;
  bytes: ReadonlyMap<string, number>;
  /** Leaves on another server that are not attached; their rows are read through a view. */
  cold: readonly Pick<ColdRow, "schema" | "name" | "bound" | "rows">[];
}

/** `signal`: what the first connection still does a while after it is cancelled. */
export async function connected<T>(
  options: ConnectOptions,
  work: (session: Session, observer: Session) => Promise<T>,
  rights = LOOK_GRANT,
  signal: AbortSignal = new AbortController().signal,
): Promise<T> {
  const target = await targetOf(options);
  try {
    return await withSession(target, (session) =>
      withSession(target, (observer) => withdrawn(session, observer, signal, () => work(session, observer))),
    );
  } catch (error) {
    throw explainCare(error, rights);
  }
}

/** A failure of what only looks, or of what has not begun. */
export function explainCare(error: unknown, rights = LOOK_GRANT): PartwayError {
  return explainUntouched(lacking(error, rights));
}

const LOOK_GRANT =
  "Ask the owner for USAGE on schema partway and the table's, and SELECT on what is in partway, on the table and on its DEFAULT leaf.";
const TELL_GRANT =
  "What was told is kept in partway.partition_health: partway grants <table> --maintenance prints the statements.";
const GRANT =
  "GRANT CREATE ON DATABASE for the first adopt, which makes schema partway; afterwards what is in it must be granted: README, Rights.";

/** A right that is missing, with whom to ask for it. */
export function lacking(error: unknown, next: string): unknown {
  if (sqlState(error) !== SQLSTATE.insufficientPrivilege) return error;
  const state = "Nothing was changed by the step that failed.";
  return new PartwayError("refused", { what: messageOf(error), state, next }, { cause: error });
}

async function partitionsOf(file: string | undefined): Promise<Record<string, PartitionPolicy>> {
  const { config } = await loadConfig({ cwd: process.cwd(), ...(file === undefined ? {} : { file }) });
  return config.partitions;
}

/** The policies of the tables named, or of all in care. Errors: `UnknownTable`; bad-input where none is in care. */
export async function wanted(
  session: Session,
  stored: readonly StoredPolicy[],
  names: readonly string[] | undefined,
): Promise<StoredPolicy[]> {
  const all = stored.filter(({ isThere }) => isThere);
  if (names === undefined || names.length === 0) {
    if (all.length > 0) return all;
    throw badInput("no table is in care", "Take one over first: partway adopt <table>");
  }
  const chosen: StoredPolicy[] = [];
  for (const typed of names) {
    const { oid } = await readCareTable(session, { typed });
    const row = all.find((one) => one.oid === oid);
    if (row === undefined)
      throw new UnknownTable(
        `${typed} is not in care: it has no policy`,
        `Take it over first: partway adopt ${typed}`,
      );
    chosen.push(row);
  }
  return chosen;
}

/** Those named, or all in care. Errors: bad-input when that is none. */
export async function tablesOf(
  session: Session,
  stored: readonly StoredPolicy[],
  names: readonly string[] | undefined,
): Promise<CareTable[]> {
  const named = (names ?? []).map((typed) => ({ typed }));
  const asked =
    named.length > 0 ? named : stored.filter(({ isThere }) => isThere).map(({ oid }) => ({ oid }));
  if (asked.length === 0)
    throw badInput("no table is in care", "Name one, or take one over first: partway adopt <table>");
  const tables: CareTable[] = [];
  for (const one of asked) tables.push(await readCareTable(session, one));
  return tables;
}
