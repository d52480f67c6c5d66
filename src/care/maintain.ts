/** One table's maintenance, in order: new leaves, what a killed run left, statistics, expired leaves, metadata. */

import type { PartitionPolicy } from "../config/schema.js";
import { PartwayError } from "../errors.js";
import { setLocal } from "../pg/locks.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { positionNow } from "./clock.js";
import { createLeaf, namesIn } from "./create.js";
import {
  clockBeyond,
  expiredLeaves,
  isStale,
  limitsOf,
  missingLeaves,
  type NewLeaf,
  recogniseTable,
  thenOf,
  thenStill,
} from "./decide.js";
import { textOf } from "./grid.js";
import { type Policy, policyOf, withMonths } from "./policy.js";
import { type Fate, finishLeaving, retireLeaf } from "./retire.js";
import { CARE_SQL, readStanding } from "./store.js";
import { type CareLeaf, type CareTable, readCareTable, shownName } from "./table.js";
import { readTemplate } from "./template.js";
import { attempt, type CareWork } from "./work.js";

/**
 * `dry-run`: nothing is changed. `careful`: everything but what takes leaves away, which is shown. `apply`: everything.
 */
export type Mode = "dry-run" | "careful" | "apply";

/** The steps that may be asked for alone. */
export type MaintainStep = "create" | "analyze" | "retire";

export interface RetiredLeaf {
  name: string;
  bound: string;
  /** What was done; with `would-`, what `--apply` would do. */
  fate: Fate | "would-detach" | "would-drop" | "would-archive";
}

export interface MaintainReport {
  /** `"schema"."table"`. */
  table: string;
  /** Why nothing was done here; null: it was. */
  skipped: string | null;
  /** What cannot be done for it. */
  limits: string[];
  /** Left behind by a run that was interrupted, now finished. */
  finished: { name: string; fate: Fate }[];
  created: NewLeaf[];
  analyzed: string[];
  retired: RetiredLeaf[];
}

export interface MaintainTable {
  oid: string;
  policy: PartitionPolicy;
  mode: Mode;
  /** Instead of the database's clock, UTC. */
  now?: string | undefined;
  /** These steps alone. */
  only?: readonly MaintainStep[] | undefined;
  monthsAhead?: number | undefined;
  retention?: string | undefined;
  /** What was done, before a failure of one of the steps is thrown. */
  onPart?: ((report: MaintainReport) => void) | undefined;
}

/**
 * A leaf that fails does not keep the others from being made or taken away; the first failure is thrown in the end.
 * Errors: `refused` while a migration of the table is open; `lock-busy`; what was done stays done.
 */
export async function maintainTable(work: CareWork, wanted: MaintainTable): Promise<MaintainReport> {
  const { session } = work;
  const { oid, mode } = wanted;
  let table = await readCareTable(session, { oid });
  const name = shownName(table);
  const { grid } = recogniseTable(table);
  const policy = policyOf(name, wanted.policy, table.axis, grid);
  const { retention, monthsAhead, only = ["create", "analyze", "retire"] } = wanted;
  const expiring =
    retention === undefined ? policy : policyOf(name, { ...wanted.policy, retention }, table.axis, grid);
  const report: MaintainReport = {
    ...{ table: name, skipped: null, limits: [], finished: [], created: [], analyzed: [], retired: [] },
  };
  if (!policy.enabled) return { ...report, skipped: "disabled in partway.partition_config" };
  const { migration, leaving, restored } = await readStanding(session, oid);
  if (migration !== null) throw migrating(name, migration);
  report.limits = limitsOf(table, policy).map(({ what }) => what);
  const failures: unknown[] = [];
  const now = await positionNow(session, table, policy.grid, wanted.now);
  const beyond = now === null ? null : clockBeyond(table, policy, now);
  const making = withMonths(name, policy, now, monthsAhead);
  const creates = only.includes("create") && now !== null;
  if (creates) report.created = await create(work, table, making, now, mode, failures);
  const isUnfinished = leaving.length > 0 || table.leaves.some(({ pending }) => pending);
  if (mode !== "dry-run" && isUnfinished && only.includes("retire")) {
    const rule = {
      apply: mode === "apply" && beyond === null,
      thenStill: (bound: string) => thenStill(table, policy, now, bound),
    };
    report.finished = await finishLeaving(work, table, leaving, rule, failures);
    table = await readCareTable(session, { oid });
    // A pending detach kept its range from others.
    if (creates && report.finished.length > 0)
      report.created.push(...(await create(work, table, making, now, mode, failures)));
  }
  if (only.includes("analyze")) report.analyzed = await analyze(work, table, mode, failures);
  if (!only.includes("retire")) report.retired = [];
  else if (now !== null && mode === "apply" && beyond !== null) {
    if (expiredLeaves(table, expiring, now, restored).length > 0) failures.push(farAhead(table, now, beyond));
  } else if (now !== null) {
    const expired = expiredLeaves(table, expiring, now, restored);
    report.retired = await retire(work, table, expiring, expired, mode, failures);
  }
  if (mode !== "dry-run") await session.query(CARE_SQL.metadata, [oid]);
  if (failures.length > 0) {
    wanted.onPart?.(report);
    throw failures[0];
  }
  return report;
}

/** A plain leaf beside them would take the rows, and never be cut as the others are. */
function partitionedLeaves(table: CareTable, { from, to }: NewLeaf): PartwayError {
  return new PartwayError("refused", {
    what: `${shownName(table)} needs a leaf from ${from} to ${to}, and its leaves are partitioned themselves`,
    state: "No leaf was made; the rest was done.",
    next: "Make it by hand, like the others: runbooks/partition-missing.md",
  });
}

/** With a clock that is wrong by years everything looks expired. */
function farAhead(table: CareTable, now: bigint, beyond: bigint): PartwayError {
  const at = table.axis === null ? "" : ` (${textOf(table.axis, now)})`;
  return new PartwayError("refused", {
    what: `now${at} lies ${beyond} intervals beyond the last leaf that ${shownName(table)} had: either it was not maintained for long, or the clock is wrong`,
    state: "Nothing was detached or dropped; the leaves for now are made.",
    next: "Look at the database's clock: SELECT now(). If it is right, the same command again retires what is expired.",
  });
}

/** Leaves that come and go would be drift for the cutover, and a rollback would not find its rows. */
export function migrating(table: string, migration: string): PartwayError {
  return new PartwayError("refused", {
    what: `${table} belongs to migration ${migration}, which has not ended`,
    state: "Nothing was touched; the migration makes the leaves it needs itself.",
    next: `partway status ${migration}; when its window is over: partway finalize ${migration}`,
  });
}

async function create(
  work: CareWork,
  table: CareTable,
  policy: Policy,
  now: bigint,
  mode: Mode,
  failures: unknown[],
): Promise<NewLeaf[]> {
  // Names matter only where there is something to name.
  const [first] = missingLeaves(table, policy, now, []);
  if (first === undefined) return [];
  if (table.leaves.some(({ kind }) => kind === "partitioned")) {
    failures.push(partitionedLeaves(table, first));
    return [];
  }
  const template = await readTemplate(work.session, table);
  const missing = missingLeaves(table, policy, now, await namesIn(work.session, template.schema));
  if (mode === "dry-run") return missing;
  const made: NewLeaf[] = [];
  for (const leaf of missing)
    await attempt(work, failures, async () => {
      await createLeaf(work, table, template, leaf);
      made.push(leaf);
    });
  return made;
}

/** Autovacuum never analyzes a partitioned table itself: that is done here, at most once a day. */
async function analyze(work: CareWork, table: CareTable, mode: Mode, failures: unknown[]): Promise<string[]> {
  const stale = table.leaves.filter(isStale).map(shownName);
  if (stale.length > 0 && (table.lastAnalyze === null || table.lastAnalyze < dayBefore(table.now)))
    stale.push(shownName(table));
  if (mode === "dry-run") return stale;
  const analyzed: string[] = [];
  for (const name of stale)
    await attempt(work, failures, async () => {
      const only = name === shownName(table) && table.serverVersion >= 180_000 ? "ONLY " : "";
      if (await analyzeUnlocked(work, `${only}${name}`)) analyzed.push(name);
    });
  return analyzed;
}

/** False where somebody has it locked: the next run does it. SKIP_LOCKED does not look at the indexes' locks. */
async function analyzeUnlocked({ session, settings }: CareWork, what: string): Promise<boolean> {
  try {
    await session.tx(async () => {
      await setLocal(session, "lock_timeout", settings.lockTimeoutMaxMs);
      await session.query(`ANALYZE (SKIP_LOCKED) ${what}`);
    });
    return true;
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
    return false;
  }
}

async function retire(
  work: CareWork,
  table: CareTable,
  policy: Policy,
  expired: readonly CareLeaf[],
  mode: Mode,
  failures: unknown[],
): Promise<RetiredLeaf[]> {
  // PostgreSQL allows one pending detach a table.
  if (mode === "apply" && table.leaves.some(({ pending }) => pending)) return [];
  const retired: RetiredLeaf[] = [];
  for (const leaf of expired) {
    const shown = { name: leaf.name, bound: leaf.boundText };
    if (mode !== "apply") {
      retired.push({ ...shown, fate: `would-${policy.expired}` });
      continue;
    }
    const fate = await attempt(work, failures, () => retireLeaf(work, table, leaf, thenOf(policy)));
    if (fate !== null) retired.push({ ...shown, fate });
    if (fate === "pending") break;
  }
  return retired;
}

function dayBefore(now: string): string {
  return new Date(Date.parse(`${now.replace(" ", "T")}Z`) - 86_400_000)
    .toISOString()
    .slice(0, 19)
    .replace("T", " ");
}
