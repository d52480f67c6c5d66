/** One table's maintenance, in order: what a killed run left, new leaves, statistics, expired leaves, metadata. */

import type { PartitionPolicy } from "../config/schema.js";
import { PartwayError } from "../errors.js";
import { positionNow } from "./clock.js";
import { createLeaf, namesIn } from "./create.js";
import { expiredLeaves, isStale, missingLeaves, type NewLeaf, recogniseTable } from "./decide.js";
import { type Policy, policyOf } from "./policy.js";
import { type Fate, finishLeaving, retireLeaf } from "./retire.js";
import { CARE_SQL, readStanding } from "./store.js";
import { type CareTable, readCareTable, shownName } from "./table.js";
import { readTemplate } from "./template.js";
import type { CareWork } from "./work.js";

/**
 * `dry-run`: nothing is changed. `careful`: everything but what takes leaves away, which is shown. `apply`: everything.
 */
export type Mode = "dry-run" | "careful" | "apply";

export interface RetiredLeaf {
  name: string;
  bound: string;
  /** What was done; with `would-`, what `--apply` would do. */
  fate: Fate | "would-detach" | "would-drop";
}

export interface MaintainReport {
  /** `"schema"."table"`. */
  table: string;
  /** Why nothing was done here; null: it was. */
  skipped: string | null;
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
}

/** Errors: `refused` while a migration of the table is open; `lock-busy`; what was done before it stays done. */
export async function maintainTable(work: CareWork, wanted: MaintainTable): Promise<MaintainReport> {
  const { session } = work;
  const { oid, mode } = wanted;
  let table = await readCareTable(session, { oid });
  const name = shownName(table);
  const policy = policyOf(name, wanted.policy, table.axis, recogniseTable(table).grid);
  const report: MaintainReport = {
    ...{ table: name, skipped: null, finished: [], created: [], analyzed: [], retired: [] },
  };
  if (!policy.enabled) return { ...report, skipped: "disabled in partway.partition_config" };
  const { migration, leaving } = await readStanding(session, oid);
  if (migration !== null) throw migrating(name, migration);
  const isUnfinished = leaving.length > 0 || table.leaves.some(({ pending }) => pending);
  if (mode !== "dry-run" && isUnfinished) {
    report.finished = await finishLeaving(work, table, leaving, {
      wanted: policy.expired,
      apply: mode === "apply",
    });
    table = await readCareTable(session, { oid });
  }
  const now = await positionNow(session, table, policy.grid, wanted.now);
  if (now !== null) report.created = await create(work, table, policy, now, mode);
  report.analyzed = await analyze(work, table, mode);
  if (now !== null) report.retired = await retire(work, table, policy, now, mode);
  if (mode !== "dry-run") {
    await session.query(CARE_SQL.metadata, [oid]);
  }
  return report;
}

/** Leaves that come and go would be drift for the cutover, and a rollback would not find its rows. */
function migrating(table: string, migration: string): PartwayError {
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
): Promise<NewLeaf[]> {
  // Names matter only where there is something to name.
  if (missingLeaves(table, policy, now, []).length === 0) return [];
  const template = await readTemplate(work.session, table);
  const missing = missingLeaves(table, policy, now, await namesIn(work.session, template.schema));
  if (mode === "dry-run") return missing;
  for (const leaf of missing) {
    work.signal.throwIfAborted();
    await createLeaf(work, table, template, leaf);
  }
  return missing;
}

/** Autovacuum never analyzes a partitioned table itself: that is done here, at most once a day. */
async function analyze(work: CareWork, table: CareTable, mode: Mode): Promise<string[]> {
  const stale = table.leaves.filter(isStale).map(shownName);
  if (stale.length > 0 && (table.lastAnalyze === null || table.lastAnalyze < dayBefore(table.now)))
    stale.push(shownName(table));
  if (mode === "dry-run") return stale;
  for (const name of stale) {
    work.signal.throwIfAborted();
    const only = name === shownName(table) && table.serverVersion >= 180_000 ? "ONLY " : "";
    await work.session.query(`ANALYZE ${only}${name}`);
  }
  return stale;
}

async function retire(
  work: CareWork,
  table: CareTable,
  policy: Policy,
  now: bigint,
  mode: Mode,
): Promise<RetiredLeaf[]> {
  const expired = expiredLeaves(table, policy, now);
  const retired: RetiredLeaf[] = [];
  for (const leaf of expired) {
    const shown = { name: leaf.name, bound: leaf.boundText };
    if (mode !== "apply") {
      retired.push({ ...shown, fate: policy.expired === "drop" ? "would-drop" : "would-detach" });
      continue;
    }
    work.signal.throwIfAborted();
    const fate = await retireLeaf(work, table, leaf, policy.expired === "drop");
    retired.push({ ...shown, fate });
    // PostgreSQL allows one pending detach a table.
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
