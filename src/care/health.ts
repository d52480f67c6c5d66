/** How a partitioned table is, from what was read of it. Pure; FEATURES G. */
import type { Interval } from "../plan/types.js";
import { expiredLeaves, gapsOf, isStale, limitsOf, rangesOf, uncovered } from "./decide.js";
import { indexOf, startAt, textOf } from "./grid.js";
import type { Policy } from "./policy.js";
import { type CareLeaf, type CareTable, shellName, shownName } from "./table.js";

export type HealthStatus = "HEALTHY" | "CLEANUP_NEEDED" | "NO_PARTITIONS" | "WARNING" | "CRITICAL";

export interface Finding {
  level: "CLEANUP_NEEDED" | "WARNING" | "CRITICAL";
  /** Stable, e.g. `next-leaf-missing`. */
  code: string;
  what: string;
  /** What to type. */
  next: string;
}

export interface HealthFacts {
  table: CareTable;
  policy: Policy;
  /** Null: no policy stands in partway.partition_config. */
  adopted: { lastMaintenance: string | null } | null;
  /** What is wrong with that policy: the defaults are judged by instead. */
  wrong: { what: string; next: string } | null;
  /** On the table's axis; null where it has none. */
  now: bigint | null;
  /** Bytes by leaf oid, indexes and TOAST included. */
  bytes: ReadonlyMap<string, number>;
  /** Rows that another leaf could hold. */
  defaultHasRows: boolean;
  /** `leaf: index`, of indexes of the table that a leaf has not, or not valid. */
  indexes: readonly string[];
  /** Leaves that are detached and were to be dropped. */
  leaving: readonly string[];
  /** OIDs of leaves that were brought back from an archive. */
  restored: ReadonlySet<string>;
  /** Bounds of leaves that are on another server. */
  cold?: readonly string[] | undefined;
}

export interface HealthReport {
  table: string;
  status: HealthStatus;
  leaves: number;
  rows: number;
  bytes: number;
  oldest: string | null;
  newest: string | null;
  interval: string | null;
  /** From now on there is a leaf until here, without a gap; null: not even for now. */
  coveredUntil: string | null;
  lastMaintenance: string | null;
  findings: Finding[];
}

export function healthOf(facts: HealthFacts): HealthReport {
  const { table, policy, bytes } = facts;
  const findings = [
    ...coverage(facts),
    ...shape(facts),
    ...contents(facts),
    ...cleanup(facts),
    ...policyOfTable(facts),
  ];
  const named = table.leaves.filter(({ bound }) => bound.kind !== "default");
  return {
    table: shownName(table),
    status: table.leaves.length === 0 ? "NO_PARTITIONS" : worst(findings),
    leaves: table.leaves.length,
    rows: sum(table.leaves.map(({ rows }) => rows)),
    bytes: sum(table.leaves.map(({ oid }) => bytes.get(oid) ?? 0)),
    oldest: named[0]?.name ?? null,
    newest: named.at(-1)?.name ?? null,
    interval: intervalText(policy),
    coveredUntil: untilText(facts),
    lastMaintenance: facts.adopted?.lastMaintenance ?? null,
    findings,
  };
}

export function intervalText({ grid }: Policy): string | null {
  if (grid === null) return null;
  return grid.kind === "time" ? grid.every : `step ${grid.step}`;
}

const RANK: Record<HealthStatus, number> = {
  ...{ HEALTHY: 0, CLEANUP_NEEDED: 1, NO_PARTITIONS: 2, WARNING: 3, CRITICAL: 4 },
};

function worst(findings: readonly Finding[]): HealthStatus {
  let status: HealthStatus = "HEALTHY";
  for (const { level } of findings) if (RANK[level] > RANK[status]) status = level;
  return status;
}

/** Hours before the end of the last leaf at which it is time to act: 7 and 3 days; by the hour and the year otherwise. */
export const NOTICE: Record<Interval, { warning: bigint; critical: bigint }> = {
  hour: { warning: 7n, critical: 3n },
  ...{ day: { warning: 168n, critical: 72n }, week: { warning: 168n, critical: 72n } },
  month: { warning: 168n, critical: 72n },
  ...{ quarter: { warning: 720n, critical: 168n }, year: { warning: 720n, critical: 168n } },
};

/** Where the leaves that follow now without a gap end; null when there is none for now; `for ever` has no end. */
function coveredUntil({ table, now }: HealthFacts): bigint | "for ever" | null {
  if (now === null) return "for ever";
  const FAR = now + 10n ** 15n;
  const [first] = uncovered(rangesOf(table), { from: now, to: FAR });
  if (first === undefined) return "for ever";
  return first.from === now ? null : first.from;
}

function untilText(facts: HealthFacts): string | null {
  const until = coveredUntil(facts);
  if (until === null || until === "for ever" || facts.table.axis === null)
    return until === null ? null : "for ever";
  return textOf(facts.table.axis, until);
}

function coverage(facts: HealthFacts): Finding[] {
  const { table, policy, now } = facts;
  const { grid } = policy;
  const { axis } = table;
  if (axis === null || now === null || table.leaves.length === 0) return [];
  const next =
    grid === null
      ? `partway adopt ${shellName(table)} --every <interval>`
      : `partway maintain ${shellName(table)}`;
  const until = coveredUntil(facts);
  const found: Finding[] = [];
  if (until === null)
    found.push({
      ...{ level: "CRITICAL", code: "current-leaf-missing", next },
      what: `there is no leaf for now (${textOf(axis, now)})`,
    });
  else if (until !== "for ever") {
    const what = `the leaves end at ${textOf(axis, until)}`;
    const level = levelOf(facts, until);
    if (level !== null) found.push({ level, code: "next-leaf-missing", what, next });
  }
  for (const { from, to } of gapsOf(table, facts.cold))
    found.push({
      ...{ level: "WARNING", code: "gap", next: "runbooks/partition-missing.md" },
      what: `no leaf from ${textOf(axis, from)} to ${textOf(axis, to)}`,
    });
  return found;
}

function levelOf({ table, policy, now }: HealthFacts, until: bigint): "WARNING" | "CRITICAL" | null {
  const { grid } = policy;
  if (now === null) return null;
  if (table.axis?.kind === "time") {
    const { warning, critical } = NOTICE[grid?.kind === "time" ? grid.every : "day"];
    return until - now <= critical ? "CRITICAL" : until - now <= warning ? "WARNING" : null;
  }
  if (grid?.kind !== "number") return null;
  // By number: how full the last leaf is.
  if (until > startAt(grid, indexOf(grid, now) + 1n)) return null;
  return until - now <= grid.step / 10n ? "CRITICAL" : "WARNING";
}

function shape({ table, policy, bytes }: HealthFacts): Finding[] {
  const { minLeaves, maxLeaves, leafBytes } = policy.thresholds;
  const count = table.leaves.length;
  const found: Finding[] = [];
  const next = `partway partitions ${shellName(table)}`;
  if (count > 0 && count < minLeaves)
    found.push({
      ...{ level: "WARNING", code: "too-few-leaves", next },
      what: `${count} ${count === 1 ? "leaf" : "leaves"}, fewer than ${minLeaves}`,
    });
  if (count > maxLeaves)
    found.push({
      ...{ level: "WARNING", code: "too-many-leaves", next },
      what: `${count} leaves, more than ${maxLeaves}`,
    });
  for (const leaf of table.leaves) {
    const size = bytes.get(leaf.oid) ?? 0;
    if (size > leafBytes)
      found.push({
        ...{ level: "WARNING", code: "leaf-too-large", next },
        what: `${leaf.name} has ${(size / 1e9).toFixed(1)} GB, more than ${leafBytes / 1e9}`,
      });
  }
  const byHand = "runbooks/partition-missing.md";
  const adopt = `partway adopt ${shellName(table)} --every <interval>`;
  for (const { code, what } of limitsOf(table, policy))
    found.push({
      ...{ level: "WARNING", code, what },
      next: code === "interval-unknown" && table.axis !== null ? adopt : byHand,
    });
  return found;
}

function policyOfTable({ wrong }: HealthFacts): Finding[] {
  return wrong === null ? [] : [{ level: "WARNING", code: "policy-unreadable", ...wrong }];
}

function contents({ table, defaultHasRows, indexes }: HealthFacts): Finding[] {
  const found: Finding[] = [];
  if (defaultHasRows)
    found.push({
      ...{
        level: "WARNING",
        code: "default-not-empty",
        next: `partway maintain ${shellName(table)}; what is older, or beyond the leaves it makes: runbooks/partition-missing.md`,
      },
      what: "the DEFAULT leaf holds rows that a leaf of their own could hold: they delay every new leaf, and queries read it always",
    });
  if (indexes.length > 0)
    found.push({
      ...{
        level: "WARNING",
        code: "index-missing",
        next: "CREATE INDEX CONCURRENTLY on the leaf, then ALTER INDEX ... ATTACH PARTITION",
      },
      what: `indexes missing or invalid: ${short(indexes)}`,
    });
  const stale = table.leaves.filter(isStale);
  if (stale.length > 0)
    found.push({
      ...{ level: "WARNING", code: "statistics-stale", next: `partway maintain ${shellName(table)}` },
      what: `statistics missing or old: ${short(stale.map(({ name }) => name))}`,
    });
  return found;
}

function cleanup({ table, policy, now, leaving, restored }: HealthFacts): Finding[] {
  const level = "CLEANUP_NEEDED";
  const next = `partway maintain ${shellName(table)} --apply`;
  const expired = now === null ? [] : expiredLeaves(table, policy, now, restored);
  const pending = table.leaves.filter((leaf) => leaf.pending);
  const names = (leaves: readonly CareLeaf[]) => short(leaves.map(({ name }) => name));
  return [
    ...(expired.length === 0
      ? []
      : [{ level, code: "expired", what: `expired: ${names(expired)}`, next } as const]),
    ...(pending.length === 0
      ? []
      : [
          {
            level,
            code: "detach-pending",
            what: `a detach is not finished: ${names(pending)}`,
            next,
          } as const,
        ]),
    ...(leaving.length === 0
      ? []
      : [
          { level, code: "drop-pending", what: `detached and not dropped: ${short(leaving)}`, next } as const,
        ]),
  ];
}

function short(names: readonly string[]): string {
  return names.length <= 5
    ? names.join(", ")
    : `${names.slice(0, 5).join(", ")} and ${names.length - 5} more`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}
